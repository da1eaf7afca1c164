"""One place after the other: a draw, or the item that is relevant and unlike those before it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shortlist.data.log import Floats, Rows
from shortlist.ranking.caps import Cap, Count


class Chosen(NamedTuple):
    """The first places of an answer.

    Attributes:
        places: int64 (n_chosen,), places of the candidates; fewer than asked where no other candidate fits the caps.
        propensities: float64 (n_chosen,), the probability of each choice given those before it; 1 without exploration.
        acted: ``exploration``, ``diversity``, ``caps`` (``rules`` for a rule's) -> the first place (from 0) that goes
            to another candidate because of it.
    """

    places: NDArray[np.int64]
    propensities: NDArray[np.float64]
    acted: dict[str, int]


def choose(
    item_rows: Rows,
    k: int,
    diversity: float = 0.0,
    vectors: Floats | None = None,
    caps: Sequence[Cap] = (),
    explore: float = 0.0,
    draws: NDArray[np.float64] | None = None,
) -> Chosen:
    """Fill k places of an answer.

    Each place goes, with probability ``explore``, to any remaining candidate, all equally likely; else to the one with
    the greatest (1 - diversity) · relevance - diversity · (cosine to the most similar item chosen before; at least 0):
    maximal marginal relevance, Carbonell and Goldstein 1998. Only candidates that fit the caps take part. Ties go to
    the higher score. Relevance goes by the rank among the candidates, so that the same ``diversity`` does the same,
    whatever a ranker's scores look like.

    Args:
        item_rows: int32 (n,), the candidates, best score first.
        k: at least 1; more than n = n.
        vectors: float32 (n, d), of length 1 or 0; needed for diversity only.
        draws: float64 (n, 2) in [0, 1), a coin and a pick for each place; needed for exploration only.
    """
    gains = (1 - diversity) * relevance(len(item_rows))  # -inf = taken
    nearest = np.zeros(len(item_rows), dtype=np.float32)
    over = _Over(caps, item_rows)
    places: list[int] = []
    propensities: list[float] = []
    acted: dict[str, int] = {}
    first = first_open = 0  # the best score among all that are left, and among those that fit the caps
    for place in range(min(k, len(item_rows))):
        values = gains - diversity * nearest if diversity else gains
        preferred = int(values.argmax())
        best = preferred
        if over.mask[preferred]:
            best = int(np.where(over.mask, -np.inf, values).argmax())
            if over.mask[best] or gains[best] == -np.inf:
                break
            for cap in over.count.exceeded(int(item_rows[preferred])):
                acted.setdefault(cap.step, place)
        while gains[first] == -np.inf:
            first += 1
        while gains[first_open] == -np.inf or over.mask[first_open]:
            first_open += 1
        if preferred != first or best != first_open:
            acted.setdefault("diversity", place)
        taken, propensity = best, 1.0
        if draws is not None:
            taken, propensity = _drawn(np.flatnonzero((gains > -np.inf) & ~over.mask), best, explore, *draws[place])
            if taken != best:
                acted.setdefault("exploration", place)
        places.append(taken)
        propensities.append(propensity)
        gains[taken] = -np.inf
        over.add(taken)
        if vectors is not None:
            np.maximum(nearest, vectors @ vectors[taken], out=nearest)
    return Chosen(np.array(places, dtype=np.int64), np.array(propensities), acted)


def relevance(n: int) -> NDArray[np.float64]:
    """float64 (n,), 1 - log(rank) / log(n): 1 for the first, 0 for the last, falling as steeply as readers' attention.

    >>> relevance(4).round(2)
    array([1.  , 0.5 , 0.21, 0.  ])
    """
    by_rank: NDArray[np.float64] = 1 - np.log(np.arange(1, n + 1)) / np.log(max(2, n))
    return by_rank


def _drawn(open_places: NDArray[np.int64], best: int, explore: float, coin: float, pick: float) -> tuple[int, float]:
    """One of the open places, and how probable it was.

    >>> _drawn(np.array([2, 3, 5, 8]), best=3, explore=0.2, coin=0.1, pick=0.9)
    (8, 0.05)
    """
    taken = int(open_places[int(pick * len(open_places))]) if coin < explore else best
    return taken, explore / len(open_places) + (1 - explore) * (taken == best)


class _Over:
    """Which candidates no longer fit the caps.

    Attributes:
        mask: bool (n,).
        count: of what is chosen.
    """

    def __init__(self, caps: Sequence[Cap], item_rows: Rows) -> None:
        self.mask = np.zeros(len(item_rows), dtype=bool)
        self.count = Count(caps)
        self._rows = item_rows
        self._codes, self._places = [], []
        for cap in caps:
            starts = cap.offsets[item_rows]
            lengths = cap.offsets[item_rows + 1] - starts
            ends = np.cumsum(lengths)
            self._codes.append(cap.codes[np.arange(lengths.sum()) + np.repeat(starts - (ends - lengths), lengths)])
            self._places.append(np.repeat(np.arange(len(item_rows)), lengths))
            if cap.limit == 0:
                self.mask[self._places[-1]] = True

    def add(self, place: int) -> None:
        """An item is chosen."""
        if not self._codes:
            return
        row = int(self._rows[place])
        self.count.add(row)
        for cap, counts, codes, places in zip(
            self.count.caps, self.count.counts, self._codes, self._places, strict=True
        ):
            for group in cap.of(row):
                if counts[group] == cap.limit:
                    self.mask[places[codes == group]] = True
