"""How models that read histories are fitted: every event foretold by a softmax over the items, stopped in time."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from shortlist.data.dataset import REPEATS
from shortlist.data.log import Log, Rows
from shortlist.errors import DataError, require
from shortlist.neural_settings import HistoryFitSettings
from shortlist.retrieval.encoder import HistoryEncoder
from shortlist.stages import Queries, stored_queries

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn.functional import embedding
else:
    torch = require("torch", "train", "Fitting a neural model")
    Tensor = torch.Tensor
    embedding = torch.nn.functional.embedding

from shortlist.training.catalogue_softmax import Pairs, catalogue_softmax
from shortlist.training.histories import Batch, Histories
from shortlist.training.loop import fit_epochs, one_thread

FULL_SOFTMAX_ITEMS = 30_000
"""Larger catalogues are sampled."""

CELLS_PER_EPOCH = 5_000_000_000
"""Targets times items that an epoch compares, at most: a larger log is seen in parts, drawn anew each epoch."""

ENCODING_CELLS = 4_000
"""What encoding the history of a target costs, beside the items it is compared with."""

LEAST_BATCH = 32
STEPS_PER_EPOCH = 64
"""Of a small log, about; a large one has batches as large as the settings say, and more steps."""

WARM_UP_STEPS = 50
LAST_RATE = 0.01
"""What is left of the learning rate at the end."""

MOST_HELD_OUT = 2_000
HELD_OUT_CELLS = 10_000_000
"""Early stopping asks at most so many users, and at most so many users times items."""


class HistoryModel(ABC):
    """A model while it is being fitted.

    Attributes:
        weights: what is fitted, by the names of the finished encoder's fields.
        tables: those of the weights, (n, …), that hold one row per item or user.
        sparse: whether these have gradients of their touched rows alone; the fit says so for large catalogues.
    """

    weights: dict[str, Tensor]
    tables: ClassVar[tuple[str, ...]]
    sparse = False

    def rows(self, table: str, rows: Tensor) -> Tensor:
        """Some rows of a table, the gradient kept to these rows where `sparse` says so."""
        return embedding(rows, self.weights[table], sparse=self.sparse)

    @abstractmethod
    def encode(self, batch: Batch) -> Tensor:
        """(n, t, d): a query vector for each target, dropout applied."""

    @abstractmethod
    def items(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """(n_rows, d) and (n_rows,): vectors and biases of some items, dropout applied."""

    @abstractmethod
    def encoder(self, weights: dict[str, Tensor]) -> HistoryEncoder:
        """The finished encoder with these weights."""


@dataclass(frozen=True)
class HeldOut:
    """What early stopping asks.

    Attributes:
        queries: n users, each with the history before the held-out event.
        item_rows: int32 (n,), what they took up.
        unseen_only: whether items of the history are left out of the answer.
    """

    queries: Queries
    item_rows: Rows
    unseen_only: bool

    def loss(self, encoder: HistoryEncoder) -> float:
        """Minus the mean of 1 / log2(1 + rank); an item without evidence is a miss, equal scores count half."""
        gains = np.zeros(len(self.queries))
        for start, queries in self.queries.blocks(256):
            scores = encoder.score_catalogue(queries)
            items = self.item_rows[start : start + len(queries)]
            own = scores[np.arange(len(queries)), items][:, None]  # (n, 1)
            if self.unseen_only:
                scores[queries.event_queries, queries.item_rows] = np.nan
            ranks = 1 + (scores > own).sum(axis=1) + 0.5 * ((scores == own).sum(axis=1) - 1).clip(0)
            gains[start : start + len(queries)] = np.where(np.isnan(own[:, 0]), 0, 1 / np.log2(1 + ranks))
        return -float(gains.mean())


def hold_out(log: Log, seed: int, unseen_only: bool, *, ordered: bool = True) -> tuple[Log, HeldOut]:
    """One positive event of each of some users taken out of a log: their last, or any where order means nothing.

    Users with a single positive event keep it.
    """
    rng = np.random.default_rng(seed)
    positives = log.positives()
    order, offsets = positives.by_user
    counts = np.diff(offsets)
    (users,) = np.nonzero(counts >= 2)
    users = np.sort(rng.permutation(users)[: min(MOST_HELD_OUT, max(200, HELD_OUT_CELLS // log.n_items))])
    back = np.zeros(len(users), dtype=np.int64) if ordered else rng.integers(0, counts[users])
    events = order[offsets[users + 1] - 1 - back]
    kept = np.ones(len(positives), dtype=bool)
    kept[events] = False
    rest = positives.take(kept)
    at = np.full(len(users), log.end)
    queries = stored_queries(rest, users.astype(np.int32), at, strictly_before=False)
    return rest, HeldOut(queries, positives.item_rows[events], unseen_only)


def hardly_repeats(log: Log) -> bool:
    """Whether people hardly ever take up again what they have: then it is no alternative to what they took instead."""
    pairs = log.user_rows.astype(np.int64) * log.n_items + log.item_rows
    return len(np.unique(pairs)) > (1 - REPEATS) * len(pairs)


class Fit:
    """One fit of a model: its optimizers, its averages, its batches.

    Args:
        epochs: that will be run at least; by itself it allows as many as the settings do for a log of this size.
    """

    def __init__(
        self,
        model: HistoryModel,
        log: Log,
        settings: HistoryFitSettings,
        seed: int,
        *,
        ordered: bool,
        unseen_only: bool,
        epochs: int = 1,
    ) -> None:
        self.model = model
        self.settings = settings
        self.unseen_only = unseen_only
        self.histories = Histories(log, ordered)
        self.rng = np.random.default_rng(seed)
        counts = np.bincount(self.histories.item_rows, minlength=log.n_items)
        self.item_rows = torch.from_numpy(np.flatnonzero(counts))  # what is compared
        self.shares = torch.from_numpy(counts / counts.sum())  # float64 (n_items,)
        self.n_items = log.n_items
        self.sampled = model.sparse = len(self.item_rows) > FULL_SOFTMAX_ITEMS
        self.averages = {name: weight.detach().clone() for name, weight in model.weights.items()}
        self.steps = 0
        n_targets = max(1, len(self.histories.item_rows) - log.n_users)
        self.batch_size = min(settings.batch_size, max(LEAST_BATCH, n_targets // STEPS_PER_EPOCH))
        compared = (
            min(len(self.item_rows), settings.negatives + self.batch_size) if self.sampled else len(self.item_rows)
        )
        self.most_targets = max(self.batch_size, CELLS_PER_EPOCH // max(1, compared))
        per_epoch = min(n_targets, self.most_targets)
        self.epochs = max(epochs, min(settings.epochs, settings.cells // (per_epoch * (compared + ENCODING_CELLS))))
        self.last_step = self.epochs * max(1, per_epoch // self.batch_size)  # about
        self.optimizers = self._optimizers()

    def _optimizers(self) -> list[torch.optim.Optimizer]:
        betas, rate, decay = (0.9, 0.98), self.settings.learning_rate, self.settings.weight_decay
        tables = [w for name, w in self.model.weights.items() if name in self.model.tables]
        others = [w for name, w in self.model.weights.items() if name not in self.model.tables]
        if self.sampled:  # only the rows of a batch are changed
            return [
                torch.optim.SparseAdam(tables, rate, betas),
                torch.optim.AdamW(others, rate, betas, weight_decay=decay),
            ]
        return [torch.optim.AdamW(tables + others, rate, betas, weight_decay=decay)]

    def run_epoch(self) -> None:
        for batch in self.histories.batches(self.settings.max_length, self.batch_size, self.most_targets, self.rng):
            self._step(batch)

    def _step(self, batch: Batch) -> None:
        present = batch.weights > 0
        targets, weights = batch.targets[present], batch.weights[present]  # (n,)
        items, log_q = self._compared(targets)
        place = torch.full((self.n_items,), -1).index_copy_(0, items, torch.arange(len(items)))
        excluded = None
        if self.unseen_only:
            read = batch.read_before()
            columns = place[read.items]
            excluded = Pairs(read.rows[columns >= 0], columns[columns >= 0])
        vectors, biases = self.model.items(items)
        loss = catalogue_softmax(
            self.model.encode(batch)[present],
            vectors,
            biases,
            place[targets],
            weights / weights.sum(),
            log_q=log_q,
            excluded=excluded,
        )
        loss.backward()  # type: ignore[no-untyped-call]
        self.steps += 1
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self._learning_rate()
            optimizer.step()
            optimizer.zero_grad()
        kept = min(self.settings.averaging, self.steps / (self.steps + 10))
        for name, weight in self.model.weights.items():
            self.averages[name].lerp_(weight.detach(), 1 - kept)

    def _learning_rate(self) -> float:
        """Up for some steps, then evenly down, to the end of all epochs that the fit allows."""
        left = max(LAST_RATE, 1 - self.steps / self.last_step)
        return self.settings.learning_rate * min(self.steps / WARM_UP_STEPS, left)

    def _compared(self, targets: Tensor) -> tuple[Tensor, Tensor | None]:
        """The items of a step: all, or those drawn uniformly and the batch's own, with the log of their probability."""
        if not self.sampled:
            return self.item_rows, None
        draws, n = self.settings.negatives, len(targets)
        drawn = self.item_rows[torch.from_numpy(self.rng.integers(0, len(self.item_rows), draws))]
        items = torch.unique(torch.cat([drawn, targets]))
        left_out = draws * math.log1p(-1 / len(self.item_rows)) + n * torch.log1p(-self.shares[items])
        return items, (-torch.expm1(left_out)).log().float()

    def encoder(self) -> HistoryEncoder:
        return self.model.encoder(self.averages)


