"""The dull ranker: a weighted sum of features. Fusion is one, sorting by predicted rating another."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.data.log import Floats


@dataclass(frozen=True)
class Linear:
    """score(x) = Σ_f weight_f · x_f.

    >>> Linear(("fusion",), (1.0,)).score(np.array([[0.5], [0.25]], dtype=np.float32))
    array([0.5 , 0.25])
    """

    feature_names: tuple[str, ...]
    weights: tuple[float, ...]

    def score(self, features: Floats) -> NDArray[np.float64]:
        """float64 (n,) from float32 (n, n_features)."""
        total = np.zeros(len(features))
        for column, weight in enumerate(self.weights):  # one by one: a row's sum does not depend on the batch
            total += weight * features[:, column].astype(np.float64)
        return total

    def contributions(self, features: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """float64 (n,), the base, which is 0, and float64 (n, n_features), the terms of the sum."""
        terms: NDArray[np.float64] = features.astype(np.float64) * np.array(self.weights)
        return np.zeros(len(features)), terms


FUSION = Linear(("fusion",), (1.0,))
BY_PREDICTED_RATING = Linear(("predicted_rating",), (1.0,))
