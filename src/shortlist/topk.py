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
    selected = np.zeros(scores.shape, dtype=bool)
    for row in range(len(scores)):
        items = np.flatnonzero(allowed[row])  # often few of the catalogue
        if len(items) > k:
            values = np.fmax(scores[row, items], LOWEST)
            threshold = np.partition(values, len(items) - k)[len(items) - k]
            best = values >= threshold
            surplus = int(best.sum()) - k
            if surplus:  # ties at the threshold: the last ones go
                best[np.flatnonzero(values == threshold)[-surplus:]] = False
            items = items[best]
        selected[row, items] = True
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
