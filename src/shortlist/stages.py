"""The contract between the two stages. Read this first.

A batch of `Queries` goes to each `Source` (stage 1, retrieval), which scores the catalogue from what it has evidence
for. The merge turns their proposals into `Candidates`. A `Ranker` (stage 2) reads one row of features per candidate
and returns one score per row.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from shortlist.data.log import Floats, Log, Mask, Rows, Times
from shortlist.topk import ordered, select_top

QUERIES_AT_ONCE = 128
CELLS_AT_ONCE = 2**21
RESOLUTION = np.float32(2.0**-24)
"""Half the distance from 1 to the next float32."""


@dataclass(frozen=True)
class Queries:
    """Who asks, when, and with which history: ``n`` queries as flat arrays.

    Attributes:
        user_rows: int32 (n,), -1 for a user who is not in the vocabulary.
        at: int64 (n,), the moment of asking, in the unit of the log's timestamps.
        offsets: int64 (n + 1,); query q's history is ``offsets[q]:offsets[q + 1]`` of the arrays below, oldest first.
        item_rows: int32 (n_events,).
        timestamps: int64 (n_events,).
        ratings: float32 (n_events,), ``nan`` where there is none.
        weights: float32 (n_events,), how much each event counts as evidence; 0 = seen, but not a positive.
    """

    user_rows: Rows
    at: Times
    offsets: NDArray[np.int64]
    item_rows: Rows
    timestamps: Times
    ratings: Floats
    weights: Floats

    def __len__(self) -> int:
        return len(self.user_rows)

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """int64 (n,): number of history events of each query."""
        return np.diff(self.offsets)

    @cached_property
    def event_queries(self) -> NDArray[np.int64]:
        """int64 (n_events,): the query each history event belongs to."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @cached_property
    def positions_from_end(self) -> NDArray[np.int64]:
        """int64 (n_events,): 0 for a history's latest event, 1 for the one before, and so on."""
        return self.offsets[self.event_queries + 1] - 1 - np.arange(len(self.item_rows))

    def fresh(self, tick_length: int) -> Mask:
        """bool (n,): whether the last event lies less than a tick before the moment of asking.

        Somebody who acts just now goes on with what they are at; who comes back after a while wants what is new.
        """
        last = np.append(self.timestamps, 0)[self.offsets[1:] - 1]
        fresh: Mask = (self.lengths > 0) & (self.at - last < tick_length)
        return fresh

    def history_matrix(self, n_items: int, decay: float = 1.0, latest: int = 0) -> sp.csr_matrix:
        """float32 (n, n_items): Σ decay^p · weight_p of each history item, p = 0 for the latest event.

        Events that weigh less beside the query's heaviest than float32 resolves (2^-24) are left out: with a decay of
        0.8 all but some 75, however long the history.

        Args:
            decay: in (0, 1].
            latest: only that many latest events count; 0 = all.
        """
        positions, queries = self.positions_from_end, self.event_queries
        weights = (self.weights * np.float32(decay) ** positions.astype(np.float32)).astype(np.float32)
        heaviest = np.zeros(len(self), dtype=np.float32)
        np.maximum.at(heaviest, queries, weights)
        keep = weights > heaviest[queries] * RESOLUTION
        if latest:
            keep &= positions < latest
        offsets = np.concatenate([[0], np.cumsum(np.bincount(queries[keep], minlength=len(self)))])
        return sp.csr_matrix((weights[keep], self.item_rows[keep], offsets), shape=(len(self), n_items))

    def block(self, start: int, stop: int) -> "Queries":
        """Queries ``start`` to ``stop - 1``."""
        events = slice(self.offsets[start], self.offsets[min(stop, len(self))])
        return Queries(
            self.user_rows[start:stop],
            self.at[start:stop],
            self.offsets[start : stop + 1] - self.offsets[start],
            self.item_rows[events],
            self.timestamps[events],
            self.ratings[events],
            self.weights[events],
        )

    def take(self, rows: NDArray[np.integer]) -> "Queries":
        """Some of the queries, in the order given."""
        lengths = self.lengths[rows]
        ends = np.cumsum(lengths)
        events = np.arange(lengths.sum()) + np.repeat(self.offsets[rows] - (ends - lengths), lengths)
        return Queries(
            self.user_rows[rows],
            self.at[rows],
            np.concatenate([[0], ends]),
            self.item_rows[events],
            self.timestamps[events],
            self.ratings[events],
            self.weights[events],
        )

    def followed_by(self, more: "Queries") -> "Queries":
        """These queries, then others."""
        return Queries(
            np.concatenate([self.user_rows, more.user_rows]),
            np.concatenate([self.at, more.at]),
            np.concatenate([self.offsets, self.offsets[-1] + more.offsets[1:]]),
            np.concatenate([self.item_rows, more.item_rows]),
            np.concatenate([self.timestamps, more.timestamps]),
            np.concatenate([self.ratings, more.ratings]),
            np.concatenate([self.weights, more.weights]),
        )

    def catalogue_blocks(self, n_items: int) -> Iterator[tuple[int, "Queries"]]:
        """`blocks` of a size such that each source's scores of the whole catalogue take at most 8 MB."""
        return self.blocks(max(1, min(QUERIES_AT_ONCE, CELLS_AT_ONCE // max(n_items, 1))))

    def blocks(self, size: int) -> Iterator[tuple[int, "Queries"]]:
        """``(start, block)`` for consecutive blocks of at most ``size`` queries."""
        for start in range(0, len(self), size):
            yield start, self.block(start, start + size)


@dataclass(frozen=True)
class Candidates:
    """The shortlist of each query, flat: query q's candidates are ``offsets[q]:offsets[q + 1]``, best first.

    Attributes:
        offsets: int64 (n_queries + 1,).
        item_rows: int32 (n,).
        retrieval_scores: float64 (n,), reciprocal-rank fusion of the sources; not increasing within a query,
            fallback items last (after `followed_by` that holds of each part).
        scores: float32 (n, n_sources), every candidate scored by every source; ``nan`` = no evidence.
        standardised: float32 (n, n_sources), the score in standard deviations from the mean of that query's
            *unfiltered* catalogue; `NO_EVIDENCE` where there is none.
        ranks: int32 (n, n_sources), 1 + number of catalogue items that the source scores higher, unfiltered;
            n_items + 1 without evidence.
        proposers: bool (n, n_sources), which sources proposed the candidate; none = it came by the fallback.
    """

    offsets: NDArray[np.int64]
    item_rows: Rows
    retrieval_scores: NDArray[np.float64]
    scores: Floats
    standardised: Floats
    ranks: NDArray[np.int32]
    proposers: Mask

    def __len__(self) -> int:
        return len(self.item_rows)

    @cached_property
    def query_rows(self) -> NDArray[np.int64]:
        """int64 (n,): the query each candidate belongs to."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def of_query(self, q: int) -> "Candidates":
        """The candidates of one query alone."""
        own = slice(self.offsets[q], self.offsets[q + 1])
        return Candidates(
            self.offsets[q : q + 2] - self.offsets[q],
            self.item_rows[own],
            self.retrieval_scores[own],
            self.scores[own],
            self.standardised[own],
            self.ranks[own],
            self.proposers[own],
        )

    def first(self, k: int) -> "Candidates":
        """The first k of each query, or all where there are fewer."""
        return self.take(np.arange(len(self)) - self.offsets[self.query_rows] < k)

    def take(self, keep: Mask) -> "Candidates":
        """The candidates where a mask (n,) is true, in the same order."""
        counts = np.bincount(self.query_rows[keep], minlength=len(self.offsets) - 1)
        return Candidates(
            np.concatenate([[0], np.cumsum(counts)]),
            self.item_rows[keep],
            self.retrieval_scores[keep],
            self.scores[keep],
            self.standardised[keep],
            self.ranks[keep],
            self.proposers[keep],
        )

    def followed_by(self, more: "Candidates") -> "Candidates":
        """For each query its candidates here, then those of another set for the same queries."""
        order = np.argsort(np.concatenate([self.query_rows, more.query_rows]), kind="stable")
        return Candidates(
            self.offsets + more.offsets,
            np.concatenate([self.item_rows, more.item_rows])[order],
            np.concatenate([self.retrieval_scores, more.retrieval_scores])[order],
            np.concatenate([self.scores, more.scores])[order],
            np.concatenate([self.standardised, more.standardised])[order],
            np.concatenate([self.ranks, more.ranks])[order],
            np.concatenate([self.proposers, more.proposers])[order],
        )


NO_EVIDENCE = np.float32(-10.0)
"""The standardised score of an item for which a source has no evidence: below every real one."""


class Contributions(NamedTuple):
    """What each item of one history adds to a source's scores.

    Attributes:
        item_rows: int32 (m,), items of the history, each once.
        amounts: float64 (n, m), a row for each item asked about: its sum is that item's score.
    """

    item_rows: Rows
    amounts: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Catalogue:
    """A source's scores of all items, and what follows from them, worked out once.

    Attributes:
        rows: float32 (n_rows, n_items); ``nan`` = no evidence.
        kept: whether the source gives the same value again when the same is asked.
    """

    rows: Floats
    kept: bool = False

    @cached_property
    def n_known(self) -> NDArray[np.int64]:
        """int64 (n_rows,): items with evidence."""
        known: NDArray[np.int64] = self.rows.shape[1] - np.isnan(self.rows).sum(axis=1)
        return known

    @cached_property
    def ascending(self) -> Floats:
        """float32 (n_rows, n_items): each row in order, ``nan`` last."""
        return np.sort(self.rows, axis=1)

    @cached_property
    def order(self) -> list[Rows]:
        """Of each row the items with evidence, best first, ties by item row."""
        orders = np.argsort(-self.rows, axis=1, kind="stable")
        return [order[:n].astype(np.int32) for order, n in zip(orders, self.n_known.tolist(), strict=True)]

    @cached_property
    def moments(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """float64 (n_rows,): mean and standard deviation of the scores with evidence."""
        n_known = np.maximum(self.n_known, 1)
        values = np.where(np.isnan(self.rows), 0, self.rows).astype(np.float64)
        mean = values.sum(axis=1) / n_known
        variance = np.square(values).sum(axis=1) / n_known - mean**2
        return mean, np.sqrt(np.maximum(variance, 1e-14 * mean**2 + 1e-30))  # float32 tells no smaller spread from none


class Source(ABC):
    """A retriever. A subclass says how it scores the catalogue; proposing and scoring follow from that.

    Sources based on ids abstain (all ``nan``) for unknown users; those based on the history answer an unknown user
    with a history exactly like a known one. The scores of a query must not depend, to the bit, on which other queries
    are in the batch.
    """

    name: str
    proposes_above: ClassVar[float] = 0.0
    """Only a score above this is evidence in favour: an item below it is scored, but never proposed."""

    @abstractmethod
    def score_catalogue(self, queries: Queries) -> Floats:
        """float32 (n_queries, n_items): the score of every item, ``nan`` where the source has no evidence."""

    def distinct_scores(self, queries: Queries) -> tuple[Floats, NDArray[np.int64]]:
        """`score_catalogue` without repeats, for sources that answer many queries alike.

        Returns:
            float32 (n_distinct, n_items) and int64 (n_queries,), the row that holds each query's scores.
        """
        return self.score_catalogue(queries), np.arange(len(queries))

    def catalogue(self, queries: Queries) -> tuple[Catalogue, NDArray[np.int64]]:
        """`distinct_scores` with what follows from them."""
        rows, places = self.distinct_scores(queries)
        return Catalogue(rows), places

    def propose(self, queries: Queries, n: int, allowed: Mask | None = None) -> list[Rows]:
        """At most n items per query, only items that the source has evidence in favour of, best first.

        Args:
            queries: the batch.
            n: at least 1.
            allowed: bool (n_queries, n_items) or ``None`` for all.

        Returns:
            One int32 array of item rows per query; ties by item row.
        """
        scores = self.score_catalogue(queries)
        chosen = select_top(scores, n, self.proposable(scores, allowed))
        return [ordered(scores[q], np.flatnonzero(chosen[q])) for q in range(len(queries))]

    def proposable(self, scores: Floats, allowed: Mask | None) -> Mask:
        """bool, the shape of scores: where there is evidence in favour and the item is allowed."""
        evidence: Mask = scores > self.proposes_above
        return evidence if allowed is None else evidence & allowed

    def score(self, queries: Queries, items: Sequence[Rows]) -> list[Floats]:
        """The scores of any items, one array of item rows per query; ``nan`` = no evidence."""
        scores = self.score_catalogue(queries)
        return [scores[q][items[q]] for q in range(len(queries))]

    def contributions(self, query: Queries, item_rows: Rows) -> Contributions | None:
        """How the history's items make up the scores of some items; ``None`` = the scores are no sum over them.

        Args:
            query: one.
            item_rows: int32 (n,). The amounts of an item without evidence mean nothing.
        """
        return None


class Ranker(Protocol):
    """Stage 2: one score per row of features."""

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The features it wants, in this order."""

    def score(self, features: Floats) -> NDArray[np.float64]:
        """float64 (n,) from float32 (n, n_features); higher is better."""

    def contributions(self, features: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """A base per row, float64 (n,), and what each feature adds to it, float64 (n, n_features).

        Exact: a row's base and contributions sum to its score.
        """


def stored_queries(log: Log, user_rows: Rows, at: Times, *, strictly_before: bool = True) -> Queries:
    """One query per user, with the history that a log holds.

    Args:
        log: where the histories come from.
        user_rows: int32 (n,), -1 = unknown, asked with an empty history.
        at: int64 (n,).
        strictly_before: the history ends before ``at``; ``False`` = it is all that the log holds of the user.
    """
    order, offsets = log.by_user
    known = user_rows >= 0
    starts = np.where(known, offsets[user_rows], 0)
    lengths = np.where(known, offsets[user_rows + 1] - offsets[user_rows], 0)
    ends = np.cumsum(lengths)
    events = order[np.arange(lengths.sum()) + np.repeat(starts - (ends - lengths), lengths)]
    if strictly_before:
        query_rows = np.repeat(np.arange(len(user_rows)), lengths)
        early = log.timestamps[events] < at[query_rows]
        events, lengths = events[early], np.bincount(query_rows[early], minlength=len(user_rows))
    return Queries(
        user_rows.astype(np.int32),
        at.astype(np.int64),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        log.item_rows[events],
        log.timestamps[events],
        log.ratings[events],
        log.weights[events],
    )


class Ranked(NamedTuple):
    """One query's answer in row numbers, best first.

    Attributes:
        item_rows: int32 (n,).
        scores: float64 (n,), ``nan`` below the ranked candidates, where the retrieval order goes on.
        places: int64 (n,), position of each in ``candidates``: its retrieval rank is one more than that.
        candidates: the shortlist it was chosen from.
        predicted_ratings: float32 (n,) or ``None`` where nothing predicts ratings.
        propensities, marks, acted, notes: see `shortlist.ranking.rerank.Reranked`.
    """

    item_rows: Rows
    scores: NDArray[np.float64]
    places: NDArray[np.int64]
    candidates: Candidates
    predicted_ratings: Floats | None
    propensities: NDArray[np.float64] | None = None
    marks: list[tuple[str, ...]] | None = None
    acted: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
