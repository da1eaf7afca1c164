"""Content: learn what attributes say about who takes an item up."""

import numpy as np
import polars as pl

from shortlist.data.log import Log
from shortlist.errors import DataError
from shortlist.retrieval.content import AttributeColumns, Content
from shortlist.training.retrieval.als import fit_als

MOST_VALUES = 4096
ITERATIONS = 4
REGULARISATION = 0.12
"""Of the ALS whose item vectors the attributes learn to tell. More iterations found no more on MovieLens."""


def fit_content(
    log: Log,
    items: pl.DataFrame,
    *,
    dimension: int = 32,
    ridge: float = 10.0,
    decay: float = 1.0,
    seed: int = 0,
    name: str = "content",
) -> Content:
    """Describe every item, whether anybody touched it or not, by what its attributes say.

    The weights are W = (CᵀC + ridge · I)⁻¹ CᵀV over the items with a positive event: C has their attributes as
    columns, V their ALS vectors, each of length one.

    Args:
        items: the catalogue, in the log's order: ``item_id`` and attributes.
        dimension: length of a vector.
        ridge: how many items have to share a value before half of what they have in common counts; above 0.
        decay: how the history is weighted when answering, see `Content`.
        seed: of the ALS.

    Raises:
        DataError: the log has no positive event, or no attribute tells any two items apart.

    >>> from shortlist.data.synthetic import two_tastes
    >>> dataset = two_tastes()
    >>> fit_content(dataset.log(), dataset.items, dimension=4).item_vectors.shape
    (40, 4)
    """
    columns = AttributeColumns.of(items, MOST_VALUES)
    if not len(columns):
        raise DataError("content: the items have no attribute that two of them share")
    als = fit_als(log, regularisation=REGULARISATION, dimension=dimension, iterations=ITERATIONS, seed=seed)
    taught = columns.matrix(items[np.flatnonzero(als.trained_items)]).astype(np.float64)
    targets = als.item_vectors[als.trained_items].astype(np.float64)
    targets /= np.maximum(np.linalg.norm(targets, axis=1, keepdims=True), 1e-12)
    gram = (taught.T @ taught).toarray()
    gram[np.diag_indices_from(gram)] += ridge
    weights = np.linalg.solve(gram, taught.T @ targets).astype(np.float32)
    return Content.of(name, items, columns, weights, decay)
