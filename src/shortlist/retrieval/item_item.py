"""An item-item matrix applied to the history: EASE, co-visitation and item-kNN all are one."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from shortlist.data.log import Floats, Rows
from shortlist.stages import Contributions, Queries, Source

MAX_DENSE_CELLS = 2**24
"""Up to here (64 MB) a well-filled matrix is multiplied as a dense one."""


@dataclass(frozen=True)
class ItemItem(Source):
    """score(q, j) = Σ_p decay^p · weight_p · M[i_p, j] over the history, p = 0 for its latest event.

    The matrix is kept sparse, so that one user costs history times neighbours.

    Attributes:
        indptr, item_rows, values: the matrix in CSR form: int64 (n_items + 1,), int32 (nnz,), float32 (nnz,); row i
            holds what an event with item i adds to the score of other items.
        decay: in (0, 1], the weight of an event relative to the next newer one.
        latest: only that many latest events count; 0 = all.
    """

    name: str
    indptr: NDArray[np.int64]
    item_rows: NDArray[np.int32]
    values: Floats
    decay: float = 1.0
    latest: int = 0

    @classmethod
    def of(cls, name: str, matrix: sp.csr_matrix, decay: float = 1.0) -> "ItemItem":
        matrix.sort_indices()
        return cls(
            name,
            matrix.indptr.astype(np.int64),
            matrix.indices.astype(np.int32),
            matrix.data.astype(np.float32),
            decay,
        )

    @property
    def n_items(self) -> int:
        return len(self.indptr) - 1

    @cached_property
    def matrix(self) -> sp.csr_matrix:
        """The matrix (n_items, n_items) as SciPy's, without a copy."""
        return sp.csr_matrix((self.values, self.item_rows, self.indptr), shape=(self.n_items, self.n_items), copy=False)

    @cached_property
    def _operand(self) -> sp.csr_matrix | Floats:
        """The matrix as it multiplies fastest: sparse, or dense where it is small and well filled."""
        n_cells = self.n_items**2
        return self.matrix.toarray() if n_cells <= MAX_DENSE_CELLS and len(self.values) * 20 >= n_cells else self.matrix

    def apply(self, history: sp.csr_matrix) -> Floats:
        """float32 (n, n_items): the rows of a history matrix (n, n_items) times the matrix, 0 = nothing in common.

        SciPy multiplies row by row: a row's result does not depend on the other rows.
        """
        product = history @ self._operand
        return product if isinstance(product, np.ndarray) else product.toarray()

    def score_catalogue(self, queries: Queries) -> Floats:
        scores = self.apply(queries.history_matrix(self.n_items, self.decay, self.latest))
        scores[scores == 0] = np.nan
        return scores

    def contributions(self, query: Queries, item_rows: Rows) -> Contributions:
        """The terms of the sum: weight · M[i, j], the events of a history item taken together."""
        history = query.history_matrix(self.n_items, self.decay, self.latest)
        history.sum_duplicates()
        taken, weights = history.indices, history.data.astype(np.float64)
        block = self.matrix[taken][:, item_rows].toarray()  # (m, n)
        return Contributions(taken.astype(np.int32), block.T * weights)


def keep_strongest(matrix: NDArray[np.float32], n: int) -> sp.csr_matrix:
    """The n strongest entries (by size) of each column of a dense square matrix: each item's own neighbours.

    >>> keep_strongest(np.array([[0, 3], [1, 0]], dtype=np.float32), 1).toarray()
    array([[0., 3.],
           [1., 0.]], dtype=float32)
    """
    n_items = len(matrix)
    if n >= n_items:
        return sp.csr_matrix(matrix)
    strongest = np.argpartition(-np.abs(matrix), n, axis=0)[:n]  # (n, n_items)
    columns = np.broadcast_to(np.arange(n_items), strongest.shape)
    values = matrix[strongest, columns]
    return sp.csr_matrix((values.ravel(), (strongest.ravel(), columns.ravel())), shape=matrix.shape)
