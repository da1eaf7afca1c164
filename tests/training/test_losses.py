"""The fast losses against the plain form: batch by batch, every row apart, in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shortlist.training.losses import full_softmax, in_batch_softmax

DIMENSION = 4


def plain_in_batch(users, items, biases, pair_users, pair_items, log_q, temperature, remove_accidental_hits):
    """B rows by B columns: row r's item against the items of all rows."""
    scores = (users[pair_users] @ items[pair_items].T + biases[pair_items]) / temperature  # (B, B)
    scores = scores - log_q[pair_items]
    same = pair_items[:, None] == pair_items[None, :]
    accidental = same & ~torch.eye(len(pair_items), dtype=torch.bool)
    if remove_accidental_hits:
        scores = scores.masked_fill(accidental, -torch.inf)
    return torch.nn.functional.cross_entropy(scores, torch.arange(len(pair_items)), reduction="sum")


def batch(seed, n_users, n_items, n_rows, scale):
    """A batch with repeats in which every user and item occurs (the items as the losses are given them)."""
    rng = np.random.default_rng(seed)
    n_rows = max(n_rows, n_users, n_items)
    pair_users = np.concatenate([np.arange(n_users), rng.integers(n_users, size=n_rows - n_users)])
    pair_items = np.concatenate([np.arange(n_items), rng.integers(n_items, size=n_rows - n_items) ** 2 // n_items])
    tables = [rng.normal(scale=scale, size=size) for size in ((n_users, DIMENSION), (n_items, DIMENSION), n_items)]
    log_q = np.log(rng.dirichlet(np.ones(n_items)) + 1e-4)
    return tables, rng.permutation(pair_users), rng.permutation(pair_items), log_q


def loss_and_gradients(function, tables, dtype, *arguments, **options):
    leaves = [torch.tensor(table, dtype=dtype, requires_grad=True) for table in tables]
    loss = function(*leaves, *arguments, **options)
    loss.backward()
    return [loss.detach().double().numpy(), *(leaf.grad.double().numpy() for leaf in leaves)]


def assert_same(fast, plain, tolerance, size=1.0):
    """Each within the tolerance of the plain form, relative to its greatest value (at least the size)."""
    for one, other in zip(fast, plain, strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance * max(size, np.abs(other).max()))


@pytest.mark.parametrize("remove_accidental_hits", [False, True])
@pytest.mark.parametrize("logq", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_users=st.integers(1, 12),
    n_items=st.integers(1, 12),
    n_rows=st.integers(1, 200),
    scale=st.sampled_from([0.05, 1.0, 3.0]),
    temperature=st.sampled_from([0.1, 1.0, 2.5]),
)
def test_equals_the_plain_form(dtype, logq, remove_accidental_hits, seed, n_users, n_items, n_rows, scale, temperature):
    tables, users, items, log_q = batch(seed, n_users, n_items, n_rows, scale)
    # The plain form starts from the same float32 numbers.
    tables = [table.astype(np.float32) for table in tables]
    rows = torch.from_numpy(users), torch.from_numpy(items)
    log_q = torch.tensor(log_q if logq else np.zeros(n_items))
    plain = loss_and_gradients(plain_in_batch, tables, torch.float64, *rows, log_q, temperature, remove_accidental_hits)
    fast = loss_and_gradients(
        in_batch_softmax,
        tables,
        dtype,
        *rows,
        log_q=log_q.to(dtype) if logq else None,
        temperature=temperature,
        remove_accidental_hits=remove_accidental_hits,
    )
    # A gradient is a sum over the rows in which terms of up to 1 / temperature cancel: to a millionth of those.
    size = max(1.0, 0.1 * len(users) / temperature)
    assert_same(fast, plain, 1e-5 if dtype == torch.float32 else 1e-9, size)


@pytest.mark.parametrize("remove_accidental_hits", [False, True])
def test_a_batch_of_the_size_of_the_tutorials(remove_accidental_hits):
    tables, users, items, log_q = batch(0, 300, 400, 3_000, 1.0)
    rows = torch.from_numpy(users), torch.from_numpy(items)
    log_q = torch.from_numpy(log_q)
    plain = loss_and_gradients(plain_in_batch, tables, torch.float64, *rows, log_q, 1.0, remove_accidental_hits)
    fast = loss_and_gradients(
        in_batch_softmax,
        tables,
        torch.float32,
        *rows,
        log_q=log_q.float(),
        remove_accidental_hits=remove_accidental_hits,
    )
    assert_same(fast, plain, 1e-5)


def test_nothing_is_lost_where_one_item_holds_nearly_all_of_the_sum():
    """Item 0 fills 999 of 1,000 rows and scores 12 above the other: the rest of the sum is e^-12 beside 999."""
    users = torch.tensor([[1.0]])
    items = torch.tensor([[12.0], [0.0]])
    rows = torch.zeros(1_000, dtype=torch.int64), torch.tensor([0] * 999 + [1])
    loss = in_batch_softmax(users, items, None, *rows, remove_accidental_hits=True)
    assert float(loss) == pytest.approx(999 * np.log1p(np.exp(-12.0)) + np.log(999 * np.exp(12.0) + 1), rel=1e-9)


def test_far_logits_stay_finite():
    users = torch.tensor([[1.0]], requires_grad=True)
    items = torch.tensor([[300.0], [-300.0]], requires_grad=True)
    rows = torch.tensor([0, 0, 0]), torch.tensor([0, 0, 1])
    for removed in (False, True):
        loss = in_batch_softmax(users, items, None, *rows, remove_accidental_hits=removed)
        loss.backward()
        assert float(loss.detach()) == pytest.approx(600 + np.log(2) * (1 if removed else 3), rel=1e-6)
    assert torch.isfinite(users.grad).all()
    assert torch.isfinite(items.grad).all()


def test_full_softmax_equals_cross_entropy_over_the_catalogue():
    tables, users, items, _ = batch(1, 5, 9, 60, 1.0)
    rows = torch.from_numpy(users), torch.from_numpy(items)

    def plain(x, y, b, pair_users, pair_items, temperature):
        scores = ((x @ y.T + b) / temperature)[pair_users]
        return torch.nn.functional.cross_entropy(scores, pair_items, reduction="sum")

    expected = loss_and_gradients(plain, tables, torch.float64, *rows, temperature=0.5)
    assert_same(loss_and_gradients(full_softmax, tables, torch.float32, *rows, temperature=0.5), expected, 1e-5)
