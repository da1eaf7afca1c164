"""Which sources speak for an item, and which items of the history carry their scores."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shortlist.explaining.explanation import Because, SourceReason
from shortlist.stages import Candidates, Queries, Source

MOST_BECAUSE = 5
"""Items of the history told per source."""
NEGLIGIBLE = 1e-6
"""A share from 0 up to it is not told."""


def source_reasons(
    sources: Sequence[Source], query: Queries, candidates: Candidates, item_ids: Sequence[int | str]
) -> list[list[SourceReason]]:
    """For each candidate the sources with evidence, those that proposed it first, then by rank.

    Args:
        query: one.
        candidates: of that query.
        item_ids: of the catalogue.
    """
    reasons: list[list[SourceReason]] = [[] for _ in range(len(candidates))]
    for s, source in enumerate(sources):
        scores = candidates.scores[:, s]
        because = _because(source, query, candidates, scores, item_ids)
        for place in np.flatnonzero(~np.isnan(scores)).tolist():
            reasons[place].append(
                SourceReason(
                    source.name,
                    int(candidates.ranks[place, s]),
                    float(scores[place]),
                    bool(candidates.proposers[place, s]),
                    because.get(place, []),
                )
            )
    return [sorted(one, key=lambda reason: (not reason.proposed, reason.rank)) for one in reasons]


def _because(
    source: Source,
    query: Queries,
    candidates: Candidates,
    scores: NDArray[np.float32],
    item_ids: Sequence[int | str],
) -> dict[int, list[Because]]:
    """By place among the candidates. Where a score is not above 0, a share of it would say the opposite."""
    places = np.flatnonzero(scores > max(source.proposes_above, 0))
    found = source.contributions(query, candidates.item_rows[places]) if len(places) else None
    if found is None:
        return {}
    totals = found.amounts.sum(axis=1)
    ids = [item_ids[row] for row in found.item_rows.tolist()]
    because = {}
    for place, amounts, total in zip(places.tolist(), found.amounts, totals.tolist(), strict=True):
        if total > 0:
            shares = amounts / total
            because[place] = [Because(ids[which], float(shares[which])) for which in _told(shares)]
    return because


def _told(shares: NDArray[np.float64]) -> list[int]:
    """The largest shares, for and against, and more of those against while the sum exceeds 1; those for it first.

    All shares sum to 1, but where some are negative the others exceed it: what is told never does.

    >>> _told(np.array([0.9, 0.4, -0.2, -0.1]))
    [0, 1, 3, 2]
    """
    by_size = np.argsort(-np.abs(shares), kind="stable").tolist()
    told = [which for which in by_size[:MOST_BECAUSE] if not 0 <= shares[which] <= NEGLIGIBLE]
    total = sum(shares[told])
    for which in by_size[MOST_BECAUSE:]:
        if total <= 1:
            break
        if shares[which] < 0:
            told.append(which)
            total += shares[which]
    return sorted(told, key=lambda which: -shares[which])
