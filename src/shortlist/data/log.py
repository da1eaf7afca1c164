"""The interactions in row numbers: what every fitting function reads."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int32]
Times = NDArray[np.int64]
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
DAY = 86_400
FEWEST_AGES = 1_000
"""Events that are not the first of their item, to tell how shortly items live by."""


@dataclass(frozen=True)
class Log:
    """Interactions as row numbers, in order of time; equal times keep the order of the file.

    Attributes:
        user_rows: int32 (n,), row numbers in ``[0, n_users)``.
        item_rows: int32 (n,), row numbers in ``[0, n_items)``.
        timestamps: int64 (n,), Unix seconds, not decreasing; an order (0, 1, 2 …) where the log has no times.
        ratings: float32 (n,), ``nan`` where there is none.
        weights: float32 (n,), how much the event counts as evidence; 0 = seen, but not a positive.
        n_users: number of users in the vocabulary (some may have no event here).
        n_items: number of items in the catalogue.
        in_seconds: whether ``timestamps`` are seconds; ``False`` = they are only an order.
    """

    user_rows: Rows
    item_rows: Rows
    timestamps: Times
    ratings: Floats
    weights: Floats
    n_users: int
    n_items: int
    in_seconds: bool = True

    def __len__(self) -> int:
        return len(self.user_rows)

    @property
    def end(self) -> int:
        """The first moment after every event (0 for an empty log)."""
        return int(self.timestamps[-1]) + 1 if len(self) else 0

    @cached_property
    def tick_length(self) -> int:
        """The unit in which age and popularity are counted.

        A day; a 256th of a log that is short or has no dates; less where items live shortly, as news do: a twelfth of
        the age at which half of what happens to items has happened, at least a 4096th of the log.
        """
        span = int(self.end - self.timestamps[0]) if len(self) else 1
        usual = DAY if self.in_seconds and span >= 60 * DAY else max(1, span // 256)
        first = np.zeros(self.n_items, dtype=np.int64)
        first[self.item_rows[::-1]] = self.timestamps[::-1]  # of an item's events the earliest is written last
        ages = self.timestamps - first[self.item_rows]
        ages = ages[ages > 0]
        if len(ages) < FEWEST_AGES:
            return usual
        return min(usual, max(1, span // 4096, int(np.median(ages)) // 12))

    def take(self, rows: NDArray[np.integer] | Mask) -> "Log":
        """The log of some events, given as a mask or as increasing positions."""
        return replace(
            self,
            user_rows=self.user_rows[rows],
            item_rows=self.item_rows[rows],
            timestamps=self.timestamps[rows],
            ratings=self.ratings[rows],
            weights=self.weights[rows],
        )

    def followed_by(self, more: "Log") -> "Log":
        """The events of both in order of time; at equal times these come first."""
        order = np.argsort(np.concatenate([self.timestamps, more.timestamps]), kind="stable")
        return replace(
            self,
            user_rows=np.concatenate([self.user_rows, more.user_rows])[order],
            item_rows=np.concatenate([self.item_rows, more.item_rows])[order],
            timestamps=np.concatenate([self.timestamps, more.timestamps])[order],
            ratings=np.concatenate([self.ratings, more.ratings])[order],
            weights=np.concatenate([self.weights, more.weights])[order],
        )

    def before(self, moment: int) -> "Log":
        """The events strictly before a moment."""
        return self.take(np.arange(np.searchsorted(self.timestamps, moment)))

    def positives(self) -> "Log":
        """The events that count as positive (weight above 0)."""
        return self if bool((self.weights > 0).all()) else self.take(self.weights > 0)

    @cached_property
    def by_user(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """``(order, offsets)``: user u's events, oldest first, are ``order[offsets[u]:offsets[u + 1]]``."""
        order = np.argsort(self.user_rows, kind="stable")
        counts = np.bincount(self.user_rows, minlength=self.n_users)
        return order, np.concatenate([[0], np.cumsum(counts)])

    @cached_property
    def positions_from_end(self) -> NDArray[np.int64]:
        """int64 (n,): 0 for the user's last event, 1 for the one before, and so on."""
        order, offsets = self.by_user
        positions = np.empty(len(self), dtype=np.int64)
        positions[order] = offsets[self.user_rows[order] + 1] - 1 - np.arange(len(self))
        return positions
