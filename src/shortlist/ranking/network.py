"""A small network over a user's and an item's vector, answered in NumPy to the same bits in any batch."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.data.log import Floats, Rows
from shortlist.stages import Queries

BLOCK_ROWS = 4096
"""Rows answered at once: bounds the memory, changes no bit."""


@dataclass(frozen=True)
class RatingNetwork:
    """Predicts ratings: the vectors of user and item side by side, through the layers, plus the offset.

    Attributes:
        user_vectors: float32 (n_users + 1, d); the last row answers for an unknown user.
        item_vectors: float32 (n_items + 1, d); the last row answers for an unknown item.
        weights: float32 (n_inputs, n_outputs) of each layer; the first takes 2 d, the last gives 1.
        biases: float32 (n_outputs,) of each layer. A rectifier follows every layer but the last.
        offset: added to the last layer's output.
    """

    user_vectors: Floats
    item_vectors: Floats
    weights: tuple[Floats, ...]
    biases: tuple[Floats, ...]
    offset: float = 0.0

    def predict(self, queries: Queries, query_rows: NDArray[np.int64], item_rows: Rows) -> Floats:
        """float32 (n,): as `predict_rows`, for the users of some queries; their histories do not count."""
        return self.predict_rows(queries.user_rows[query_rows], item_rows)

    def predict_rows(self, user_rows: Rows, item_rows: Rows) -> Floats:
        """The predicted rating of each pair, not clipped to the scale.

        A pair's prediction does not depend, to the bit, on which other pairs are asked with it.

        Args:
            user_rows: int32 (n,), -1 for an unknown user.
            item_rows: int32 (n,), -1 for an unknown item.

        Returns:
            float32 (n,).
        """
        predictions = np.empty(len(user_rows), dtype=np.float32)
        for start in range(0, len(user_rows), BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            predictions[block] = self._block(user_rows[block], item_rows[block])
        return predictions

    def _block(self, user_rows: Rows, item_rows: Rows) -> Floats:
        x = np.concatenate([self.user_vectors[user_rows], self.item_vectors[item_rows]], axis=1)  # (n, 2 d)
        for layer, (weights, biases) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = exact_product(x, weights) + biases  # (n, n_outputs)
            if layer < len(self.weights) - 1:
                x = np.maximum(x, 0)
        return (x[:, 0] + self.offset).astype(np.float32)


def exact_product(x: NDArray[np.floating], w: NDArray[np.floating]) -> NDArray[np.float64]:
    """x @ w with a result that does not depend on the order of the sums.

    BLAS adds in an order that depends on the shape and on the machine, so that a row's last bits change with its
    batch. Here each row of x and each column of w becomes whole numbers times a power of two, small enough that
    every partial sum of products is a whole number below 2⁵³: float64 holds it exactly, and any order gives the same.
    For 256 inputs, rounding changes a value by at most 2⁻²² of the greatest in its row, or column.

    Args:
        x: finite, (n, k).
        w: finite, (k, m).

    Returns:
        float64 (n, m).

    >>> exact_product(np.array([[1.0, 2.0, 0.5]]), np.array([[3.0], [4.0], [-2.0]]))
    array([[10.]])
    """
    bits = (53 - math.ceil(math.log2(max(2, x.shape[1])))) // 2
    x_scales = _scales(x, bits, axis=1)  # (n, 1)
    w_scales = _scales(w, bits, axis=0)  # (1, m)
    product: NDArray[np.float64] = np.rint(x * x_scales) @ np.rint(w * w_scales)  # (n, m), whole numbers
    return product / x_scales / w_scales


def _scales(values: NDArray[np.floating], bits: int, axis: int) -> NDArray[np.float64]:
    """The powers of two that bring the greatest value of each row (axis 1) or column (axis 0) just below 2**bits."""
    _, exponents = np.frexp(np.abs(values).max(axis=axis, keepdims=True))
    scales: NDArray[np.float64] = np.ldexp(1.0, bits - exponents)
    return scales
