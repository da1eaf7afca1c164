"""Ranked lists and relevant items: the two tables that the metrics compare.

A list table is int32 (n_users, n_ranked): item rows, best first, -1 = padding at the end of a list.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shortlist.data.log import Mask, Rows
from shortlist.errors import DataError

Integers = NDArray[np.integer]

CELLS_PER_BLOCK = 1 << 20
"""How many cells of a list table are worked on at once: bounds the memory, whatever the number of users."""


@dataclass(frozen=True, eq=False)
class Relevant:
    """The relevant items of each user, flat: user u's are ``item_rows[offsets[u]:offsets[u + 1]]``.

    Attributes:
        offsets: int64 (n_users + 1,), from 0, not decreasing.
        item_rows: int32 (n_relevant,), strictly increasing within a user.

    Raises:
        DataError: the offsets do not fit the items, or a user's items repeat or are not in order.

    >>> relevant = Relevant.from_sets([{7, 3}, set(), {5}])
    >>> relevant.item_rows, relevant.counts
    (array([3, 7, 5], dtype=int32), array([2, 0, 1]))
    """

    offsets: NDArray[np.int64]
    item_rows: Rows

    def __post_init__(self) -> None:
        lengths = np.diff(self.offsets)
        if (
            not len(self.offsets)
            or self.offsets[0] != 0
            or self.offsets[-1] != len(self.item_rows)
            or min_of(lengths) < 0
        ):
            raise DataError(
                f"`offsets` must rise from 0 to the {len(self.item_rows)} relevant items; they are {self.offsets}"
            )
        if min_of(self.item_rows) < 0:
            raise DataError(f"relevant items must be row numbers from 0; one is {self.item_rows.min()}")
        users = np.repeat(np.arange(len(lengths)), lengths)
        falls = np.flatnonzero((np.diff(self.item_rows) <= 0) & (np.diff(users) == 0))
        if len(falls):
            raise DataError(
                f"user {users[falls[0]]}: relevant items must increase strictly, but {self.item_rows[falls[0]]} is "
                f"followed by {self.item_rows[falls[0] + 1]}; `Relevant.from_pairs` sorts them and removes repeats"
            )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def counts(self) -> NDArray[np.int64]:
        """int64 (n_users,): number of relevant items of each user."""
        return np.diff(self.offsets)

    @classmethod
    def from_pairs(cls, user_positions: Integers, item_rows: Integers, n_users: int) -> "Relevant":
        """From (user, item) pairs in any order; repeated pairs count once.

        Args:
            user_positions: (n,), rows of the list table, in ``[0, n_users)``; not rows of a vocabulary.
            item_rows: (n,), row numbers from 0.
            n_users: number of users, those without a relevant item included.

        >>> Relevant.from_pairs(np.array([1, 0, 1]), np.array([4, 9, 4]), n_users=2).offsets
        array([0, 1, 2])
        """
        users, items = np.asarray(user_positions, dtype=np.int64), np.asarray(item_rows, dtype=np.int64)
        if users.shape != items.shape or users.ndim != 1:
            raise DataError(
                f"each pair needs a user and an item; there are {users.shape} users and {items.shape} items"
            )
        check_rows(users, n_users, "user_positions")
        base = max_of(items) + 1
        check_rows(items, base, "item_rows")
        pairs = np.sort(users * base + items)
        pairs = pairs[np.diff(pairs, prepend=-1) > 0]  # np.unique: the same, but far slower
        counts = np.bincount(pairs // max(base, 1), minlength=n_users)
        return cls(np.concatenate([[0], np.cumsum(counts)]), (pairs % max(base, 1)).astype(np.int32))

    @classmethod
    def from_sets(cls, sets: Sequence[Collection[int]]) -> "Relevant":
        """From one collection of item rows per user.

        >>> Relevant.from_sets([[2, 2, 1], []]).item_rows
        array([1, 2], dtype=int32)
        """
        users = np.repeat(np.arange(len(sets)), [len(items) for items in sets])
        return cls.from_pairs(users, np.array([item for items in sets for item in items], dtype=np.int64), len(sets))


def hits(ranked: Integers, relevant: Relevant) -> Mask:
    """Which places of each list hold a relevant item.

    Args:
        ranked: int32 (n_users, n_ranked), item rows, best first, -1 = padding at the end of a list.
        relevant: the relevant items of the same n_users users.

    Returns:
        bool (n_users, n_ranked); padding is never a hit.

    Raises:
        DataError: an item repeats in a list, an item follows padding, or the inputs disagree on n_users.

    >>> hits(np.array([[7, 3, 5], [1, -1, -1]]), Relevant.from_sets([{3, 5}, {9}]))
    array([[False,  True,  True],
           [False, False, False]])
    """
    check_ranked(ranked)
    if len(ranked) != len(relevant):
        raise DataError(f"`ranked` has lists for {len(ranked)} users, `relevant` items for {len(relevant)}")
    found = np.zeros(ranked.shape, dtype=np.bool_)
    # A pair (user, item) is one number, user * base + item. With this base, -1 meets no item of the user before.
    base = max(max_of(ranked), max_of(relevant.item_rows)) + 2
    for block in blocks(ranked):
        start, stop = relevant.offsets[block.start], relevant.offsets[block.stop]
        users = np.arange(block.stop - block.start)
        known = np.repeat(users, relevant.counts[block]) * base + relevant.item_rows[start:stop]
        known = np.append(known, np.iinfo(np.int64).max)
        asked = users[:, None] * base + ranked[block]  # (n_block, n_ranked)
        found[block] = known[np.searchsorted(known, asked)] == asked
    return found


def check_ranked(ranked: Integers, n_items: int | None = None) -> None:
    """Refuse lists that repeat an item, continue after padding, or name an item outside the catalogue."""
    if ranked.ndim != 2 or not np.issubdtype(ranked.dtype, np.integer):
        raise DataError(f"`ranked` must be an integer array (n_users, n_ranked); it is {ranked.dtype} {ranked.shape}")
    if min_of(ranked) < -1:
        raise DataError(f"`ranked` must hold item rows, or -1 for padding; the least is {min_of(ranked)}")
    if n_items is not None and max_of(ranked) >= n_items:
        raise DataError(f"`ranked` must hold rows of the catalogue's {n_items} items; the greatest is {max_of(ranked)}")
    for block in blocks(ranked):
        lists = ranked[block]
        gaps = np.argwhere((lists[:, :-1] < 0) & (lists[:, 1:] >= 0))
        if len(gaps):
            user, place = gaps[0]
            raise DataError(
                f"list {block.start + user}: place {place} is padding (-1), but item {lists[user, place + 1]} follows; "
                "padding may only end a list"
            )
        in_order = np.sort(lists, axis=1)
        repeats = np.argwhere((in_order[:, 1:] == in_order[:, :-1]) & (in_order[:, 1:] >= 0))
        if len(repeats):
            user, place = repeats[0]
            raise DataError(
                f"list {block.start + user} holds item {in_order[user, place]} more than once; "
                "its hit would count twice"
            )


def check_rows(rows: Integers, n: int, name: str) -> None:
    """Refuse row numbers outside ``[0, n)``."""
    wrong = np.flatnonzero((rows < 0) | (rows >= n))
    if len(wrong):
        raise DataError(f"`{name}` must lie in [0, {n}); number {wrong[0]} is {rows[wrong[0]]} ({len(wrong)} such)")


def blocks(ranked: Integers, cells_per_place: int = 1) -> Iterator[slice]:
    """Slices of users whose lists hold about `CELLS_PER_BLOCK` cells."""
    size = max(1, CELLS_PER_BLOCK // max(1, ranked.shape[1] * cells_per_place))
    for start in range(0, len(ranked), size):
        yield slice(start, min(start + size, len(ranked)))


def min_of(values: ArrayLike) -> int:
    """The least value; 0 if there is none."""
    return int(np.min(values)) if np.size(values) else 0


def max_of(values: ArrayLike) -> int:
    """The greatest value; -1 if there is none."""
    return int(np.max(values)) if np.size(values) else -1
