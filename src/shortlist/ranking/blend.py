"""The final order: linear in the ranker's raw margin and one standardised source score, so contributions add up."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.data.log import Floats
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
        parts = [
            ranker_weight * margins + source_weight * features[:, self.feature_names.index(name)].astype(np.float64)
            for name, ranker_weight, source_weight in zip(
                self.source_features, self.ranker_weights, self.source_weights, strict=True
            )
        ]
        if len(parts) == 1:
            return parts[0]
        return np.where(features[:, self.feature_names.index(FRESH)] > 0, parts[1], parts[0])
