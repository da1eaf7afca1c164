"""What features add to the score, in groups that a person can read."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shortlist.explaining.explanation import FeatureShare, GroupShare
from shortlist.explaining.groups import group_of
from shortlist.ranking.features import Features
from shortlist.ranking.linear import Linear
from shortlist.retrieval.merge import RRF_CONSTANT
from shortlist.stages import Candidates, Queries, Ranker


class Shares(NamedTuple):
    """What makes up the scores of n candidates.

    Attributes:
        names: of the columns below.
        scores, bases: float64 (n,).
        values: float64 (n, n_names), ``nan`` = not known.
        contributions: float64 (n, n_names); with the base each row sums to the score.
    """

    names: tuple[str, ...]
    scores: NDArray[np.float64]
    bases: NDArray[np.float64]
    values: NDArray[np.float64]
    contributions: NDArray[np.float64]

    def groups(self, place: int, labels: Mapping[str, str]) -> list[GroupShare]:
        """Of one candidate, the largest first; a feature that adds nothing is left out."""
        grouped: dict[str, list[FeatureShare]] = {}
        columns = zip(self.names, self.values[place].tolist(), self.contributions[place].tolist(), strict=True)
        for name, value, contribution in columns:
            if contribution:
                share = FeatureShare(name, value if np.isfinite(value) else None, contribution)
                grouped.setdefault(group_of(name), []).append(share)
        shares = [
            GroupShare(labels[key], sum(share.contribution for share in found), sorted(found, key=_size))
            for key, found in grouped.items()
        ]
        return sorted(shares, key=_size)

    def of_groups(self, keys: Sequence[str]) -> NDArray[np.float64]:
        """float64 (n,): what some groups add together."""
        columns = [column for column, name in enumerate(self.names) if group_of(name) in keys]
        total: NDArray[np.float64] = self.contributions[:, columns].sum(axis=1)
        return total


def _size(share: FeatureShare | GroupShare) -> float:
    return -abs(share.contribution)


def shares_of(ranker: Ranker, features: Features, query: Queries, candidates: Candidates) -> Shares:
    """What makes up the ranker's scores of one query's candidates.

    The fusion as a ranker is a sum over the sources, and is told as that.
    """
    names = ranker.feature_names
    table = features.build(names, query, candidates)
    bases, contributions = ranker.contributions(table)
    shares = Shares(names, ranker.score(table), bases, table.astype(np.float64), contributions)
    if isinstance(ranker, Linear) and "fusion" in names:
        return _with_votes(shares, ranker.weights[names.index("fusion")], features, query, candidates)
    return shares


def _with_votes(shares: Shares, weight: float, features: Features, query: Queries, candidates: Candidates) -> Shares:
    """The column ``fusion`` replaced by each source's vote, whose value is its rank in the catalogue."""
    column = shares.names.index("fusion")
    known = candidates.ranks <= features.item_counts.n_items
    votes = np.where(known, weight / (RRF_CONSTANT + candidates.ranks), 0.0)
    of_sources = features.weights_of(query)
    if of_sources is not None:
        votes = votes * of_sources[0]
    return Shares(
        tuple(name for name in shares.names if name != "fusion") + tuple(f"{s}_vote" for s in features.source_names),
        shares.scores,
        shares.bases,
        np.hstack([np.delete(shares.values, column, axis=1), np.where(known, candidates.ranks, np.nan)]),
        np.hstack([np.delete(shares.contributions, column, axis=1), votes]),
    )
