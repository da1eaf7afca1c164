"""The final order: linear in the ranker's raw margin and one standardised source score, so contributions add up."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.data.log import Floats, Mask
from shortlist.ranking.trees import Trees

FRESH = "fresh"


@dataclass(frozen=True)
class Blend:
    """score = ranker_weight · margin(x) + source_weight · x[source_feature].

    Each field holds one value for all queries, or two: for those who have been away and for those who act just now
    (the feature ``fresh`` is 1).

    Attributes:
        source_features: for example ``("ease_z",)``; must be among the trees' features.
    """

    trees: Trees
    source_features: tuple[str, ...]
    ranker_weights: tuple[float, ...]
    source_weights: tuple[float, ...]

    @property
    def feature_names(self) -> tuple[str, ...]:
        return self.trees.feature_names

    def score(self, features: Floats) -> NDArray[np.float64]:
        """float64 (n,) from float32 (n, n_features)."""
        margins = self.trees.score(features)
        scores = np.empty(len(features))
        for rows, column, ranker_weight, source_weight in self._parts(features):
            scores[rows] = ranker_weight * margins[rows] + source_weight * features[rows, column].astype(np.float64)
        return scores

    def contributions(self, features: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Those of the trees, weighted, with the source's score on top of its feature's.

        The base is what the trees say on average, for the row's kind of query; a standardised score counts from 0, the
        mean of the query's catalogue.

        Returns:
            float64 (n,), the bases, and float64 (n, n_features); together they sum to each row's score.
        """
        bases, values = self.trees.contributions(features)
        for rows, column, ranker_weight, source_weight in self._parts(features):
            bases[rows] *= ranker_weight
            values[rows] *= ranker_weight
            values[rows, column] += source_weight * features[rows, column].astype(np.float64)
        return bases, values

    def _parts(self, features: Floats) -> Iterator[tuple[Mask, int, float, float]]:
        """For each kind of query its rows, the column of its source, and its weights."""
        fresh = np.zeros(len(features), dtype=bool)
        if len(self.source_features) > 1:
            fresh = features[:, self.feature_names.index(FRESH)] > 0
        kinds = zip((~fresh, fresh), self.source_features, self.ranker_weights, self.source_weights, strict=False)
        for rows, name, ranker_weight, source_weight in kinds:
            yield rows, self.feature_names.index(name), ranker_weight, source_weight
