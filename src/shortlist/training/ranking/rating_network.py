"""The rating network: vectors of user and item through hidden layers, fitted by mean squared error."""

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from shortlist.data.log import Log
from shortlist.errors import DataError, require
from shortlist.neural_settings import RatingNetworkSettings
from shortlist.ranking.network import RatingNetwork

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = require("torch", "train", "Fitting the rating network")
    Tensor = torch.Tensor

from shortlist.training.loop import Adagrad, fit_epochs, one_thread, shuffled_batches

PART_ROWS = 1024
"""Rows of a batch that go through the hidden layers at once."""


def fit_rating_network(
    log: Log, settings: RatingNetworkSettings, *, seed: int, validation: Log | None = None
) -> RatingNetwork:
    """Fit vectors and layers of their own (nothing is shared with stage 1) to the ratings of a log.

    A user or item without a rating, known or not, is answered by the mean vector of the others, each counted once per
    rating (on MovieLens 100K: as well as the item's mean rating for an unknown user, the user's for an unknown item
    somewhat less so).

    Args:
        log: its rated events are fitted, whatever their weight; at least one.
        settings: the defaults are those of the tutorial.
        seed: of the initial weights and the order of the rows.
        validation: rated events of the same vocabularies; the epoch with the least squared error on them is kept.
            ``None`` = the last epoch is.

    Raises:
        DataError: the log, or the validation log, has no rating.
        ConfigError: the weights went out of all bounds.
    """
    rated = log.take(~np.isnan(log.ratings))
    if not len(rated):
        raise DataError("The rating network needs at least one event with a rating; the log has none.")
    with one_thread():
        network = Network(rated, settings, torch.Generator().manual_seed(seed))
        loss = None
        if validation is not None:
            held_out = validation.take(~np.isnan(validation.ratings))
            if not len(held_out):
                raise DataError("Early stopping needs at least one validation event with a rating; there is none.")
            loss = lambda: mean_squared_error(network.answering_side(), held_out)  # noqa: E731
        fit_epochs(settings.epochs, network.run_epoch, network.averages, loss, settings.patience)
    return network.answering_side()


def mean_squared_error(network: RatingNetwork, log: Log) -> float:
    """Of a network's predictions for the events of a log, all of which have a rating."""
    errors = network.predict_rows(log.user_rows, log.item_rows) - log.ratings
    return float(np.square(errors, dtype=np.float64).mean())


def squared_error_gradients(
    tables: Sequence[Tensor], pair_users: Tensor, pair_items: Tensor, ratings: Tensor
) -> list[Tensor]:
    """The gradients of the mean squared error of a batch, written out because torch's own take four times as long.

    The first layer is linear in the user's and in the item's vector, so it is computed once for each distinct one. The
    others go through the batch in parts that stay in the processor's cache.

    Args:
        tables: x (U, d) and y (V, d), the batch's distinct users and items; then the weights (n_inputs, n_outputs) of
            every layer; then the biases (n_outputs,) of every layer.
        pair_users: int64 (B,), each row's user, in [0, U).
        pair_items: int64 (B,), each row's item, in [0, V).
        ratings: (B,).

    Returns:
        One for each of the tables, of its shape.
    """
    n_layers = len(tables) // 2 - 1
    x, y, weights, biases = tables[0], tables[1], tables[2 : 2 + n_layers], tables[2 + n_layers :]
    d = x.shape[1]
    from_users = torch.addmm(biases[0], x, weights[0][:d])  # (U, h)
    from_items = y @ weights[0][d:]  # (V, h)
    to_users, to_items = torch.zeros_like(from_users), torch.zeros_like(from_items)
    to_weights, to_biases = [torch.zeros_like(w) for w in weights], [torch.zeros_like(b) for b in biases]
    parts = (torch.split(rows, PART_ROWS) for rows in (pair_users, pair_items, ratings))
    for u, v, r in zip(*parts, strict=True):
        outputs = [from_users.index_select(0, u).add_(from_items.index_select(0, v))]  # (part, h)
        for layer in range(1, n_layers):
            outputs.append(torch.addmm(biases[layer], outputs[-1].relu_(), weights[layer]))  # (part, n_outputs)
        gradient = (outputs[-1] - r[:, None]) * (2 / len(ratings))  # (part, 1)
        for layer in reversed(range(1, n_layers)):
            to_weights[layer].addmm_(outputs[layer - 1].T, gradient)
            to_biases[layer] += gradient.sum(0)
            gradient = (gradient @ weights[layer].T).mul_(outputs[layer - 1].sign_())  # (part, n_inputs)
        to_users.index_add_(0, u, gradient)
        to_items.index_add_(0, v, gradient)
    to_weights[0] = torch.cat([x.T @ to_users, y.T @ to_items])  # (2 d, h)
    to_biases[0] = to_users.sum(0)
    return [to_users @ weights[0][:d].T, to_items @ weights[0][d:].T, *to_weights, *to_biases]


