"""Metrics as functions on arrays: they know nothing of models, splits or data sets.

Three shapes of question, three groups below: lists against relevant items (one value per user), scores against the
true item of each test row (one rank per row), and predicted against given ratings (one value). Values per user are
``nan`` where the question has no answer; `mean_over_users` leaves those users out and says how many remain.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shortlist.data.log import Mask
from shortlist.errors import DataError
from shortlist.evaluation.lists import Integers, blocks, check_ranked, check_rows, max_of, min_of
from shortlist.evaluation.lists import Relevant as Relevant
from shortlist.evaluation.lists import hits as hits

PerUser = NDArray[np.float64]

# Lists against relevant items -----------------------------------------------------------------------------------------


def ndcg_at_k(ranked: Integers, relevant: Relevant, k: int) -> PerUser:
    """NDCG of each user's first k items: binary gain, log2 discount, ideal of min(k, n_relevant) hits.

    ``sum over hits of 1 / log2(1 + rank)``, divided by ``sum over ranks 1 … min(k, n_relevant) of 1 / log2(1 + rank)``.
    The convention of Liang et al. 2018 (arXiv:1802.05814).

    Args:
        ranked: int32 (n_users, n_ranked), item rows, best first, -1 = padding at the end of a list.
        relevant: the relevant items of the same n_users users.
        k: at least 1; places beyond n_ranked count as misses.

    Returns:
        float64 (n_users,) in [0, 1]; ``nan`` for a user without relevant items.

    Raises:
        DataError: k is below 1, or `hits` refuses the inputs.

    >>> ndcg_at_k(np.array([[7, 3, 5]]), Relevant.from_sets([{3, 5}]), k=2).round(3)
    array([0.387])
    """
    hit = hits_at_k(ranked, relevant, k)
    deepest = min(k, max(hit.shape[1], int(max_of(relevant.counts))))
    discounts = 1 / np.log2(np.arange(2, deepest + 2))
    ideal = np.concatenate([[0.0], np.cumsum(discounts)])
    gain = np.zeros(len(hit))
    for place in range(
        hit.shape[1]
    ):  # in the order of the cumulative sum above, so that a perfect list gives exactly 1
        gain += discounts[place] * hit[:, place]
    return divide(gain, ideal[np.minimum(k, relevant.counts)])


def recall_at_k(ranked: Integers, relevant: Relevant, k: int) -> PerUser:
    """Hits among each user's first k items, divided by min(k, n_relevant): 1 is always within reach.

    The convention of Liang et al. 2018 (arXiv:1802.05814). Arguments, result and errors as in `ndcg_at_k`.

    >>> recall_at_k(np.array([[7, 3, 5]]), Relevant.from_sets([{3, 5, 8}]), k=2)
    array([0.5])
    """
    return divide(hits_at_k(ranked, relevant, k).sum(axis=1), np.minimum(k, relevant.counts))


def recall_all_at_k(ranked: Integers, relevant: Relevant, k: int) -> PerUser:
    """Hits among each user's first k items, divided by n_relevant: the ceiling that k candidates leave to the ranker.

    Arguments, result and errors as in `ndcg_at_k`.

    >>> recall_all_at_k(np.array([[7, 3, 5]]), Relevant.from_sets([{3, 5, 8, 9}]), k=2)
    array([0.25])
    """
    return divide(hits_at_k(ranked, relevant, k).sum(axis=1), relevant.counts)


def precision_at_k(ranked: Integers, relevant: Relevant, k: int) -> PerUser:
    """Hits among each user's first k items, divided by k, also where the list or n_relevant is shorter.

    Arguments, result and errors as in `ndcg_at_k`.

    >>> precision_at_k(np.array([[7, 3, 5]]), Relevant.from_sets([{3, 5}]), k=4)
    array([0.5])
    """
    return divide(hits_at_k(ranked, relevant, k).sum(axis=1), np.where(relevant.counts > 0, k, 0))


def hit_rate_at_k(ranked: Integers, relevant: Relevant, k: int) -> PerUser:
    """1 where a user's first k items hold a relevant one, else 0.

    Arguments, result and errors as in `ndcg_at_k`.

    >>> hit_rate_at_k(np.array([[7, 3], [7, 3], [7, 3]]), Relevant.from_sets([{3, 5}, {5}, set()]), k=2)
    array([ 1.,  0., nan])
    """
    return divide(hits_at_k(ranked, relevant, k).sum(axis=1) > 0, np.minimum(1, relevant.counts))


def mrr_at_k(ranked: Integers, relevant: Relevant, k: int) -> PerUser:
    """1 / rank of the first relevant item among each user's first k; 0 where there is none.

    Arguments, result and errors as in `ndcg_at_k`.

    >>> mrr_at_k(np.array([[7, 3, 5]]), Relevant.from_sets([{3, 5}]), k=3)
    array([0.5])
    """
    hit = hits_at_k(ranked, relevant, k)
    reciprocal = np.zeros(len(hit))
    for place in reversed(range(hit.shape[1])):
        reciprocal[hit[:, place]] = 1 / (place + 1)
    return divide(reciprocal, np.minimum(1, relevant.counts))


def map_at_k(ranked: Integers, relevant: Relevant, k: int) -> PerUser:
    """Average precision: the precision at each hit among the first k, summed, divided by min(k, n_relevant).

    Arguments, result and errors as in `ndcg_at_k`.

    >>> map_at_k(np.array([[7, 3, 5]]), Relevant.from_sets([{3, 5}]), k=3).round(3)
    array([0.583])
    """
    hit = hits_at_k(ranked, relevant, k)
    so_far, total = np.zeros(len(hit)), np.zeros(len(hit))
    for place in range(hit.shape[1]):
        so_far += hit[:, place]
        total += hit[:, place] * so_far / (place + 1)
    return divide(total, np.minimum(k, relevant.counts))


class UserMean(NamedTuple):
    """A mean and the number of users that it is over."""

    mean: float
    n: int


def mean_over_users(values: PerUser) -> UserMean:
    """The mean of the values that are not ``nan``, and how many they are; ``(nan, 0)`` if there are none.

    >>> mean_over_users(np.array([0.5, np.nan, 1.0]))
    UserMean(mean=0.75, n=2)
    """
    present = values[~np.isnan(values)]
    return UserMean(float(present.mean()) if len(present) else float("nan"), len(present))


# Lists by themselves: slice them to k first -------------------------------------------------------------------------


def coverage(ranked: Integers, n_items: int) -> float:
    """The share of the catalogue that appears in any of the lists, in [0, 1]; ``nan`` for an empty catalogue.

    Args:
        ranked: int32 (n_users, n_ranked), item rows in ``[0, n_items)``, -1 = padding at the end of a list.
        n_items: size of the catalogue.

    Raises:
        DataError: an item is outside the catalogue, repeats in a list or follows padding.

    >>> coverage(np.array([[0, 2], [2, -1]]), n_items=4)
    0.5
    """
    check_ranked(ranked, n_items)
    shown = np.zeros(n_items + 1, dtype=np.bool_)
    shown[ranked] = True  # padding marks the extra last cell
    return float(shown[:-1].mean()) if n_items else float("nan")


def novelty(ranked: Integers, item_counts: Integers, total: int) -> PerUser:
    """How rare the items of each list are: the mean of ``-log2(count / total)``, in bits.

    The mean self-information of Zhou et al. 2010 (doi:10.1073/pnas.1000488107).

    Args:
        ranked: int32 (n_users, n_ranked), item rows, -1 = padding at the end of a list.
        item_counts: (n_items,), how many training users, or events, each item has; 0 is taken as 1.
        total: number of training users, or events: not less than the greatest count.

    Returns:
        float64 (n_users,) in [0, log2(total)]; ``nan`` for an empty list.

    Raises:
        DataError: a count is negative or above ``total``, or `coverage` would refuse the lists.

    >>> novelty(np.array([[0, 1], [1, -1]]), item_counts=np.array([8, 2]), total=8)
    array([1., 2.])
    """
    if total < 1 or min_of(item_counts) < 0 or max_of(item_counts) > total:
        raise DataError(
            f"counts must lie between 0 and the total of {total}; they go from {min_of(item_counts)} to "
            f"{max_of(item_counts)}: were users and events mixed?"
        )
    return mean_over_list(ranked, np.log2(total) - np.log2(np.maximum(item_counts, 1)))


def popularity_share(ranked: Integers, item_counts: Integers, head: float = 0.1) -> PerUser:
    """The share of each list that lies in the head of the catalogue, the most frequent items.

    Args:
        ranked: int32 (n_users, n_ranked), item rows, -1 = padding at the end of a list.
        item_counts: (n_items,), how often each item occurs in training.
        head: the head's share of the catalogue, in (0, 1]; its size is rounded, at least 1, ties to the lower item row.

    Returns:
        float64 (n_users,) in [0, 1]; ``nan`` for an empty list.

    Raises:
        DataError: ``head`` is out of range, or `coverage` would refuse the lists.

    >>> popularity_share(np.array([[0, 3], [1, 2]]), item_counts=np.array([5, 9, 1, 0]), head=0.25)
    array([0. , 0.5])
    """
    if not 0 < head <= 1:
        raise DataError(f"`head` must be a share above 0 and at most 1; it is {head}")
    in_head = np.zeros(len(item_counts))
    in_head[np.argsort(-item_counts.astype(np.int64), kind="stable")[: max(1, round(head * len(item_counts)))]] = 1
    return mean_over_list(ranked, in_head)


def intra_list_diversity(ranked: Integers, item_vectors: NDArray[np.floating]) -> PerUser:
    """How unlike each other the items of a list are: 1 - mean cosine over its pairs.

    Ziegler et al. 2005 (doi:10.1145/1060745.1060754), as a mean over pairs.

    Args:
        ranked: int32 (n_users, n_ranked), item rows, -1 = padding at the end of a list.
        item_vectors: float (n_items, n_attributes); an item whose vector is 0 is unlike (cosine 0) every other.

    Returns:
        float64 (n_users,): 0 if all point the same way, at most 1 where vectors have no negative part, else at most 2;
        ``nan`` for a list of fewer than two items.

    Raises:
        DataError: as `coverage`, or a vector that is not finite.

    >>> intra_list_diversity(np.array([[0, 1], [0, 2]]), np.array([[1.0, 0], [2, 0], [0, 3]]))
    array([0., 1.])
    """
    check_ranked(ranked, len(item_vectors))
    lengths = np.linalg.norm(item_vectors.astype(np.float64), axis=1)
    if not np.isfinite(lengths).all():
        raise DataError(f"item vectors must be finite; that of item {np.flatnonzero(~np.isfinite(lengths))[0]} is not")
    unit = item_vectors / np.where(lengths > 0, lengths, 1)[:, None]  # (n_items, n_attributes)
    unit = np.concatenate([unit, np.zeros((1, unit.shape[1]))])  # the last row is what -1 reads
    squares = (lengths > 0).astype(np.float64)
    similarity, pairs = np.zeros(len(ranked)), np.zeros(len(ranked))
    for block in blocks(ranked, unit.shape[1]):
        # The sum over pairs of u·v is |sum of u|² minus the sum of |u|².
        together = unit[ranked[block]].sum(axis=1)  # (n_block, n_attributes)
        alone = np.append(squares, 0.0)[ranked[block]].sum(axis=1)
        n = (ranked[block] >= 0).sum(axis=1)
        similarity[block], pairs[block] = (together**2).sum(axis=1) - alone, n * (n - 1)
    return np.clip(1 - divide(similarity, pairs), 0, 2)


# Scores against the true item of each test row -----------------------------------------------------------------------


def average_ranks(
    scores: NDArray[np.floating], row_users: Integers, row_items: Integers, excluded: Mask | None = None
) -> NDArray[np.float64]:
    """The rank of each test row's true item in the whole catalogue; equal scores share the average of their ranks.

    ``1 + number of items that score higher + half the number of other items that score the same``.

    Args:
        scores: float (n_users, n_items), the users of one block; ``nan`` and ``-inf`` are equal and lowest.
        row_users: (n_rows,), which row of ``scores`` each test row reads; several test rows may read the same.
        row_items: (n_rows,), the true item of each test row.
        excluded: bool (n_users, n_items), items that do not compete, such as those seen in training; a row's own item
            always competes. ``None`` = all compete.

    Returns:
        float64 (n_rows,) in [1, n_items], in steps of a half.

    Raises:
        DataError: shapes that do not fit, or a row out of range.

    >>> scores = np.array([[0.9, 0.5, 0.5, 0.1]])
    >>> average_ranks(scores, np.array([0, 0, 0]), np.array([0, 1, 3]))
    array([1. , 2.5, 4. ])
    >>> average_ranks(scores, np.array([0, 0]), np.array([0, 1]), excluded=np.array([[True, False, True, False]]))
    array([1., 1.])
    """
    if excluded is not None and excluded.shape != scores.shape:
        raise DataError(f"`excluded` must have the shape of `scores`, {scores.shape}; it has {excluded.shape}")
    if row_users.shape != row_items.shape or row_users.ndim != 1:
        raise DataError(f"each test row needs a user and an item; got {row_users.shape} and {row_items.shape}")
    check_rows(row_users, scores.shape[0], "row_users")
    check_rows(row_items, scores.shape[1], "row_items")
    scores = np.where(np.isnan(scores), -np.inf, scores)
    own = scores[row_users, row_items]
    higher, equal = np.empty(len(own)), np.empty(len(own))
    order = np.argsort(row_users, kind="stable")
    users, starts = np.unique(row_users[order], return_index=True)
    for user, rows in zip(
        users, np.split(order, starts[1:]), strict=False
    ):  # no users: split still gives one empty part
        competing = np.sort(scores[user] if excluded is None else scores[user, ~excluded[user]])
        not_higher = competing.searchsorted(own[rows], side="right")
        higher[rows] = len(competing) - not_higher
        equal[rows] = not_higher - competing.searchsorted(own[rows], side="left")
    itself = 1 if excluded is None else ~excluded[row_users, row_items]  # among the equal ones, if it competes
    return 1 + higher + (equal - itself) / 2


def accuracy_at(ranks: NDArray[np.float64], ks: Sequence[int]) -> dict[int, float]:
    """The share of test rows whose true item has a rank of at most k, for each k: top-k accuracy; ``nan`` without rows.

    >>> accuracy_at(np.array([1.0, 2.5, 4.0]), ks=[1, 4])
    {1: 0.3333333333333333, 4: 1.0}
    """
    for k in ks:
        check_k(k)
    return {k: float((ranks <= k).mean()) if len(ranks) else float("nan") for k in ks}


# Ratings --------------------------------------------------------------------------------------------------------------


def rmse(predicted: NDArray[np.floating], actual: NDArray[np.floating]) -> float:
    """Root of the mean squared error, in units of the rating; ``nan`` without rows.

    Raises:
        DataError: the lengths differ, or a rating or prediction is not finite.

    >>> rmse(np.array([3.0, 5.0]), np.array([3.0, 3.0])).__round__(3)
    1.414
    """
    errors = rating_errors(predicted, actual)
    return float(np.sqrt((errors**2).mean())) if len(errors) else float("nan")


def mae(predicted: NDArray[np.floating], actual: NDArray[np.floating]) -> float:
    """Mean absolute error, in units of the rating; ``nan`` without rows. Errors as in `rmse`.

    >>> mae(np.array([3.0, 5.0]), np.array([3.0, 3.0]))
    1.0
    """
    errors = rating_errors(predicted, actual)
    return float(np.abs(errors).mean()) if len(errors) else float("nan")


# What the functions above share ---------------------------------------------------------------------------------------


def check_k(k: int) -> None:
    """Refuse a k below 1."""
    if k < 1:
        raise DataError(f"k must be at least 1; it is {k}")


def hits_at_k(ranked: Integers, relevant: Relevant, k: int) -> Mask:
    """bool (n_users, min(k, n_ranked)): `hits` of the first k places."""
    check_k(k)
    return hits(ranked[..., :k], relevant)


def divide(numerators: NDArray[np.generic], denominators: NDArray[np.generic]) -> PerUser:
    """float64 quotients; ``nan`` where the denominator is 0."""
    quotients = np.full(len(numerators), np.nan)
    np.divide(numerators, denominators, out=quotients, where=denominators != 0)
    return quotients


def mean_over_list(ranked: Integers, item_values: NDArray[np.float64]) -> PerUser:
    """float64 (n_users,): the mean of the items' values over each list; ``nan`` for an empty list."""
    check_ranked(ranked, len(item_values))
    values = np.append(item_values, 0.0)  # the last one is what -1 reads
    total = np.zeros(len(ranked))
    for place in range(ranked.shape[1]):
        total += values[ranked[:, place]]
    return divide(total, (ranked >= 0).sum(axis=1))


def rating_errors(predicted: NDArray[np.floating], actual: NDArray[np.floating]) -> NDArray[np.float64]:
    """float64 (n,): predicted - actual, both checked."""
    if predicted.shape != actual.shape or predicted.ndim != 1:
        raise DataError(f"one prediction per rating; got {predicted.shape} predictions for {actual.shape} ratings")
    errors = predicted.astype(np.float64) - actual.astype(np.float64)
    wrong = np.flatnonzero(~np.isfinite(errors))
    if len(wrong):
        row = wrong[0]
        raise DataError(
            f"ratings and predictions must be finite; row {row} has {predicted[row]} for {actual[row]} "
            f"({len(wrong)} such)"
        )
    return errors
