"""How alike two items are: half by their attributes, half by who takes them up."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import scipy.sparse as sp

from shortlist.data.log import Floats, Log

N_DIRECTIONS = 64


def likeness_vectors(attributes: Floats, taken_up: Floats) -> Floats:
    """Vectors whose dot product is the mean of two cosines; a half that no item has does not count.

    An item without attributes, or that nobody has taken up, is in that half like the average of the others: what is
    not known of it must not make it stand out.

    Args:
        attributes: float32 (n_items, n_values), zero rows = none.
        taken_up: float32 (n_items, d), likewise.

    Returns:
        float32 (n_items, n_values + d), rows of length one.

    >>> vectors = likeness_vectors(np.eye(3, 2, dtype=np.float32), np.zeros((3, 1), dtype=np.float32))
    >>> (vectors @ vectors.T).round(2)
    array([[1.  , 0.  , 0.71],
           [0.  , 1.  , 0.71],
           [0.71, 0.71, 1.  ]], dtype=float32)
    """
    halves = [_units(half) for half in (attributes, taken_up) if half.any()]
    if not halves:
        return np.ones((len(attributes), 1), dtype=np.float32)
    return np.hstack(halves) / np.float32(np.sqrt(len(halves)))


def _units(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = vectors / np.maximum(lengths, 1e-12)
    average = units[lengths[:, 0] > 0].mean(axis=0)
    known: Floats = np.where(lengths > 0, units, average / max(float(np.linalg.norm(average)), 1e-12)).astype(
        np.float32
    )
    return known


def taken_up_vectors(sources: Iterable[Any], log: Log) -> Floats:
    """float32 (n_items, d): the first item vectors that sources have; where none has any, `user_vectors`.

    Zero for items that a source was not trained on.
    """
    for source in sources:
        vectors: Floats | None = getattr(source, "item_vectors", None)
        if vectors is not None:
            trained = getattr(source, "trained_items", None)
            known: Floats = vectors if trained is None else np.where(trained[:, None], vectors, np.float32(0))
            return known
    return user_vectors(log)


def user_vectors(log: Log) -> Floats:
    """float32 (n_items, 64): the users who took an item up, projected to random directions.

    That keeps the cosine of two items within about 0.12 (Johnson and Lindenstrauss 1984).
    """
    taken = sp.csr_matrix(
        (np.ones(len(log), dtype=np.float32), (log.item_rows, log.user_rows)), shape=(log.n_items, log.n_users)
    )
    taken.data[:] = 1
    directions = np.random.default_rng(0).standard_normal((log.n_users, N_DIRECTIONS), dtype=np.float32)
    projected: Floats = taken @ directions
    return projected
