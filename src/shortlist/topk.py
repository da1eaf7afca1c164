"""Exact top-k over the whole catalogue under any exclusion. Ties go to the lower item row."""

import numpy as np

from shortlist.data.log import Floats, Mask, Rows


def select_top(scores: Floats, k: int, allowed: Mask) -> Mask:
    """Which items are among each row's k best allowed ones.

    Args:
        scores: float32 (n_rows, n_items); a ``nan`` that is allowed counts as the lowest score.
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
    # fmax drops nan: whatever is allowed lies above the -inf of what is not.
    masked = np.where(allowed, np.fmax(scores, -np.finfo(np.float32).max), -np.inf)
    threshold = np.partition(masked, n_items - k, axis=1)[:, n_items - k, None]  # (n_rows, 1)
    above = masked > threshold
    level = (masked == threshold) & allowed
    room = k - above.sum(axis=1, keepdims=True)
    level &= np.cumsum(level, axis=1) <= room
    selected: Mask = above | level
    return selected


def ordered(scores: Floats, item_rows: np.ndarray) -> Rows:
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
