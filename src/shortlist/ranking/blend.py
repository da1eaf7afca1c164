"""The final order: linear in the ranker's raw margin and one standardised source score, so contributions add up."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.data.log import Floats
from shortlist.ranking.trees import Trees


@dataclass(frozen=True)
class Blend:
    """score = ranker_weight · margin(x) + source_weight · x[source_feature].

    Attributes:
        source_feature: for example ``"ease_z"``; must be among the trees' features.
    """

    trees: Trees
    source_feature: str
    ranker_weight: float
    source_weight: float

    @property
    def feature_names(self) -> tuple[str, ...]:
        return self.trees.feature_names

    def score(self, features: Floats) -> NDArray[np.float64]:
        """float64 (n,) from float32 (n, n_features)."""
        source = features[:, self.feature_names.index(self.source_feature)].astype(np.float64)
        return self.ranker_weight * self.trees.score(features) + self.source_weight * source
