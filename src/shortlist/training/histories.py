"""Histories as padded batches, each event a target of those before it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shortlist.data.log import Log
from shortlist.errors import require
from shortlist.retrieval.encoder import gap_rows
from shortlist.training.catalogue_softmax import Pairs

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = require("torch", "train", "Fitting a neural model")
    Tensor = torch.Tensor

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """Windows of histories, one per line, padded at the end.

    Attributes:
        item_rows: int64 (n, t), what is read; 0 in the padding.
        timestamps: int64 (n, t), when that was taken up; any in the padding.
        targets: int64 (n, t), what is to be foretold there.
        weights: float32 (n, t), of the targets; 0 in the padding.
        user_rows: int64 (n,).
        visible: bool (t, t), which events (second axis) count for a target (first axis), padding not considered.
    """

    item_rows: Tensor
    timestamps: Tensor
    targets: Tensor
    weights: Tensor
    user_rows: Tensor
    visible: Tensor

    def gaps(self, n_gaps: int) -> Tensor | None:
        """int64 (n, t, t): `gap_rows` of the times from events (third axis) to the last one read (second axis).

        ``None`` where all are alike.
        """
        if n_gaps == 1:
            return None
        times = self.timestamps
        return torch.from_numpy(gap_rows((times[:, :, None] - times[:, None]).numpy(), n_gaps))

    def read_before(self) -> Pairs:
        """What each target's history holds; the rows count the targets that are no padding, line by line."""
        present = self.weights > 0
        line, target, event = torch.nonzero(present[:, :, None] & present[:, None] & self.visible, as_tuple=True)
        number = torch.cumsum(present.flatten(), 0).view(present.shape) - 1
        return Pairs(number[line, target], self.item_rows[line, event])


class Histories:
    """The positive events of a log, user by user, oldest first.

    Args:
        log: at least one positive event.
        ordered: an event is foretold from those before it; ``False`` = from all the others.
    """

    def __init__(self, log: Log, ordered: bool = True) -> None:
        positives = log.positives()
        order, self.offsets = positives.by_user
        self.item_rows = positives.item_rows[order].astype(np.int64)  # (n_events,)
        self.timestamps = positives.timestamps[order]  # (n_events,)
        self.user_rows = positives.user_rows[order].astype(np.int64)  # (n_events,)
        self.weights = positives.weights[order]  # (n_events,)
        self.ordered = ordered

    def batches(self, length: int, size: int, most: int, rng: np.random.Generator) -> Iterator[Batch]:
        """Windows of at most ``length`` targets that cover the histories, cut anew each time, in a new order.

        Args:
            length: of a history that is read, at most.
            size: targets per batch, about.
            most: targets in all, about; drawn at random where there are more.
        """
        events, starts, lengths = self._windows(length, rng)
        drawn = rng.permutation(len(starts))
        drawn = drawn[: np.searchsorted(np.cumsum(lengths[drawn]), most, side="right") + 1]
        # Windows of like lengths side by side, so that little is padded; not always the same ones.
        alike = drawn[np.argsort(lengths[drawn] * rng.uniform(1, 1.25, len(drawn)), kind="stable")]
        number = np.cumsum(lengths[alike]) // size
        groups = np.split(alike, np.flatnonzero(np.diff(number)) + 1)
        for group in rng.permutation(len(groups)) if len(alike) else ():
            windows = groups[group]
            yield self._batch(events, starts[windows], lengths[windows])

    def _windows(self, length: int, rng: np.random.Generator) -> tuple[Ints, Ints, Ints]:
        """The events in the order read, where each window's first target lies among them, and how many follow."""
        n_users = len(self.offsets) - 1
        events = np.arange(len(self.item_rows))
        if not self.ordered:
            events = np.lexsort((rng.random(len(events)), self.user_rows))
        counts = np.diff(self.offsets)
        shifts = np.where(counts > length, rng.integers(0, length, n_users), 0)
        places = np.arange(len(events)) - self.offsets[self.user_rows]  # of each event in its history
        number = (places - self.ordered + shifts[self.user_rows]) // length
        is_target = places >= 1 if self.ordered else counts[self.user_rows] >= 2
        (targets,) = np.nonzero(is_target)
        changes = np.flatnonzero(np.diff(number[targets]) | np.diff(self.user_rows[targets])) + 1
        firsts = np.concatenate([[0], changes]) if len(targets) else changes
        return events, targets[firsts], np.diff(np.append(firsts, len(targets)))

    def _batch(self, events: Ints, starts: Ints, lengths: Ints) -> Batch:
        longest = int(lengths.max())
        steps = np.arange(longest)
        present = steps < lengths[:, None]  # (n, t)
        places = np.where(present, starts[:, None] + steps, starts[:, None])
        targets = events[places]
        read = events[places - 1] if self.ordered else targets
        ones = torch.ones(longest, longest, dtype=torch.bool)
        return Batch(
            torch.from_numpy(np.where(present, self.item_rows[read], 0)),
            torch.from_numpy(self.timestamps[read]),
            torch.from_numpy(np.where(present, self.item_rows[targets], 0)),
            torch.from_numpy(np.where(present, self.weights[targets], 0).astype(np.float32)),
            torch.from_numpy(self.user_rows[starts]),
            ones.tril() if self.ordered else ~torch.eye(longest, dtype=torch.bool),
        )
