"""After the score: exploration, then diversity, then rules; caps hold of what comes out. docs/last-word.md.

A query's pool is its ranked candidates, best score first. `rerank` turns it into an answer of k items:

1. *Exploration and diversity* fill one place after the other (`shortlist.ranking.greedy`): at each place a coin says
   whether any candidate may come next, or the one that maximal marginal relevance prefers. Caps hold already here, so
   that the probability of every choice is known exactly.
2. *Rules* put the pool in another order, and pin items to places of the answer.
3. The answer is read off that order (`Filling`). Pins stand where they are, and count for the caps before anything
   else; whatever would exceed a cap is passed over. Where the pool is short, the rest of the catalogue follows in the
   order of retrieval; what was passed over comes back only where nothing else is left.

Nothing depends on k, so the first items of an answer are the same for every k. Without a `LastWord` nothing here runs.

**What plugs in rules** is an object with the methods of `ActingRules`, given as ``LastWord.rules``. The cascade
calls, for each block of queries, `ActingRules.allowed` before retrieval and `ActingRules.wanted` after it; `rerank`
calls `ActingRules.caps` and `ActingRules.act` for each query.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from shortlist.data.log import Floats, Mask, Rows
from shortlist.errors import QueryError
from shortlist.ranking.caps import Cap, Count
from shortlist.ranking.greedy import Chosen, choose
from shortlist.stages import Candidates, Queries

Scores = NDArray[np.float64]
More = Callable[[Rows, Count | None], Candidates | None]
"""The next of the catalogue in the order of retrieval, as far as allowed: without these items, and, where a count is
given, without what no longer fits its caps. At least one item; ``None`` = there are no more."""
STEPS = ("exploration", "diversity", "caps", "rules")


class Ruled(NamedTuple):
    """What rules did to one query's pool.

    Attributes:
        order: int64 (n,), a permutation of the places of the pool as it was given to `ActingRules.act`.
        pins: place in the answer (0 = first) -> place in the pool. A pinned item never stands above its pin, whatever
            k is; where an answer is too short to reach it, it comes last.
        marks: place in the pool -> names of the rules that touched the item.
    """

    order: NDArray[np.int64]
    pins: Mapping[int, int]
    marks: Mapping[int, tuple[str, ...]]


class ActingRules(Protocol):
    """Rules, ready to be applied to blocks of queries. Nothing they do may depend on k."""

    def block(self, start: int, stop: int) -> "ActingRules":
        """For queries ``start`` to ``stop - 1`` of those they were made for."""

    def allowed(self, queries: Queries, allowed: Mask) -> Mask:
        """bool (n_queries, n_items): what ``exclude`` leaves of ``allowed``; a new array."""

    def wanted(self, queries: Queries, allowed: Mask) -> list[Rows]:
        """Per query the allowed items that must be in the pool whatever stage 1 found, such as pinned ones.

        Those that stage 1 did not find are scored like candidates. In the pool that `act` is given they stand behind
        all others, best score first.
        """

    def caps(self, queries: Queries, q: int) -> tuple[Cap, ...]:
        """Caps for query q besides those of the request; an item that exceeds one all the same is marked `Cap.rule`."""

    def act(self, queries: Queries, q: int, item_rows: Rows, scores: Scores) -> Ruled:
        """A new order of query q's whole pool.

        Args:
            item_rows: int32 (n,), the pool in the order that exploration and diversity left.
            scores: float64 (n,), what the ranker gave each; not sorted where these have acted.
        """


@dataclass(frozen=True, eq=False)
class LastWord:
    """What is to act after the score on a batch of queries.

    Attributes:
        diversity: in [0, 1], the weight of maximal marginal relevance's second term; 0 = none.
        vectors: float32 (n_items, d), unit length or zero: how alike items are; ``None`` without diversity.
        caps: the request's.
        explore: in [0, 1], the probability that a place is drawn; 0 = none.
        seeds: uint64 (n_queries,), of the draws; ``None`` without exploration.
        rules: see the module; ``None`` = none.
    """

    diversity: float = 0.0
    vectors: Floats | None = None
    caps: tuple[Cap, ...] = ()
    explore: float = 0.0
    seeds: NDArray[np.uint64] | None = None
    rules: ActingRules | None = None

    def block(self, start: int, stop: int) -> "LastWord":
        """For queries ``start`` to ``stop - 1`` of the batch."""
        seeds = None if self.seeds is None else self.seeds[start:stop]
        return replace(self, seeds=seeds, rules=None if self.rules is None else self.rules.block(start, stop))

    def allowed(self, queries: Queries, allowed: Mask) -> Mask:
        """bool (n_queries, n_items): what rules leave of the items allowed."""
        return allowed if self.rules is None else self.rules.allowed(queries, allowed)


def parse_dial(value: Any, name: str) -> float:
    """A number from 0 to 1.

    Raises:
        QueryError: anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 <= value <= 1:
        raise QueryError(f"{name}: expected a number from 0 to 1, got {value!r}")
    return float(value)


