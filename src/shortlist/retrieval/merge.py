"""Several sources, one candidate set: the union, scored by every source, in the order of reciprocal-rank fusion."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shortlist.data.log import Floats, Mask
from shortlist.stages import NO_EVIDENCE, Candidates, Queries, Source
from shortlist.topk import select_top

RRF_CONSTANT = 60
"""Cormack, Clarke and Büttcher 2009, "Reciprocal rank fusion outperforms Condorcet": k = 60."""


def retrieve(sources: Sequence[Source], fallback: Source, queries: Queries, allowed: Mask, n: int) -> Candidates:
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
    """
    scores = [source.score_catalogue(queries) for source in sources]
    proposed = [
        select_top(catalogue, n, source.proposable(catalogue, allowed))
        for source, catalogue in zip(sources, scores, strict=True)
    ]
    union = np.logical_or.reduce(proposed)  # (n_queries, n_items)
    filled = _fill(union, fallback, queries, allowed, n)
    query_rows, item_rows = np.nonzero(union | filled)
    found = union[query_rows, item_rows]
    evidence = [catalogue[query_rows, item_rows] for catalogue in scores]
    ranks = np.stack(
        [catalogue_ranks(c, query_rows, e) for c, e in zip(scores, evidence, strict=True)], axis=1
    )  # (n, n_sources)
    fused = np.where(found, fuse(ranks, union.shape[1]), 0)
    topped_up = np.zeros(len(fused), dtype=np.float32)
    if filled.any():
        topped_up = np.where(found, 0, fallback.score_catalogue(queries)[query_rows, item_rows])
    order = np.lexsort((item_rows, -np.nan_to_num(topped_up, nan=-1), -fused, query_rows))
    counts = np.bincount(query_rows, minlength=len(queries))
    places = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    order = order[places < n]
    return Candidates(
        np.concatenate([[0], np.cumsum(np.minimum(counts, n))]),
        item_rows[order].astype(np.int32),
        fused[order],
        np.stack(evidence, axis=1)[order],
        np.stack([standardise(c, query_rows, e) for c, e in zip(scores, evidence, strict=True)], axis=1)[order],
        ranks[order],
        np.stack([p[query_rows, item_rows] for p in proposed], axis=1)[order],
    )


def _fill(union: Mask, fallback: Source, queries: Queries, allowed: Mask, n: int) -> Mask:
    """bool, the shape of union: the items that the fallback adds where the union is shorter than it could be."""
    filled = np.zeros_like(union)
    missing = np.minimum(n, allowed.sum(axis=1)) - union.sum(axis=1)
    for q in np.flatnonzero(missing > 0):
        popularity = fallback.score_catalogue(queries.block(q, q + 1))
        filled[q] = select_top(popularity, int(missing[q]), (allowed[q] & ~union[q])[None])[0]
    return filled


def fuse(ranks: NDArray[np.int32], n_items: int) -> NDArray[np.float64]:
    """Reciprocal-rank fusion: Σ over the sources with evidence of 1 / (60 + rank).

    Args:
        ranks: int32 (n, n_sources), n_items + 1 = no evidence.

    >>> float(fuse(np.array([[1, 4]]), n_items=3))
    0.01639344262295082
    """
    return np.where(ranks <= n_items, 1.0 / (RRF_CONSTANT + ranks), 0.0).sum(axis=1)


def catalogue_ranks(catalogue: Floats, query_rows: NDArray[np.int64], scores: Floats) -> NDArray[np.int32]:
    """int32 (n,): 1 + number of catalogue items with a higher score; n_items + 1 where the score is ``nan``.

    Args:
        catalogue: float32 (n_queries, n_items).
        query_rows: int64 (n,), not decreasing.
        scores: float32 (n,), each one an entry of its query's catalogue row.
    """
    ascending = np.sort(catalogue, axis=1)  # nan last
    known = (~np.isnan(ascending)).sum(axis=1)
    bounds = np.searchsorted(query_rows, np.arange(len(catalogue) + 1))
    ranks = np.full(len(scores), catalogue.shape[1] + 1, dtype=np.int32)
    for q in range(len(catalogue)):
        span = slice(bounds[q], bounds[q + 1])
        lower_or_equal = np.searchsorted(ascending[q, : known[q]], scores[span], side="right")
        ranks[span] = np.where(np.isnan(scores[span]), ranks[span], known[q] - lower_or_equal + 1)
    return ranks


def standardise(catalogue: Floats, query_rows: NDArray[np.int64], scores: Floats) -> Floats:
    """float32 (n,): standard deviations above the mean of the items for which the source has evidence."""
    known = ~np.isnan(catalogue)
    n_known = np.maximum(known.sum(axis=1), 1)
    values = np.where(known, catalogue, 0).astype(np.float64)
    mean = values.sum(axis=1) / n_known
    variance = np.square(values).sum(axis=1) / n_known - mean**2
    deviation = np.sqrt(np.maximum(variance, 1e-24))
    z = (scores - mean[query_rows]) / deviation[query_rows]
    return np.where(np.isnan(scores), NO_EVIDENCE, np.maximum(z, NO_EVIDENCE + 1)).astype(np.float32)
