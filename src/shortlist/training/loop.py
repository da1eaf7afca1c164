"""What every training loop needs: one thread, seeded batches, optimizers that touch only some rows, early stopping."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from shortlist.errors import ConfigError, require

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = require("torch", "train", "Fitting a neural model")
    Tensor = torch.Tensor


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread, so that the same seed gives the same bits; the caller's setting comes back after.

    >>> with one_thread():
    ...     torch.get_num_threads()
    1
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def shuffled_batches(n_rows: int, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Every row number once, in a new order, in batches; the last may be smaller.

    Yields:
        int64 (at most batch_size,).
    """
    yield from torch.split(torch.randperm(n_rows, generator=generator), batch_size)


class RowOptimizer(Protocol):
    """Changes a table, or some of its rows, along a gradient."""

    def step(self, gradient: Tensor, rows: Tensor | None = None) -> None:
        """Apply the gradient, of the table's shape, or (len(rows), …) for distinct rows of it."""


class Adagrad:
    """Adagrad as Keras has it: a ← a + g², w ← w − η g / √(a + ε). Rows without a gradient stay as they are.

    Args:
        table: any shape, changed in place.
        learning_rate: η.
        accumulator: a at the start.
        epsilon: ε.
    """

    def __init__(self, table: Tensor, learning_rate: float, accumulator: float = 0.1, epsilon: float = 1e-7) -> None:
        self.table = table
        self.learning_rate = learning_rate
        self.epsilon = epsilon
        self.accumulator = torch.full_like(table, accumulator)

    def step(self, gradient: Tensor, rows: Tensor | None = None) -> None:
        squares = gradient.square()
        if rows is None:
            self.accumulator += squares
            self.table.addcdiv_(gradient, (self.accumulator + self.epsilon).sqrt_(), value=-self.learning_rate)
        else:
            accumulated = self.accumulator.index_select(0, rows) + squares
            self.accumulator.index_copy_(0, rows, accumulated)
            change = gradient / (accumulated + self.epsilon).sqrt_()
            self.table.index_add_(0, rows, change, alpha=-self.learning_rate)


class Adam:
    """Adam (Kingma and Ba 2015, arXiv:1412.6980); the moments of rows without a gradient stay as they are."""

    def __init__(self, table: Tensor, learning_rate: float) -> None:
        self.table = table
        self.learning_rate = learning_rate
        self.steps = 0
        self.means = torch.zeros_like(table)
        self.squares = torch.zeros_like(table)

    def step(self, gradient: Tensor, rows: Tensor | None = None) -> None:
        rows = torch.arange(len(self.table)) if rows is None else rows
        self.steps += 1
        means = self.means.index_select(0, rows).lerp_(gradient, 0.1)
        squares = self.squares.index_select(0, rows).lerp_(gradient.square(), 0.001)
        self.means.index_copy_(0, rows, means)
        self.squares.index_copy_(0, rows, squares)
        mean = means / (1 - 0.9**self.steps)
        deviation = (squares / (1 - 0.999**self.steps)).sqrt_() + 1e-8
        self.table.index_add_(0, rows, mean / deviation, alpha=-self.learning_rate)


def fit_epochs(
    epochs: int,
    run_epoch: Callable[[], None],
    weights: list[Tensor],
    loss: Callable[[], float] | None = None,
    patience: int | None = None,
) -> int:
    """Run epochs; with a validation loss, stop early and put the best epoch's weights back.

    Args:
        epochs: how many at most.
        run_epoch: changes the weights in place.
        weights: what an epoch changes.
        loss: the validation loss of the weights as they are, lower is better; ``None`` = run all, keep the last.
        patience: stop after so many epochs in a row without a lower loss; ``None`` = never.

    Returns:
        The number of the epoch whose weights were kept, from 1.

    Raises:
        ConfigError: a weight is no longer finite.
    """
    best_loss, best_epoch, best_weights = float("inf"), 0, [weight.clone() for weight in weights]
    for epoch in range(1, epochs + 1):
        run_epoch()
        if not all(bool(torch.isfinite(weight).all()) for weight in weights):
            raise ConfigError(f"The weights are no longer finite after epoch {epoch}; try a lower learning_rate.")
        if loss is None:
            continue
        current = loss()
        if current < best_loss:
            best_loss, best_epoch, best_weights = current, epoch, [weight.clone() for weight in weights]
        elif patience is not None and epoch - best_epoch >= patience:
            break
    if loss is None:
        return epochs
    for weight, best in zip(weights, best_weights, strict=True):
        weight.copy_(best)
    return best_epoch
