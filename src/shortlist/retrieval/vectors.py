"""A query vector against item vectors: a user id's own, or one folded in from the history."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from shortlist.data.log import Floats, Mask, Rows
from shortlist.errors import DataError
from shortlist.stages import Contributions, Queries, Source

MOST_MULTIPLICATIONS = 2**18
"""In one matrix product: OpenBLAS starts threads above it, which costs far more than so small a product saves."""


@dataclass(frozen=True)
class IdVectors(Source):
    """One vector per known user, one per item; the score is their dot product plus the item's bias.

    Attributes:
        user_vectors: float32 (n_users, d).
        item_vectors: float32 (n_items, d).
        item_biases: float32 (n_items,).
        trained_users: bool (n_users,), users with at least one training event; the others are abstained for.
        trained_items: bool (n_items,), items with at least one training event; the others have no evidence.
    """

    proposes_above: ClassVar[float] = -math.inf

    name: str
    user_vectors: Floats
    item_vectors: Floats
    item_biases: Floats
    trained_users: Mask
    trained_items: Mask

    def score_catalogue(self, queries: Queries) -> Floats:
        scores = np.full((len(queries), len(self.item_vectors)), np.nan, dtype=np.float32)
        for row, user in enumerate(queries.user_rows):
            if user >= 0 and self.trained_users[user]:
                # One matrix-vector product per query, never a block: its bits do not depend on the batch.
                products = self.item_vectors @ self.user_vectors[user]  # (n_items,)
                scores[row] = np.where(self.trained_items, products + self.item_biases, np.nan)
        return scores


@dataclass(frozen=True)
class FoldedVectors(Source):
    """The vector that fits the history best, by one solve, against item vectors: how ALS answers.

    score(q, j) = x_q · v_j with x_q = (P + Σ_i c_i (v_i v_iᵀ + λI))⁻¹ Σ_i c_i v_i over the items of the history,
    c_i = `confidence` of Σ_p decay^p · weight_p over the item's events, p = 0 for the history's latest event.

    Attributes:
        item_vectors: float32 (n_items, d), v.
        prior: float32 (d, d), symmetric and positive definite, P: what holds for every query.
        ridge: λ, at least 0.
        trained_items: bool (n_items,), items with at least one training event; the others have no evidence.
        decay: in (0, 1], the weight of an event relative to the next newer one.
    """

    name: str
    item_vectors: Floats
    prior: Floats
    ridge: float
    trained_items: Mask
    decay: float = 1.0

    def score_catalogue(self, queries: Queries) -> Floats:
        scores = np.full((len(queries), len(self.item_vectors)), np.nan, dtype=np.float32)
        history = queries.history_matrix(len(self.item_vectors), self.decay)
        history.sum_duplicates()
        for q in range(len(queries)):
            events = slice(history.indptr[q], history.indptr[q + 1])
            items, weights = self._evidence(history.indices[events], history.data[events])
            if len(items):
                vector = fold_in(self.item_vectors, items, weights, self.prior, self.ridge)
                # One matrix-vector product per query, never a block: its bits do not depend on the batch.
                scores[q] = np.where(self.trained_items, self.item_vectors @ vector, np.nan)
        return scores

    def _evidence(self, items: Rows, weights: Floats) -> tuple[Rows, Floats]:
        """The items of a history that count, and their confidence."""
        weights = confidence(weights)
        counts = self.trained_items[items] & (weights > 0)
        return items[counts], weights[counts]

    def contributions(self, query: Queries, item_rows: Rows) -> Contributions:
        """The terms c_i v_jᵀ A⁻¹ v_i of x · v_j, with the matrix A of the whole history.

        Hu, Koren and Volinsky 2008, "Collaborative filtering for implicit feedback datasets", section 5.
        """
        history = query.history_matrix(len(self.item_vectors), self.decay)
        history.sum_duplicates()
        taken, weights = self._evidence(history.indices, history.data)
        system, _ = normal_equations(self.item_vectors, taken, weights, self.prior, self.ridge)
        turned = np.linalg.solve(system.astype(np.float64), self.item_vectors[item_rows].T)  # (d, n)
        return Contributions(taken.astype(np.int32), (turned.T @ self.item_vectors[taken].T) * weights)


def confidence(weights: NDArray[np.floating]) -> Floats:
    """float32: log2(1 + weight): one event counts 1, a hundred repeats not a hundred times as much.

    >>> confidence(np.array([0, 1, 3, 1023]))
    array([ 0.,  1.,  2., 10.], dtype=float32)
    """
    counted: Floats = np.log2(1 + weights).astype(np.float32)
    return counted


def fold_in(vectors: Floats, rows: NDArray[np.integer], weights: Floats, prior: Floats, ridge: float) -> Floats:
    """float32 (d,): (P + Σ c (v vᵀ + λI))⁻¹ Σ c v, the least-squares vector for some weighted rows.

    Args:
        vectors: float32 (n, d).
        rows: (m,), rows of ``vectors``.
        weights: float32 (m,), c > 0.
        prior: float32 (d, d), P.
        ridge: λ.

    Raises:
        DataError: the system is not positive definite.

    >>> vectors = np.array([[1, 0], [0, 2]], dtype=np.float32)
    >>> fold_in(vectors, np.array([1]), np.array([1], dtype=np.float32), np.eye(2, dtype=np.float32), 1.0).round(3)
    array([0.   , 0.333], dtype=float32)
    """
    system, target = normal_equations(vectors, rows, weights, prior, ridge)
    _, solution, failed = lapack.sposv(system.T, target, lower=1, overwrite_a=1, overwrite_b=1)
    if failed:
        raise DataError(f"ALS: a system of {len(prior)} equations is not positive definite; more regularisation helps")
    folded: Floats = solution
    return folded


def normal_equations(
    vectors: Floats, rows: NDArray[np.integer], weights: Floats, prior: Floats, ridge: float
) -> tuple[Floats, Floats]:
    """float32 (d, d) and (d,): P + Σ c (v vᵀ + λI) and Σ c v, for the arguments of `fold_in`."""
    d = len(prior)
    system = prior.copy()
    system.ravel()[:: d + 1] += ridge * weights.sum()
    target = np.zeros(d, dtype=np.float32)
    step = max(1, MOST_MULTIPLICATIONS // d**2)
    for start in range(0, len(rows), step):
        part, c = vectors[rows[start : start + step]], weights[start : start + step]
        system += (part.T * c) @ part
        target += c @ part
    return system, target
