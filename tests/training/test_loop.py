"""The parts of a training loop."""

import pytest
import torch

from shortlist.errors import ConfigError
from shortlist.training.loop import Adagrad, Adam, fit_epochs, one_thread, shuffled_batches


def gradients(seed, n=5):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(6, 3, generator=generator, dtype=torch.float64) for _ in range(n)]


def test_adagrad_is_that_of_keras():
    """By its formula, step by step."""
    table, accumulator = torch.ones(6, 3, dtype=torch.float64), torch.full((6, 3), 0.1, dtype=torch.float64)
    expected = table.clone()
    optimizer = Adagrad(table, 0.1)
    for gradient in gradients(0):
        optimizer.step(gradient)
        accumulator += gradient**2
        expected -= 0.1 * gradient / torch.sqrt(accumulator + 1e-7)
    torch.testing.assert_close(table, expected)


def test_adam_is_that_of_torch():
    table = torch.ones(6, 3, dtype=torch.float64)
    parameter = torch.nn.Parameter(table.clone())
    optimizer, torchs = Adam(table, 0.01), torch.optim.Adam([parameter], lr=0.01)
    for gradient in gradients(1):
        optimizer.step(gradient)
        parameter.grad = gradient
        torchs.step()
    torch.testing.assert_close(table, parameter.detach())


@pytest.mark.parametrize("kind", [Adagrad, Adam])
def test_only_the_rows_of_a_step_change(kind):
    """Some rows by their numbers, in any order, as the whole table with only them."""
    some, whole = torch.ones(6, 3, dtype=torch.float64), torch.ones(3, 3, dtype=torch.float64)
    by_rows, plain = kind(some, 0.1), kind(whole, 0.1)
    rows = torch.tensor([4, 0, 2])
    for gradient in gradients(2):
        by_rows.step(gradient[:3], rows)
        plain.step(gradient[:3])
    torch.testing.assert_close(some[rows], whole)
    assert (some[[1, 3, 5]] == 1).all()


def test_batches_hold_every_row_once_in_a_new_order():
    generator = torch.Generator().manual_seed(0)
    first, second = (list(shuffled_batches(10, 4, generator)) for _ in range(2))
    assert [len(batch) for batch in first] == [4, 4, 2]
    assert sorted(torch.cat(first).tolist()) == list(range(10))
    assert torch.cat(first).tolist() != torch.cat(second).tolist()


def test_one_thread_gives_the_setting_back_after_an_error():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    within = []

    @one_thread()
    def fail():
        within.append(torch.get_num_threads())
        raise KeyError

    try:
        with pytest.raises(KeyError):
            fail()
        assert (within, torch.get_num_threads()) == ([1], 2)
    finally:
        torch.set_num_threads(before)


LOSSES = [3.0, 2.0, 2.5, 2.0, 1.0, 4.0, 1.0, 2.0]
"""Epoch 4 is as good as the best, which is not better."""


@pytest.mark.parametrize(("patience", "kept", "ran"), [(1, 2, 3), (2, 2, 4), (3, 5, 8), (None, 5, 8)])
def test_early_stopping(patience, kept, ran):
    weight = torch.zeros(1)
    epochs = []

    def run_epoch():
        weight.add_(1)
        epochs.append(int(weight))

    best = fit_epochs(8, run_epoch, [weight], lambda: LOSSES[int(weight) - 1], patience)
    assert (best, int(weight), len(epochs)) == (kept, kept, ran)


def test_without_validation_the_last_epoch_is_kept():
    weight = torch.zeros(1)
    assert fit_epochs(3, lambda: weight.add_(1), [weight]) == 3
    assert float(weight) == 3


def test_weights_that_ran_away_are_refused():
    weight = torch.zeros(1)
    with pytest.raises(ConfigError, match="epoch 1"):
        fit_epochs(3, lambda: weight.add_(torch.inf), [weight])