class Reranked(NamedTuple):
    """One query's answer, best first.

    Attributes:
        item_rows: int32 (n,), exactly min(k, allowed).
        candidates: of this query: those given, then what followed unranked.
        places: int64 (n,), of the items in ``candidates``.
        propensities: float64 (n,), with which probability each item was drawn for its place, given those before it;
            1 = nothing was left to chance. ``None`` without exploration.
        marks: per item the names of the rules that touched it; ``None`` without rules.
        acted: which of ``exploration``, ``diversity``, ``caps``, ``rules`` made these n items or their order what they
            are; rules also where they only marked an item.
        notes: what the user must know, in sentences.
    """

    item_rows: Rows
    candidates: Candidates
    places: NDArray[np.int64]
    propensities: Scores | None
    marks: list[tuple[str, ...]] | None
    acted: tuple[str, ...]
    notes: tuple[str, ...]


def rerank(
    word: LastWord, queries: Queries, q: int, candidates: Candidates, scores: Scores, n: int, k: int, more: More
) -> Reranked:
    """Query q's answer.

    Args:
        word: of the block of queries.
        candidates: of this query alone: what stage 1 found, then what else rules wanted.
        scores: float64 (n_pool,), of all of them.
        n: how many stage 1 found: exploration and diversity choose among these.
        k: at least 1.
    """
    rows, rules = candidates.item_rows, word.rules
    by_score = np.lexsort((rows, -scores, np.arange(len(rows)) >= n))
    caps = word.caps if rules is None else (*word.caps, *rules.caps(queries, q))
    depth = min(k, n) if rules is None else n  # rules see an order that no k has cut
    chosen = _chosen(word, q, rows[by_score[:n]], caps, depth)
    order = before = by_score[_with_rest(chosen.places, len(rows))]
    pins: dict[int, int] = {}
    marks: dict[int, tuple[str, ...]] = {}
    if rules is not None:
        ruled = rules.act(queries, q, rows[before], scores[before])
        order = before[ruled.order]
        pins = {answer: int(rows[before[pooled]]) for answer, pooled in ruled.pins.items()}
        marks = {int(rows[before[pooled]]): names for pooled, names in ruled.marks.items()}
    filling = Filling(k, caps, pins)
    filling.offer(rows[order].tolist())
    candidates = filling.complete(candidates, more)
    marks |= {row: (*marks.get(row, ()), *names) for row, names in filling.exceeding_rules().items()}
    items = filling.items
    propensities = None
    if word.explore:
        drawn = dict(zip(rows[by_score[chosen.places]].tolist(), chosen.propensities.tolist(), strict=True))
        propensities = np.array([1.0 if row in filling.pinned else drawn.get(row, 1.0) for row in items])
    acted = {name for name, place in chosen.acted.items() if place < len(items)}
    acted |= filling.overtaken
    unruled = rows[before[: len(items)]]
    held_back = bool(filling.pinned.intersection(unruled.tolist()))  # a pin further down keeps an item out here
    if held_back or any(row in marks for row in items) or (rows[order[: len(items)]] != unruled).any():
        acted.add("rules")
    places = {row: place for place, row in enumerate(candidates.item_rows.tolist())}
    return Reranked(
        np.array(items, dtype=np.int32),
        candidates,
        np.array([places[row] for row in items], dtype=np.int64),
        propensities,
        None if rules is None else [marks.get(row, ()) for row in items],
        tuple(name for name in STEPS if name in acted),
        filling.notes(),
    )


