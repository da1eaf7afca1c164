"""A small network over a user's and an item's vector, answered in NumPy to the same bits in any batch."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from shortlist.data.log import Floats, Rows
from shortlist.ranking.bias import Terms
from shortlist.stages import Queries

Doubles = NDArray[np.float64]

BLOCK_ROWS = 16
"""Rows answered at once. So few that OpenBLAS multiplies them by 256 x 64 weights on one thread: beside other work,
waiting for a second one takes many times as long as the product. Changes no bit."""


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

    def terms(self, queries: Queries, query_rows: NDArray[np.int64], item_rows: Rows) -> Terms:
        """One term: what a network says is no sum of parts that belong to the user or the item."""
        return Terms(("network",), self.predict(queries, query_rows, item_rows)[:, None].astype(np.float64))

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
        for layer, ((whole, scales), biases) in enumerate(zip(self._whole_weights, self.biases, strict=True)):
            x = _exact_product(x, whole, scales) + biases  # (n, n_outputs)
            if layer < len(self.weights) - 1:
                x = np.maximum(x, 0)
        return (x[:, 0] + self.offset).astype(np.float32)

    @cached_property
    def _whole_weights(self) -> list[tuple[Doubles, Doubles]]:
        return [_whole_numbers(weights, _bits(len(weights)), axis=0) for weights in self.weights]


def exact_product(x: NDArray[np.floating], w: NDArray[np.floating]) -> Doubles:
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
    return _exact_product(x, *_whole_numbers(w, _bits(len(w)), axis=0))


def _exact_product(x: NDArray[np.floating], w_whole: Doubles, w_scales: Doubles) -> Doubles:
    x_whole, x_scales = _whole_numbers(x, _bits(len(w_whole)), axis=1)
    product: Doubles = x_whole @ w_whole  # (n, m), whole numbers
    return product / x_scales / w_scales


def _bits(n_inputs: int) -> int:
    """How many each factor may have, so that a sum of so many products has at most 53."""
    return (53 - math.ceil(math.log2(max(2, n_inputs)))) // 2


def _whole_numbers(values: NDArray[np.floating], bits: int, axis: int) -> tuple[Doubles, Doubles]:
    """The values times a power of two for each row (axis 1) or column (axis 0), rounded; and those powers.

    Each power brings the greatest value of its row or column just below 2**bits.
    """
    _, exponents = np.frexp(np.abs(values).max(axis=axis, keepdims=True))
    scales = np.ldexp(1.0, bits - exponents)
    return np.rint(values * scales), scales
