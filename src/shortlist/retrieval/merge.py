"""Several sources, one candidate set: the union, scored by every source, in the order of reciprocal-rank fusion."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from shortlist.data.log import Floats, Mask, Rows
from shortlist.stages import NO_EVIDENCE, Candidates, Catalogue, Queries, Source
from shortlist.topk import select_top, top_k

Weights = NDArray[np.float64]
RRF_CONSTANT = 60
"""Cormack, Clarke and Büttcher 2009, "Reciprocal rank fusion outperforms Condorcet": k = 60."""


def retrieve(
    sources: Sequence[Source],
    fallback: Source,
    queries: Queries,
    allowed: Mask,
    n: int,
    weights: Weights | None = None,
    new_share: float = 0.0,
    tables: "Tables | None" = None,
) -> Candidates:
    """Exactly min(n, number allowed) candidates per query.

    Every source proposes at most n allowed items; their union is scored by all of them and cut to the n best by fusion.
    Where the union is short, the fallback's order fills up. Scores, ranks and fusion are those of the unfiltered
    catalogue, so an item's values do not depend on what else is allowed.

    Args:
        sources: at least one.
        fallback: scores any item; its order decides what tops up (``nan`` last, then by item row).
        queries: the batch; the result of each query is the same in any batch.
        allowed: bool (n_queries, n_items).
        n: at least 1.
        weights: float64 (n_queries, n_sources), of the sources' votes in the fusion; ``None`` = all alike.
        new_share: of the places, in [0, 1], kept for proposed items that the fallback knows nothing of. For an item
            without events only a source that reads attributes has a vote; the others would leave it no room.
        tables: what the sources say for these queries, where that is known already.
    """
    tables = Tables.of(sources, queries) if tables is None else tables
    proposed = tables.proposed(n, allowed)  # (n_sources, n_queries, n_items)
    union = np.logical_or.reduce(proposed)
    top_ups = _top_ups(union, fallback, queries, allowed, n)
    for q, items in top_ups.items():
        union[q, items] = True
    query_rows, item_rows = np.divmod(np.flatnonzero(union), union.shape[1])
    bounds = np.searchsorted(query_rows, np.arange(len(queries) + 1))
    scores = tables.scores(query_rows, item_rows)  # (n_union, n_sources)
    ranks = tables.ranks(bounds, scores)
    fused = fuse(ranks, union.shape[1], None if weights is None else weights[query_rows])
    for q, items in top_ups.items():
        found_at = bounds[q] + np.searchsorted(item_rows[bounds[q] : bounds[q + 1]], items)
        fused[found_at] = -np.arange(1, len(items) + 1)  # below every proposal, in the fallback's order
    new, n_new = np.zeros(len(fused), dtype=bool), int(n * new_share)
    if n_new:
        known, moments = fallback.distinct_scores(queries)
        new = np.isnan(known[moments[query_rows], item_rows])
    best = _best(fused, new, bounds, n, n_new)
    query_rows, item_rows = query_rows[best], item_rows[best]
    scores = scores[best]
    return Candidates(
        np.concatenate([[0], np.cumsum(np.minimum(np.diff(bounds), n))]),
        item_rows.astype(np.int32),
        np.maximum(fused[best], 0),
        scores,
        tables.standardised(query_rows, scores),
        ranks[best],
        np.ascontiguousarray(proposed[:, query_rows, item_rows].T),
    )


@dataclass(frozen=True)
class Tables:
    """What every source says of the whole catalogue for a batch of queries.

    Attributes:
        sources: as many catalogues and places.
        catalogues: of each source, the distinct ones.
        places: int64 (n_queries,) of each source: the row of its catalogue with the scores for a query.
    """

    sources: Sequence[Source]
    catalogues: Sequence[Catalogue]
    places: Sequence[NDArray[np.int64]]

    @classmethod
    def of(cls, sources: Sequence[Source], queries: Queries) -> "Tables":
        catalogues, places = zip(*(source.catalogue(queries) for source in sources), strict=True)
        return cls(sources, catalogues, places)

    def of_query(self, q: int) -> "Tables":
        """The same for one query of the batch."""
        return Tables(self.sources, self.catalogues, [places[q : q + 1] for places in self.places])

    def proposed(self, n: int, allowed: Mask) -> Mask:
        """bool (n_sources, n_queries, n_items): each source's n best allowed items with evidence in favour."""
        proposed = np.zeros((len(self.sources), *allowed.shape), dtype=bool)
        for source, catalogue, places, chosen in zip(self.sources, self.catalogues, self.places, proposed, strict=True):
            if catalogue.kept:  # its order is known: no need to look at the whole catalogue
                for q, row in enumerate(places.tolist()):
                    chosen[q, _first_allowed(catalogue.order[row], allowed[q], n)] = True
                chosen &= catalogue.rows[places] > source.proposes_above
            else:
                scores = catalogue.rows[places]  # (n_queries, n_items)
                chosen[:] = select_top(scores, n, source.proposable(scores, allowed))
        return proposed

    def scores(self, query_rows: NDArray[np.int64], item_rows: NDArray[np.int64]) -> Floats:
        """float32 (n, n_sources): of pairs of query and item."""
        tables = zip(self.catalogues, self.places, strict=True)
        return np.stack([catalogue.rows[places[query_rows], item_rows] for catalogue, places in tables], axis=1)

    def ranks(self, bounds: NDArray[np.int64], scores: Floats) -> NDArray[np.int32]:
        """int32 (n, n_sources): 1 + number of catalogue items with a higher score; n_items + 1 where it is ``nan``.

        Args:
            bounds: int64 (n_queries + 1,): query q's pairs are ``bounds[q]:bounds[q + 1]``.
            scores: float32 (n, n_sources), of those pairs.
        """
        spans = [slice(*span) for span in pairwise(bounds.tolist())]
        ranks = np.empty(scores.shape[::-1], dtype=np.int32)
        for ranked, asked, catalogue, places in zip(
            ranks, np.ascontiguousarray(scores.T), self.catalogues, self.places, strict=True
        ):
            for row, span in zip(places.tolist(), spans, strict=True):
                known, order = catalogue.ascending[row, : catalogue.n_known[row]], np.argsort(asked[span])
                higher = len(known) - known.searchsorted(asked[span][order], side="right")  # in order: faster
                ranked[span][order] = higher + 1
            ranked[np.isnan(asked)] = catalogue.rows.shape[1] + 1
        return np.ascontiguousarray(ranks.T)

    def standardised(self, query_rows: NDArray[np.int64], scores: Floats) -> Floats:
        """float32 (n, n_sources): standard deviations above the mean of the items that the source has evidence for.

        `NO_EVIDENCE` where the score is ``nan``, at least `NO_EVIDENCE` + 1 elsewhere; 0 where all scores are equal.
        """
        columns = []
        for asked, catalogue, places in zip(scores.T, self.catalogues, self.places, strict=True):
            mean, deviation = catalogue.moments
            z = (asked - mean[places[query_rows]]) / deviation[places[query_rows]]
            columns.append(np.where(np.isnan(asked), NO_EVIDENCE, np.maximum(z, NO_EVIDENCE + 1)))
        return np.stack(columns, axis=1).astype(np.float32)


