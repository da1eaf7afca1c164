"""Symmetric trees as plain arrays, answered in NumPy: no tree library and no native parser at answering time."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from shortlist.data.log import Floats
from shortlist.errors import ArtifactError
from shortlist.ranking import shapley

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
        leaf_weights: float32 (n_trees, 2 ** depth), how many training rows reached each leaf: the background of
            `contributions`. ``None`` = nobody counted (models saved before this was); every leaf that can be reached
            then counts alike.
    """

    feature_names: tuple[str, ...]
    split_features: NDArray[np.int32]
    borders: Floats
    leaf_values: NDArray[np.float64]
    leaf_weights: Floats | None = None

    def __post_init__(self) -> None:
        n_trees, depth = self.split_features.shape
        if depth > MAX_DEPTH:
            raise ArtifactError(f"trees: depth {depth}, at most {MAX_DEPTH} can be answered")
        if self.borders.shape != (n_trees, depth) or self.leaf_values.shape != (n_trees, 2**depth):
            raise ArtifactError(
                f"trees: {n_trees} trees of depth {depth}, but borders {self.borders.shape} and leaf values "
                f"{self.leaf_values.shape}"
            )
        if self.leaf_weights is not None and self.leaf_weights.shape != self.leaf_values.shape:
            raise ArtifactError(
                f"trees: leaf values {self.leaf_values.shape}, but leaf weights {self.leaf_weights.shape}"
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

    def contributions(self, features: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The mean score of the training rows, and what each feature adds to it: exact Shapley values.

        See `shortlist.ranking.shapley`; a row's base and contributions sum to its score.

        Returns:
            float64 (n,), the base, the same for all rows; and float64 (n, n_features).

        Raises:
            ArtifactError: the trees are deeper than `shapley.MAX_DEPTH`.
        """
        base, tables = self._shapley
        n, n_features = features.shape
        parts = tables[np.arange(len(tables))[:, None], :, self._leaf_numbers(features)]  # (n_trees, n, depth)
        cells = np.arange(n)[:, None] * n_features + self.split_features[:, None, :]  # likewise
        sums = np.bincount(cells.ravel(), parts.ravel(), minlength=n * n_features)
        return np.full(n, base), sums.astype(np.float64).reshape(n, n_features)  # of no rows bincount makes integers

    @cached_property
    def _shapley(self) -> tuple[float, NDArray[np.float64]]:
        depth = self.split_features.shape[1]
        if depth > shapley.MAX_DEPTH:
            raise ArtifactError(f"trees: depth {depth}, at most {shapley.MAX_DEPTH} can be explained")
        if self.leaf_weights is None:
            shares = shapley.possible_leaves(self.split_features, self.borders)
        else:
            shares = self.leaf_weights / self.leaf_weights.sum(axis=1, keepdims=True, dtype=np.float64)
        tables = shapley.shapley_tables(self.split_features, self.leaf_values, shares)
        return float((shares * self.leaf_values).sum()), tables

    def _leaves(self, features: Floats) -> NDArray[np.float64]:
        """float64 (n, n_trees): the value of the leaf that each row reaches in each tree."""
        n_trees, depth = self.split_features.shape
        first_leaf = np.arange(n_trees)[:, None] << depth
        values = self.leaf_values.ravel().take(first_leaf + self._leaf_numbers(features))  # (n_trees, n)
        return np.ascontiguousarray(values.T)

    def _leaf_numbers(self, features: Floats) -> NDArray[np.uint16]:
        """uint16 (n_trees, n): the leaf that each row reaches in each tree."""
        columns = np.ascontiguousarray(features.T)  # (n_features, n)
        n_trees, depth = self.split_features.shape
        leaf = np.zeros((n_trees, len(features)), dtype=np.uint16)
        for level in reversed(range(depth)):
            leaf <<= 1
            leaf |= columns[self.split_features[:, level]] > self.borders[:, level, None]
        return leaf
