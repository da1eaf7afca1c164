"""EASE: a linear item-item model in closed form (Steck 2019, arXiv:1905.03375)."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.linalg import lapack

from shortlist.data.log import Log
from shortlist.errors import DataError
from shortlist.retrieval.item_item import ItemItem, keep_strongest

MAX_ITEMS = 20_000
"""The Gram matrix is dense: 20,000 items take 1.6 GB. Beyond, the sparse approximation is a later piece."""
MOST_INVERTED, FEWEST_INVERTED = 6_000, 2_000
"""Items that are inverted for 100,000 events, for more or fewer as the cube root goes: the cost follows the log. And at
least. Items that few took up have little to tell each other that co-visitation does not know."""


def interaction_matrix(log: Log) -> sp.csr_matrix:
    """X: float32 (n_users, n_items), 1 where the user took the item up."""
    ones = np.ones(len(log), dtype=np.float32)
    x = sp.csr_matrix((ones, (log.user_rows, log.item_rows)), shape=(log.n_users, log.n_items))
    x.data[:] = 1  # repeats were summed
    return x


def items_to_invert(log: Log) -> NDArray[np.int64]:
    """int64 (n,), rising: the rows of all items, or of those that most users took up where all would cost too much.

    >>> events = np.zeros(3, dtype=np.int32)
    >>> items_to_invert(Log(events, np.array([0, 2, 2]), events, events, events, 1, 3))
    array([0, 1, 2])
    """
    n = int(MOST_INVERTED * (len(log) / 100_000) ** (1 / 3))
    if log.n_items <= max(n, FEWEST_INVERTED):
        return np.arange(log.n_items)
    n_users = np.asarray(interaction_matrix(log).sum(axis=0)).ravel()
    return np.sort(np.argsort(-n_users, kind="stable")[: max(n, FEWEST_INVERTED)])


def gram_matrix(log: Log, items: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
    """G = XᵀX: float32 (n_items, n_items), how many users took up both items; of some items (rows) or of all."""
    x = interaction_matrix(log)
    x = x if items is None or len(items) == log.n_items else x[:, items]
    gram = np.zeros((x.shape[1], x.shape[1]), dtype=np.float32)
    for start in range(0, x.shape[0], 2048):
        block = x[start : start + 2048].toarray()  # (2048, n_items)
        gram += block.T @ block
    return gram


def ease_weights(gram: NDArray[np.float32], regularisation: float) -> NDArray[np.float32]:
    """B: float32 (n_items, n_items), zero diagonal.

    P = (G + λI)⁻¹,   B_ij = −P_ij / P_jj for i ≠ j.

    >>> ease_weights(np.array([[2, 1], [1, 2]], dtype=np.float32), 1.0).round(3)
    array([[0.   , 0.333],
           [0.333, 0.   ]], dtype=float32)
    """
    factor, failed = lapack.spotrf(gram + regularisation * np.eye(len(gram), dtype=np.float32), lower=1, clean=0)
    inverse, failed_too = lapack.spotri(factor, lower=1)
    if failed or failed_too:
        raise DataError(f"EASE: the Gram matrix with regularisation {regularisation} is not positive definite")
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    weights: NDArray[np.float32] = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return weights


def fit_ease(
    log: Log, *, regularisation: float, decay: float = 1.0, neighbours: int = 512, name: str = "ease"
) -> ItemItem:
    """Fit EASE on the positives of a log.

    Args:
        regularisation: λ > 0.
        decay: how the history is weighted when answering, see `ItemItem`.
        neighbours: how many of each item's strongest weights are kept.

    Raises:
        DataError: the catalogue is too large for a dense Gram matrix.
    """
    if log.n_items > MAX_ITEMS:
        raise DataError(f"EASE: {log.n_items:,} items, at most {MAX_ITEMS:,} fit a dense Gram matrix; leave it out")
    items = items_to_invert(log.positives())
    weights = ease_weights(gram_matrix(log.positives(), items), regularisation)
    return ItemItem.of(name, spread(keep_strongest(weights, neighbours), items, log.n_items), decay)


def spread(matrix: sp.csr_matrix, items: NDArray[np.int64], n_items: int) -> sp.csr_matrix:
    """The matrix of some items as one of all, (n_items, n_items).

    >>> spread(sp.csr_matrix([[0, 1], [2, 0]]), np.array([0, 2]), 3).toarray()
    array([[0, 0, 1],
           [0, 0, 0],
           [2, 0, 0]])
    """
    if len(items) == n_items:
        return matrix
    entries = matrix.tocoo()
    return sp.csr_matrix((entries.data, (items[entries.row], items[entries.col])), shape=(n_items, n_items))