def _first_allowed(order: Rows, allowed: Mask, n: int) -> Rows:
    """The first n allowed items of an order.

    >>> _first_allowed(np.array([2, 0, 1]), np.array([True, True, False]), 1)
    array([0])
    """
    head = order[: 8 * n]
    found: Rows = head[allowed[head]]
    if len(found) < n < len(order):
        found = order[allowed[order]]
    return found[:n]


def _top_ups(union: Mask, fallback: Source, queries: Queries, allowed: Mask, n: int) -> dict[int, Rows]:
    """What the fallback adds, in its order, to each query whose union is shorter than it could be."""
    missing = np.minimum(n, allowed.sum(axis=1)) - union.sum(axis=1)
    added = {}
    for q in np.flatnonzero(missing > 0).tolist():
        popularity = fallback.score_catalogue(queries.block(q, q + 1))
        (added[q],) = top_k(popularity, int(missing[q]), (allowed[q] & ~union[q])[None])
    return added


def _best(fused: NDArray[np.float64], new: Mask, bounds: NDArray[np.int64], n: int, n_new: int) -> NDArray[np.int64]:
    """Positions of each query's n best, n_new of them new if there are so many; ties in the order they stand in."""
    parts = []
    for start, stop in pairwise(bounds.tolist()):
        order = start + np.argsort(-fused[start:stop], kind="stable")
        parts.append(order[_chosen(new[order], n, n_new)] if stop - start > n else order)
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


def _chosen(new: Mask, n: int, n_new: int) -> Mask:
    """The first n of an order; the last of them give way to new ones that follow, until n_new are new.

    >>> _chosen(np.array([False, True, False, False, True, True]), n=4, n_new=2)
    array([ True,  True,  True, False,  True, False])
    """
    chosen = np.arange(len(new)) < n
    follow = np.flatnonzero(new & ~chosen)[: max(0, n_new - int(new[:n].sum()))]
    if len(follow):
        chosen[np.flatnonzero(chosen & ~new)[-len(follow) :]] = False
        chosen[follow] = True
    return chosen


def fuse(ranks: NDArray[np.int32], n_items: int, weights: Weights | None = None) -> NDArray[np.float64]:
    """Weighted reciprocal-rank fusion: Σ over the sources with evidence of weight / (60 + rank).

    Args:
        ranks: int32 (n, n_sources), n_items + 1 = no evidence.
        weights: float64 (n, n_sources); ``None`` = all 1.

    >>> fuse(np.array([[1, 4]], dtype=np.int32), n_items=3)
    array([0.01639344])
    """
    votes = np.where(ranks <= n_items, 1.0 / (RRF_CONSTANT + ranks), 0.0)  # (n, n_sources)
    fused = np.zeros(len(ranks))
    for source in range(ranks.shape[1]):  # one by one: a row's sum does not depend on the batch
        fused += votes[:, source] if weights is None else votes[:, source] * weights[:, source]
    return fused
