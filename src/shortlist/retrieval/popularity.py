"""How often each item was taken up before a moment: all time, decayed, or in a last window."""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from shortlist.data.log import Floats, Log
from shortlist.stages import Catalogue, Queries, Source

N_CHECKPOINTS = 32
MAX_CACHED_CELLS = 2**23
"""Counts kept for moments asked before: 64 MB."""
MAX_KEPT_CELLS = 2**20
"""Of lists kept by each source for moments asked before, 12 bytes each."""


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
    _rows: dict[tuple[int, float, float], NDArray[np.float64]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _checkpoints: dict[float, NDArray[np.float64]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, log: Log, tick_length: int | None = None) -> "ItemCounts":
        """Count the positives of a log, in its own ticks or in ticks of another length."""
        tick_length = tick_length or log.tick_length
        positives = log.positives()
        ticks = (positives.timestamps - log.end) // tick_length
        keys, where = np.unique(ticks * log.n_items + positives.item_rows, return_inverse=True)
        counts = np.bincount(where, weights=positives.weights, minlength=len(keys))
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

    def distinct_ticks(self, at: NDArray[np.int64]) -> tuple[list[int], NDArray[np.int64]]:
        """The ticks of some moments without repeats, and int64 (n,): the place of each moment's tick among them."""
        ticks = self.tick_of(at)
        if len(ticks) and (ticks == ticks[0]).all():  # the rule when everybody asks now; far cheaper than np.unique
            return [int(ticks[0])], np.zeros(len(ticks), dtype=np.int64)
        distinct, places = np.unique(ticks, return_inverse=True)
        return distinct.tolist(), places

    def before(self, tick: int, window: float = math.inf, half_life: float = math.inf) -> NDArray[np.float64]:
        """float64 (n_items,), read-only: the weight of each item's events in the ``window`` ticks before a tick.

        Args:
            window: in ticks.
            half_life: in ticks; an event that old counts half.
        """
        key = (tick, window, half_life)
        row = self._rows.get(key)
        if row is None:
            row = self._count(tick, window, half_life)
            row.flags.writeable = False
            if len(self._rows) >= max(64, MAX_CACHED_CELLS // max(self.n_items, 1)):
                self._rows.clear()
            self._rows[key] = row
        return row

    def rows_before(
        self, ticks: list[int], window: float = math.inf, half_life: float = math.inf
    ) -> NDArray[np.float64]:
        """float64 (n_ticks, n_items): `before` for several ticks."""
        rows = np.empty((len(ticks), self.n_items))
        for place, tick in enumerate(ticks):
            rows[place] = self.before(tick, window, half_life)
        return rows

    def _count(self, tick: int, window: float, half_life: float) -> NDArray[np.float64]:
        if window != math.inf:
            return self._between(tick - int(window), tick, half_life)
        first = int(self.ticks[0]) if len(self.ticks) else 0
        if tick >= 0 or tick <= first:
            return self._between(first, tick, half_life)
        place, past = divmod(tick - first, self._checkpoint_distance)
        start = self._checkpoint_rows(half_life)[place]
        counts: NDArray[np.float64] = start * 0.5 ** (past / half_life) + self._between(tick - past, tick, half_life)
        return counts

    def _between(self, start: int, tick: int, half_life: float) -> NDArray[np.float64]:
        """The events from one tick until before another, straight from the list."""
        span = slice(*np.searchsorted(self.ticks, [start, tick]).tolist())
        weights = self.counts[span].astype(np.float64)
        if half_life != math.inf:
            weights *= 0.5 ** ((tick - 1 - self.ticks[span]) / half_life)
        counts: NDArray[np.float64] = np.bincount(self.item_rows[span], weights, self.n_items).astype(np.float64)
        return counts

    @property
    def _checkpoint_distance(self) -> int:
        return -(int(self.ticks[0]) // N_CHECKPOINTS)

    def _checkpoint_rows(self, half_life: float) -> NDArray[np.float64]:
        """float64 (≤ N_CHECKPOINTS, n_items): the counts before every so manieth tick, each from the one before.

        So any moment of the past costs a thirty-second of the log, and the same sums in whatever order they are asked.
        """
        rows = self._checkpoints.get(half_life)
        if rows is None:
            distance = self._checkpoint_distance
            starts = range(int(self.ticks[0]), 0, distance)
            rows = np.zeros((len(starts), self.n_items))
            for place, start in enumerate(starts[1:], start=1):
                earlier = rows[place - 1] * 0.5 ** (distance / half_life)
                rows[place] = earlier + self._between(start - distance, start, half_life)
            self._checkpoints[half_life] = rows
        return rows


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
    _kept: dict[int, Catalogue] = field(default_factory=dict, init=False, repr=False, compare=False)

    def catalogue(self, queries: Queries) -> tuple[Catalogue, NDArray[np.int64]]:
        ticks = self.item_counts.tick_of(queries.at)
        if not len(ticks) or (ticks != ticks[0]).any():
            return super().catalogue(queries)
        kept, tick = self._kept, int(ticks[0])
        if tick not in kept:
            if len(kept) >= max(4, MAX_KEPT_CELLS // max(self.item_counts.n_items, 1)):
                kept.clear()
            kept[tick] = Catalogue(self.distinct_scores(queries)[0], kept=True)
        return kept[tick], np.zeros(len(ticks), dtype=np.int64)

    def distinct_scores(self, queries: Queries) -> tuple[Floats, NDArray[np.int64]]:
        ticks, places = self.item_counts.distinct_ticks(queries.at)
        scores = self.item_counts.rows_before(ticks, self.window, self.half_life).astype(np.float32)
        scores[scores == 0] = np.nan
        return scores, places

    def score_catalogue(self, queries: Queries) -> Floats:
        scores, places = self.distinct_scores(queries)
        return scores[places]
