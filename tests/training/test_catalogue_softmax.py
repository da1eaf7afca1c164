"""The blocked softmax loss against torch's own, and its sampled form against the full one."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shortlist.training import catalogue_softmax as module
from shortlist.training.catalogue_softmax import Pairs, catalogue_softmax


def plain_loss(x, y, b, targets, weights, log_q=None, excluded=None):
    """Row by row from the formula, differentiated by torch."""
    loss = torch.zeros(())
    for row, (target, weight) in enumerate(zip(targets.tolist(), weights, strict=True)):
        out = {item for r, item in (excluded or ()) if r == row}
        others = [item for item in range(len(y)) if item != target and item not in out]
        s = y @ x[row] + b
        terms = [s[target], *(s[item] - (0 if log_q is None else log_q[item]) for item in others)]
        loss = loss + weight * (torch.logsumexp(torch.stack(terms), 0) - s[target])
    return loss


def gradients(function, inputs):
    inputs = [tensor.clone().requires_grad_() for tensor in inputs]
    loss = function(*inputs)
    (2 * loss).backward()
    return loss.detach(), [tensor.grad for tensor in inputs]


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 9), st.integers(1, 12), st.integers(0, 30), st.booleans(), st.integers(0, 2**31), st.floats(0.1, 30)
)
def test_loss_and_gradients_are_those_of_the_formula(n, n_items, n_pairs, sampled, seed, size):
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 3, generator=rng, dtype=torch.float64) * size
    y, b = (torch.randn(shape, generator=rng, dtype=torch.float64) for shape in ((n_items, 3), (n_items,)))
    targets = torch.randint(n_items, (n,), generator=rng)
    weights = torch.rand(n, generator=rng, dtype=torch.float64)
    log_q = torch.rand(n_items, generator=rng, dtype=torch.float64).log() if sampled else None
    rows = torch.randint(n, (n_pairs,), generator=rng).sort().values
    pairs = Pairs(rows, torch.randint(n_items, (n_pairs,), generator=rng))
    listed = list(zip(pairs.rows.tolist(), pairs.items.tolist(), strict=True))
    loss, grads = gradients(
        lambda x, y, b: catalogue_softmax(x, y, b, targets, weights, log_q=log_q, excluded=pairs), (x, y, b)
    )
    expected, expected_grads = gradients(
        lambda x, y, b: plain_loss(x, y, b, targets, weights, log_q, listed), (x, y, b)
    )
    torch.testing.assert_close(loss, expected)
    for grad, wanted in zip(grads, expected_grads, strict=True):
        torch.testing.assert_close(grad, wanted)


def test_blocks_change_nothing(monkeypatch):
    x, y, b = torch.randn(50, 4), torch.randn(7, 4), torch.randn(7)
    targets, weights = torch.randint(7, (50,)), torch.rand(50)
    pairs = Pairs(torch.arange(50).repeat_interleave(2), torch.randint(7, (100,)))
    whole = gradients(lambda *t: catalogue_softmax(*t, targets, weights, excluded=pairs), (x, y, b))
    monkeypatch.setattr(module, "BLOCK_CELLS", 7 * 8)
    blocked = gradients(lambda *t: catalogue_softmax(*t, targets, weights, excluded=pairs), (x, y, b))
    torch.testing.assert_close(blocked, whole)
    monkeypatch.setattr(module, "BLOCK_CELLS", 1)
    torch.testing.assert_close(
        gradients(lambda *t: catalogue_softmax(*t, targets, weights), (x, y, b))[0] > 0, whole[0] > 0
    )


def test_a_sample_estimates_the_sum_over_the_catalogue():
    rng = np.random.default_rng(0)
    n_items, target = 30, 4
    x, y, b = torch.randn(1, 3), torch.randn(n_items, 3), torch.randn(n_items)
    q = rng.uniform(0.2, 0.9, n_items)
    one = torch.ones(1)
    full = float(catalogue_softmax(x, y, b, torch.tensor([target]), one).exp())
    estimates = []
    for _ in range(4000):
        drawn = rng.random(n_items) < q
        drawn[target] = True
        items = torch.from_numpy(np.flatnonzero(drawn))
        place = torch.tensor([int(drawn[:target].sum())])
        log_q = torch.from_numpy(np.log(q)).float()[items]
        estimates.append(float(catalogue_softmax(x, y[items], b[items], place, one, log_q=log_q).exp()))
    assert np.mean(estimates) == pytest.approx(full, abs=4 * np.std(estimates) / 4000**0.5)


def test_an_excluded_target_still_counts():
    x, y, b, one = torch.zeros(1, 2), torch.zeros(3, 2), torch.zeros(3), torch.ones(1)
    pairs = Pairs(torch.zeros(3, dtype=torch.int64), torch.arange(3))
    assert float(catalogue_softmax(x, y, b, torch.tensor([1]), one, excluded=pairs)) == 0


def test_a_sample_that_holds_every_item_gives_the_full_loss():
    inputs = torch.randn(20, 4), torch.randn(9, 4), torch.randn(9)
    targets, weights = torch.randint(9, (20,)), torch.rand(20)
    full = gradients(lambda *t: catalogue_softmax(*t, targets, weights), inputs)
    sure = gradients(lambda *t: catalogue_softmax(*t, targets, weights, log_q=torch.zeros(9)), inputs)
    torch.testing.assert_close(sure, full)
