"""Symmetric trees as plain arrays, answered in NumPy: no tree library and no native parser at answering time."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.data.log import Floats
from shortlist.errors import ArtifactError

ROWS_AT_ONCE = 1024
MAX_DEPTH = 16
"""CatBoost's own limit; the number of a leaf fits 16 bits."""


@dataclass(frozen=True)
class Trees:
    """Boosted symmetric (oblivious) trees: all nodes of a level ask the same question.

    leaf(t, x) = Σ_d 2^d · [x[feature(t, d)] > border(t, d)],   score(x) = Σ_t value(t, leaf(t, x)).

    Attributes:
        feature_names: the columns it reads.
        split_features: int32 (n_trees, depth), column numbers.
        borders: float32 (n_trees, depth); ``inf`` = never above, for trees that are not as deep.
        leaf_values: float64 (n_trees, 2 ** depth).
    """

    feature_names: tuple[str, ...]
    split_features: NDArray[np.int32]
    borders: Floats
    leaf_values: NDArray[np.float64]

    def __post_init__(self) -> None:
        n_trees, depth = self.split_features.shape
        if depth > MAX_DEPTH:
            raise ArtifactError(f"trees: depth {depth}, at most {MAX_DEPTH} can be answered")
        if self.borders.shape != (n_trees, depth) or self.leaf_values.shape != (n_trees, 2**depth):
            raise ArtifactError(
                f"trees: {n_trees} trees of depth {depth}, but borders {self.borders.shape} and leaf values "
                f"{self.leaf_values.shape}"
            )
        if n_trees and not (self.split_features.min() >= 0 and self.split_features.max() < len(self.feature_names)):
            raise ArtifactError(f"trees: a split asks for a column outside the {len(self.feature_names)} features")

    def score(self, features: Floats) -> NDArray[np.float64]:
        """float64 (n,) from float32 (n, n_features)."""
        scores = np.empty(len(features))
        for start in range(0, len(features), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            scores[rows] = self._leaves(features[rows]).sum(axis=1)
        return scores

    def _leaves(self, features: Floats) -> NDArray[np.float64]:
        """float64 (n, n_trees): the value of the leaf that each row reaches in each tree."""
        columns = np.ascontiguousarray(features.T)  # (n_features, n)
        n_trees, depth = self.split_features.shape
        leaf = np.zeros((n_trees, len(features)), dtype=np.uint16)
        for level in reversed(range(depth)):
            leaf <<= 1
            leaf |= columns[self.split_features[:, level]] > self.borders[:, level, None]
        first_leaf = np.arange(n_trees)[:, None] << depth
        values = self.leaf_values.ravel().take(first_leaf + leaf)  # (n_trees, n)
        return np.ascontiguousarray(values.T)