def _chosen(word: LastWord, q: int, rows: Rows, caps: tuple[Cap, ...], k: int) -> Chosen:
    """What exploration and diversity choose; nothing, where neither is asked for."""
    if not word.explore and not word.diversity:
        return Chosen(np.empty(0, dtype=np.int64), np.empty(0), {})
    draws = None
    if word.seeds is not None:
        draws = np.random.default_rng(int(word.seeds[q])).random((len(rows), 2))
    vectors = word.vectors[rows] if word.vectors is not None and word.diversity else None
    return choose(rows, k, word.diversity, vectors, caps, word.explore, draws)


def _with_rest(chosen: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """The places chosen, then all others of n in their order.

    >>> _with_rest(np.array([3, 0]), 5)
    array([3, 0, 1, 2, 4])
    """
    rest = np.ones(n, dtype=bool)
    rest[chosen] = False
    return np.concatenate([chosen, np.flatnonzero(rest)])


class Filling:
    """An answer that is being read off an order, item by item, in row numbers.

    Attributes:
        items: so far.
        pinned: all items that have a pin.
        overtaken: whose caps kept an item out while another one got in, of ``caps`` and ``rules``.
    """

    def __init__(self, k: int, caps: Iterable[Cap], pins: Mapping[int, int]) -> None:
        self.items: list[int] = []
        self.pinned = {*pins.values()}
        self.overtaken: set[str] = set()
        self._k, self._count, self._pins = k, Count(caps), dict(pins)
        self._passed: list[int] = []
        self._passed_by: set[str] = set()
        self._exceeding: dict[int, tuple[Cap, ...]] = {}
        for row in self.pinned:
            self._count.add(row)

    def offer(self, rows: Iterable[int]) -> None:
        """Take what fits the caps, until there are k."""
        for row in rows:
            if self._full():
                return
            if row in self.pinned:
                continue
            if self._count.fits(row):
                self.overtaken |= self._passed_by
                self._add(row)
            else:
                self._passed.append(row)
                self._passed_by |= {cap.step for cap in self._count.exceeded(row)}

    def complete(self, candidates: Candidates, more: More) -> Candidates:
        """Go on with the rest of the catalogue: under the caps first, then without them.

        Returns:
            The candidates, and what was looked at besides.
        """
        while not self._full() and (piece := more(candidates.item_rows, self._count)) is not None:
            candidates = candidates.followed_by(piece)
            self.offer(piece.item_rows.tolist())
        self._add_anyway(self._passed)
        while not self._full() and (piece := more(candidates.item_rows, None)) is not None:
            candidates = candidates.followed_by(piece)
            self._add_anyway(piece.item_rows.tolist())
        self.items += [self._pins[place] for place in sorted(self._pins)][: self._k - len(self.items)]
        return candidates

    def exceeding_rules(self) -> dict[int, tuple[str, ...]]:
        """The names of the rules whose caps an item of the answer exceeds, by item."""
        named = {row: tuple(cap.rule for cap in caps if cap.rule) for row, caps in self._exceeding.items()}
        return {row: names for row, names in named.items() if names}

    def notes(self) -> tuple[str, ...]:
        if not self._exceeding:
            return ()
        told = dict.fromkeys(f"{cap.name}: {cap.limit}" for caps in self._exceeding.values() for cap in caps)
        n = len(self._exceeding)
        return (
            f"no other item that is allowed fits the caps ({', '.join(told)}): the last {n} "
            f"{'item exceeds' if n == 1 else 'items exceed'} them",
        )

    def _full(self) -> bool:
        """Whether there are k items, once the pins have been placed whose turn it is."""
        while len(self.items) < self._k and len(self.items) in self._pins:
            self.items.append(self._pins.pop(len(self.items)))
        return len(self.items) >= self._k

    def _add(self, row: int) -> None:
        self._count.add(row)
        self.items.append(row)

    def _add_anyway(self, rows: Iterable[int]) -> None:
        for row in rows:
            if self._full():
                return
            if row not in self.pinned:
                self._exceeding[row] = self._count.exceeded(row)
                self._add(row)
