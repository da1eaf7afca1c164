"""Exact top-k over the whole catalogue under any exclusion. Ties go to the lower item row."""

import numpy as np
from numpy.typing import NDArray

from shortlist.data.log import Floats, Mask, Rows

LOWEST = -np.finfo(np.float32).max


def select_top(scores: Floats, k: int, allowed: Mask) -> Mask:
    """Which items are among each row's k best allowed ones.

    Args:
        scores: float32 (n_rows, n_items); ``nan`` and ``-inf`` that are allowed count as the lowest score.
        k: at least 1; more than n_items means all.
        allowed: bool (n_rows, n_items).

    Returns:
        bool (n_rows, n_items) with exactly min(k, number allowed) true values in each row.

    >>> select_top(np.array([[3, 9, 9, 9]], dtype=np.float32), 2, np.array([[True, True, False, True]]))
    array([[False,  True, False,  True]])
    """
    n_items = scores.shape[1]
    if k >= n_items:
        return allowed.copy()
    masked = np.fmax(scores, LOWEST)  # fmax drops nan: whatever is allowed lies above the -inf of what is not
    masked[~allowed] = -np.inf
    thresholds = np.partition(masked, n_items - k, axis=1)[:, n_items - k]  # (n_rows,)
    selected: Mask = (masked >= thresholds[:, None]) & allowed
    surplus = selected.sum(axis=1) - k
    for row in np.flatnonzero(surplus > 0):  # ties at the threshold: the last ones go
        selected[row, np.flatnonzero(masked[row] == thresholds[row])[-surplus[row] :]] = False
    return selected


def ordered(scores: Floats, item_rows: NDArray[np.integer]) -> Rows:
    """Item rows by falling score, ties by item row; ``nan`` last.

    >>> ordered(np.array([1, 5, 5, 7], dtype=np.float32), np.array([0, 2, 1, 3]))
    array([3, 1, 2, 0], dtype=int32)
    """
    return item_rows[np.lexsort((item_rows, -scores[item_rows]))].astype(np.int32)


def top_k(scores: Floats, k: int, allowed: Mask) -> list[Rows]:
    """Each row's k best allowed items, best first: exactly min(k, number allowed) of them.

    >>> top_k(np.array([[1, 5, 5, 7]], dtype=np.float32), 3, np.ones((1, 4), dtype=bool))
    [array([3, 1, 2], dtype=int32)]
    """
    selected = select_top(scores, k, allowed)
    return [ordered(scores[row], np.flatnonzero(selected[row])) for row in range(len(scores))]
