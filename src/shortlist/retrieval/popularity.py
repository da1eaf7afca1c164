"""How often each item was taken up before a moment: all time, decayed, or in a last window."""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from shortlist.data.log import Floats, Log
from shortlist.stages import Queries, Source

DAY = 86_400


@dataclass(frozen=True)
class ItemCounts:
    """Events per item and tick; counts as of any moment follow from it.

    A tick is a day where times are seconds and the log is long enough, else a 256th of the log. Ticks are counted back
    from ``end``, so that at ``end`` every event counts, and at an earlier moment those of all complete ticks before.

    Attributes:
        ticks: int32 (n,), -1 = the last tick before ``end``; not decreasing.
        item_rows: int32 (n,).
        counts: float32 (n,), sum of the weights of the item's events in that tick.
        end: the first moment after the log.
        tick_length: in the unit of the timestamps.
        n_items: size of the catalogue.
    """

    ticks: NDArray[np.int32]
    item_rows: NDArray[np.int32]
    counts: Floats
    end: int
    tick_length: int
    n_items: int
    _cache: dict[tuple[int, float, float], NDArray[np.float64]] = field(
        default_factory=dict, repr=False, compare=False, metadata={"saved": False}
    )

    @classmethod
    def of(cls, log: Log) -> "ItemCounts":
        """Count the positives of a log."""
        log = log.positives()
        span = int(log.end - log.timestamps[0]) if len(log) else 1
        tick_length = DAY if log.in_seconds and span >= 60 * DAY else max(1, span // 256)
        ticks = (log.timestamps - log.end) // tick_length
        keys, where = np.unique(ticks * log.n_items + log.item_rows, return_inverse=True)
        counts = np.bincount(where, weights=log.weights, minlength=len(keys))
        return cls(
            (keys // log.n_items).astype(np.int32),
            (keys % log.n_items).astype(np.int32),
            counts.astype(np.float32),
            log.end,
            tick_length,
            log.n_items,
        )

    def tick_of(self, at: NDArray[np.int64]) -> NDArray[np.int64]:
        """int64, the shape of at: the tick a moment lies in; complete ticks before it are the lower numbers."""
        return np.minimum((at - self.end) // self.tick_length, 0)

    def before(self, tick: int, window: float = math.inf, half_life: float = math.inf) -> NDArray[np.float64]:
        """float64 (n_items,): the weight of each item's events in the ``window`` ticks before a tick.

        Args:
            window: in ticks.
            half_life: in ticks; an event that old counts half.
        """
        key = (tick, window, half_life)
        if key not in self._cache:
            if len(self._cache) >= 64:
                self._cache.clear()
            first = 0 if window == math.inf else np.searchsorted(self.ticks, tick - int(window))
            span = slice(int(first), int(np.searchsorted(self.ticks, tick)))
            weights = self.counts[span].astype(np.float64)
            if half_life != math.inf:
                weights *= 0.5 ** ((tick - 1 - self.ticks[span]) / half_life)
            self._cache[key] = np.bincount(self.item_rows[span], weights=weights, minlength=self.n_items)
        return self._cache[key]


@dataclass(frozen=True)
class Popularity(Source):
    """The same list for everyone who asks in the same tick.

    Attributes:
        window: in ticks; ``inf`` = all time.
        half_life: in ticks; ``inf`` = no decay.
    """

    name: str
    item_counts: ItemCounts
    window: float = math.inf
    half_life: float = math.inf

    def score_catalogue(self, queries: Queries) -> Floats:
        ticks, where = np.unique(self.item_counts.tick_of(queries.at), return_inverse=True)
        rows = np.stack([self.item_counts.before(int(t), self.window, self.half_life) for t in ticks])
        scores = np.where(rows > 0, rows, np.nan).astype(np.float32)  # (n_ticks, n_items)
        return scores[where]