class Network:
    """The weights while they are being fitted."""

    def __init__(self, log: Log, settings: RatingNetworkSettings, generator: torch.Generator) -> None:
        self.settings = settings
        self.generator = generator
        self.user_rows = torch.from_numpy(log.user_rows.astype(np.int64))  # (n,)
        self.item_rows = torch.from_numpy(log.item_rows.astype(np.int64))  # (n,)
        self.ratings = torch.from_numpy(log.ratings)  # (n,)
        self.user_counts = np.bincount(log.user_rows, minlength=log.n_users)
        self.item_counts = np.bincount(log.item_rows, minlength=log.n_items)
        scale, d = settings.init_scale, settings.dimension
        self.users = torch.empty(log.n_users, d).uniform_(-scale, scale, generator=generator)
        self.items = torch.empty(log.n_items, d).uniform_(-scale, scale, generator=generator)
        widths = (2 * d, *settings.hidden, 1)
        self.weights = [self._glorot(*shape) for shape in itertools.pairwise(widths)]
        self.biases = [torch.zeros(width) for width in widths[1:]]
        self.tables = [self.users, self.items, *self.weights, *self.biases]
        self.averages = [table.clone() for table in self.tables]
        self.optimizers = [Adagrad(table, settings.learning_rate) for table in self.tables]
        self.epochs = 0

    def _glorot(self, n_inputs: int, n_outputs: int) -> Tensor:
        limit = math.sqrt(6 / (n_inputs + n_outputs))
        return torch.empty(n_inputs, n_outputs).uniform_(-limit, limit, generator=self.generator)

    def run_epoch(self) -> None:
        for batch in shuffled_batches(len(self.ratings), self.settings.batch_size, self.generator):
            self._step(self.user_rows[batch], self.item_rows[batch], self.ratings[batch])
        self.epochs += 1
        kept = min(self.settings.averaging, 1 - 1 / self.epochs)
        for average, table in zip(self.averages, self.tables, strict=True):
            average.lerp_(table, 1 - kept)

    def _step(self, user_rows: Tensor, item_rows: Tensor, ratings: Tensor) -> None:
        users, pair_users = torch.unique(user_rows, return_inverse=True)  # (U,), (B,)
        items, pair_items = torch.unique(item_rows, return_inverse=True)  # (V,), (B,)
        tables = [self.users[users], self.items[items], *self.weights, *self.biases]
        gradients = squared_error_gradients(tables, pair_users, pair_items, ratings)
        rows = [users, items, *[None] * (len(tables) - 2)]
        for optimizer, values, gradient, where in zip(self.optimizers, tables, gradients, rows, strict=True):
            if values.dim() == 2:  # vectors and weights, not biases
                gradient.add_(values, alpha=self.settings.weight_decay)
            optimizer.step(gradient, where)

    def answering_side(self) -> RatingNetwork:
        arrays = [average.numpy().copy() for average in self.averages]
        users, items, layers = arrays[0], arrays[1], arrays[2:]
        return RatingNetwork(
            _with_mean(users, self.user_counts),
            _with_mean(items, self.item_counts),
            tuple(layers[: len(self.weights)]),
            tuple(layers[len(self.weights) :]),
        )


def _with_mean(vectors: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The vectors and one row more; that row and those without a rating are the mean, by number of ratings."""
    mean = (counts / counts.sum() @ vectors).astype(np.float32)  # (d,)
    return np.concatenate([np.where(counts[:, None] > 0, vectors, mean), mean[None]])
