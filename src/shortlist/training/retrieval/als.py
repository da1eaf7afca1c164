"""ALS for implicit feedback, regularised by frequency (Hu et al. 2008; Rendle et al. 2021, arXiv:2110.14037)."""

from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from shortlist.data.log import Floats, Log
from shortlist.errors import DataError
from shortlist.retrieval.vectors import FoldedVectors, confidence, fold_in

INITIAL_SIZE = 0.1
"""Length of the random vectors that the first step starts from."""


def fit_als(
    log: Log,
    *,
    regularisation: float,
    unobserved: float = 16.0,
    dimension: int = 64,
    iterations: int = 6,
    decay: float = 1.0,
    fit_decay: float = 1.0,
    seed: int = 0,
    name: str = "als",
) -> FoldedVectors:
    """Fit item vectors on the positives of a log; users are folded in from their history when they ask.

    Minimised by turns over user vectors x and item vectors v:

        Σ_ui c_ui (1 − x_u·v_i)² + α Σ_ui (x_u·v_i)² + λ Σ_u (n_u + α n_items) |x_u|² + λ Σ_i (n_i + α n_users) |v_i|²

    c_ui is the `confidence` of the pair's weight, n_u and n_i its sums, n_users and n_items count those with an event.
    The two settings do not depend on the size of the data: α = ``unobserved`` · Σ c / (n_users n_items) and
    λ = ``regularisation`` / (1 + ``unobserved``); a user's ridge is then ``regularisation`` · Σ c / n_users on average.

    Args:
        regularisation: above 0.
        unobserved: above 0, the weight of all pairs as no evidence, relative to that of all positives.
        dimension: length of a vector.
        iterations: times that all users and all items are solved for.
        decay: how the history is weighted when answering, see `FoldedVectors`.
        fit_decay: in (0, 1], the weight of an event in the fit relative to the user's next newer one.
        seed: of the first item vectors.

    Raises:
        DataError: the log has no positive event, or the regularisation is so small that float32 cannot solve for it.

    >>> from shortlist.data.synthetic import two_tastes
    >>> fit_als(two_tastes().log(), regularisation=0.1, dimension=4).item_vectors.shape
    (40, 4)
    """
    log = log.positives()
    if fit_decay < 1:
        log = replace(log, weights=(log.weights * np.float32(fit_decay) ** log.positions_from_end).astype(np.float32))
    users = confidence_matrix(log)
    if not users.nnz:
        raise DataError("ALS needs at least one event with a weight above 0; the log has none.")
    items = sp.csr_matrix(users.T)
    n_active_users, n_active_items = (int((np.diff(side.indptr) > 0).sum()) for side in (users, items))
    alpha = unobserved * float(users.sum(dtype=np.float64)) / (n_active_users * n_active_items)
    ridge = regularisation / (1 + unobserved)
    trained = np.diff(items.indptr) > 0
    start = np.random.default_rng(seed).standard_normal((log.n_items, dimension))
    item_vectors = (start * (INITIAL_SIZE / np.sqrt(dimension)) * trained[:, None]).astype(np.float32)
    for _ in range(iterations):
        user_vectors = solve_side(users, item_vectors, prior_of(item_vectors, alpha, ridge, n_active_items), ridge)
        item_vectors = solve_side(items, user_vectors, prior_of(user_vectors, alpha, ridge, n_active_users), ridge)
    prior = prior_of(item_vectors, alpha, ridge, n_active_items)
    return FoldedVectors(name, item_vectors, prior, ridge, trained, decay)


def confidence_matrix(log: Log) -> sp.csr_matrix:
    """float32 (n_users, n_items): the confidence of each pair's summed weight."""
    matrix = sp.csr_matrix((log.weights, (log.user_rows, log.item_rows)), shape=(log.n_users, log.n_items))
    matrix.data = confidence(matrix.data)
    return matrix


def prior_of(vectors: Floats, alpha: float, ridge: float, n_active: int) -> Floats:
    """float32 (d, d): α VᵀV + λ α n I, the part of the normal equations that all rows of the other side share."""
    gram = vectors.T @ vectors
    prior: Floats = (alpha * gram + ridge * alpha * n_active * np.eye(len(gram))).astype(np.float32)
    return prior


def solve_side(matrix: sp.csr_matrix, vectors: Floats, prior: Floats, ridge: float) -> Floats:
    """float32 (n_rows, d): each row's vector given those of its columns; zeros for an empty row."""
    solved = np.zeros((matrix.shape[0], vectors.shape[1]), dtype=np.float32)
    for row in np.flatnonzero(np.diff(matrix.indptr)):
        entries = slice(matrix.indptr[row], matrix.indptr[row + 1])
        solved[row] = fold_in(vectors, matrix.indices[entries], matrix.data[entries], prior, ridge)
    return solved
