"""Two towers of user ids and item ids, fitted with a softmax over the items."""

from typing import TYPE_CHECKING

import numpy as np

from shortlist.data.log import Floats, Log, Rows
from shortlist.errors import DataError, require
from shortlist.neural_settings import TwoTowerSettings
from shortlist.retrieval.vectors import IdVectors

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = require("torch", "train", "Fitting the two-tower model")
    Tensor = torch.Tensor

from shortlist.training.loop import Adagrad, Adam, RowOptimizer, fit_epochs, one_thread, shuffled_batches
from shortlist.training.losses import full_softmax, in_batch_softmax

VALIDATION_DEPTH = 100
"""Early stopping looks at each user's first so many unseen items, or at a tenth of the catalogue where that is less."""

BLOCK_USERS = 1024
"""Users whose scores are in memory at once when a validation log is scored."""


def fit_two_tower(
    log: Log, settings: TwoTowerSettings, *, seed: int, validation: Log | None = None, name: str = "two_tower"
) -> IdVectors:
    """Fit one vector per user and one per item, so that a user's items score above the others.

    Args:
        log: the positives among its events are fitted; at least one.
        settings: the defaults are those of the tutorial.
        seed: of the initial vectors, the order of the rows and dropout.
        validation: events of the same vocabularies; the epoch that finds most of them among the first unseen items
            (`VALIDATION_DEPTH`) is kept. ``None`` = the last epoch is.
        name: the name of the source.

    Raises:
        DataError: the log, or the validation log, has no positive event.
        ConfigError: the vectors went out of all bounds.
    """
    positives = log.positives()
    if not len(positives):
        raise DataError("The two-tower model needs at least one event with a weight above 0; the log has none.")
    with one_thread():
        towers = Towers(positives, settings, torch.Generator().manual_seed(seed))
        loss = None
        if validation is not None:
            held_out = validation.positives()
            if not len(held_out):
                raise DataError("Early stopping needs at least one validation event with a weight above 0; got none.")
            depth = max(1, min(VALIDATION_DEPTH, log.n_items // 10))
            loss = lambda: -hits_share(towers.source(name), log, held_out, depth)  # noqa: E731
        fit_epochs(settings.epochs, towers.run_epoch, towers.tables, loss, settings.patience)
    return towers.source(name)


class Towers:
    """The tables while they are being fitted."""

    def __init__(self, log: Log, settings: TwoTowerSettings, generator: torch.Generator) -> None:
        self.settings = settings
        self.generator = generator
        self.user_rows = torch.from_numpy(log.user_rows.astype(np.int64))  # (n,)
        self.item_rows = torch.from_numpy(log.item_rows.astype(np.int64))  # (n,)
        counts = torch.bincount(self.item_rows, minlength=log.n_items)  # (n_items,)
        self.trained_users = np.bincount(log.user_rows, minlength=log.n_users) > 0
        self.trained_items = counts.numpy() > 0
        self.all_items = torch.from_numpy(np.flatnonzero(self.trained_items))  # (n_trained_items,)
        self.log_q = (counts / len(log)).log()  # (n_items,), -inf where never drawn
        scale = settings.init_scale
        self.users = torch.empty(log.n_users, settings.dimension).uniform_(-scale, scale, generator=generator)
        self.items = torch.empty(log.n_items, settings.dimension).uniform_(-scale, scale, generator=generator)
        self.biases = torch.zeros(log.n_items)
        self.tables = [self.users, self.items, self.biases]
        self.optimizers = [self._optimizer(table) for table in self.tables]

    def _optimizer(self, table: Tensor) -> RowOptimizer:
        kind = Adagrad if self.settings.optimizer == "adagrad" else Adam
        return kind(table, self.settings.learning_rate)

    def run_epoch(self) -> None:
        for batch in shuffled_batches(len(self.user_rows), self.settings.batch_size, self.generator):
            self._step(self.user_rows[batch], self.item_rows[batch])

    def _step(self, user_rows: Tensor, item_rows: Tensor) -> None:
        """One step on the distinct users and items of a batch: only their rows are read and changed."""
        settings = self.settings
        users, pair_users = torch.unique(user_rows, return_inverse=True)  # (U,), (B,)
        if settings.loss == "full":
            items = self.all_items  # (V,)
            pair_items = torch.searchsorted(items, item_rows)  # (B,)
        else:
            items, pair_items = torch.unique(item_rows, return_inverse=True)  # (V,), (B,)
        x = self.users[users].requires_grad_()  # (U, d)
        y = self.items[items].requires_grad_()  # (V, d)
        b = self.biases[items].requires_grad_() if settings.item_bias else None  # (V,)
        dropped_x, dropped_y = self._dropout(x), self._dropout(y)
        if settings.loss == "full":
            loss = full_softmax(dropped_x, dropped_y, b, pair_users, pair_items, temperature=settings.temperature)
        else:
            loss = in_batch_softmax(
                dropped_x,
                dropped_y,
                b,
                pair_users,
                pair_items,
                log_q=self.log_q[items] if settings.logq else None,
                temperature=settings.temperature,
                remove_accidental_hits=settings.remove_accidental_hits,
            )
        if settings.weight_decay:
            penalty = x.square().sum(1)[pair_users].sum() + y.square().sum(1)[pair_items].sum()
            loss = loss + 0.5 * settings.weight_decay * penalty
        loss.backward()  # type: ignore[no-untyped-call]
        for optimizer, vectors, rows in zip(self.optimizers, (x, y, b), (users, items, items), strict=True):
            if vectors is not None and vectors.grad is not None:
                optimizer.step(vectors.grad, rows)

    def _dropout(self, vectors: Tensor) -> Tensor:
        if not self.settings.dropout:
            return vectors
        kept = torch.empty_like(vectors).bernoulli_(1 - self.settings.dropout, generator=self.generator)
        return vectors * kept / (1 - self.settings.dropout)

    def source(self, name: str) -> IdVectors:
        users, items, biases = (table.numpy().copy() for table in self.tables)
        return IdVectors(name, users, items, biases, self.trained_users, self.trained_items)


def hits_share(source: IdVectors, log: Log, held_out: Log, depth: int) -> float:
    """Share of the held-out events whose item is among the first items that its user has not seen in the log.

    An event of a user or an item without training events is a miss; so is an item that was seen. 0 for no events.
    """
    known = source.trained_users[held_out.user_rows] & source.trained_items[held_out.item_rows]
    users, rows = np.unique(held_out.user_rows[known], return_inverse=True)
    items = held_out.item_rows[known]
    hits = 0
    for start in range(0, len(users), BLOCK_USERS):
        scores = unseen_scores(source, users[start : start + BLOCK_USERS], log)  # (n, n_items)
        thresholds = np.partition(scores, -depth, axis=1)[:, -depth]  # (n,)
        asked = (rows >= start) & (rows < start + BLOCK_USERS)
        own = scores[rows[asked] - start, items[asked]]
        hits += int(((own >= thresholds[rows[asked] - start]) & np.isfinite(own)).sum())
    return hits / max(1, len(held_out))


def unseen_scores(source: IdVectors, users: Rows, log: Log) -> Floats:
    """float32 (n_users, n_items): the scores of some users, -inf for seen items and items without training events."""
    scores: Floats = source.user_vectors[users] @ source.item_vectors.T + source.item_biases
    scores[:, ~source.trained_items] = -np.inf
    position = np.full(log.n_users, -1)
    position[users] = np.arange(len(users))
    asked = position[log.user_rows] >= 0
    scores[position[log.user_rows[asked]], log.item_rows[asked]] = -np.inf
    return scores