def fit_history_model(
    make: Callable[[Log], HistoryModel],
    log: Log,
    settings: HistoryFitSettings,
    *,
    seed: int,
    ordered: bool = True,
    epochs: int | None = None,
) -> tuple[HistoryEncoder, int]:
    """Fit a model, for so many epochs on all of a log, or on nearly all of it until it gets no better.

    Args:
        make: the model for a log, before its fit.
        log: at least one positive event.
        ordered: an event is foretold from those before it; ``False`` = from all the user's others.
        epochs: ``None`` = a positive event of some users is held out (`hold_out`), and the epoch that ranks these
            highest is kept, of as many as the settings allow for a log of this size.

    Returns:
        The encoder and the number of epochs behind it.

    Raises:
        DataError: the log has no positive event.
        ConfigError: the weights went out of all bounds.
    """
    positives = log.positives()
    if not len(positives):
        raise DataError("A model of histories needs at least one event with a weight above 0; the log has none.")
    unseen_only = hardly_repeats(positives)
    held_out = None
    if epochs is None:
        positives, held_out = hold_out(positives, seed, unseen_only, ordered=ordered)
    with one_thread():
        fit = Fit(
            make(positives), positives, settings, seed, ordered=ordered, unseen_only=unseen_only, epochs=epochs or 1
        )
        averages = list(fit.averages.values())
        if held_out is None or not len(held_out.queries):
            kept = fit_epochs(epochs or 1, fit.run_epoch, averages)
        else:
            loss = lambda: held_out.loss(fit.encoder())  # noqa: E731
            kept = fit_epochs(fit.epochs, fit.run_epoch, averages, loss, settings.patience)
    return fit.encoder(), kept


def dropped(x: Tensor, share: float, rng: np.random.Generator) -> Tensor:
    """x with a share of its cells, rounded to 256ths, set to 0 at random and the others scaled up.

    >>> dropped(torch.ones(2, 3), 0.0, np.random.default_rng(0))
    tensor([[1., 1., 1.],
            [1., 1., 1.]])
    """
    steps = round(share * 256)
    if not steps:
        return x
    kept = np.frombuffer(rng.bytes(x.numel()), dtype=np.uint8) >= steps  # six times as fast as torch's draws
    return x * torch.from_numpy(kept).view(x.shape).to(x.dtype).mul_(256 / (256 - steps))
