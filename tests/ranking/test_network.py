"""The rating network's answers: right, and the same to the bit in any batch."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shortlist.ranking.network import BLOCK_ROWS, RatingNetwork, exact_product
from shortlist.stages import Queries

N_USERS, N_ITEMS = 30, 50


def network(seed, dimension=8, hidden=(40, 12), spread=1.0):
    rng = np.random.default_rng(seed)
    widths = [2 * dimension, *hidden, 1]
    shapes = list(itertools.pairwise(widths))
    vectors = [rng.normal(scale=spread, size=(n + 1, dimension)).astype(np.float32) for n in (N_USERS, N_ITEMS)]
    return RatingNetwork(
        *vectors,
        tuple(rng.normal(size=shape).astype(np.float32) for shape in shapes),
        tuple(rng.normal(size=n).astype(np.float32) for _, n in shapes),
        offset=3.5,
    )


def pairs(seed, n):
    rng = np.random.default_rng(seed)
    return rng.integers(-1, N_USERS, n).astype(np.int32), rng.integers(-1, N_ITEMS, n).astype(np.int32)


def plain(model, user_rows, item_rows):
    """In float64 with BLAS."""
    x = np.concatenate([model.user_vectors[user_rows], model.item_vectors[item_rows]], axis=1).astype(np.float64)
    for weights, biases in zip(model.weights[:-1], model.biases[:-1], strict=True):
        x = np.maximum(x @ weights + biases, 0)
    return (x @ model.weights[-1] + model.biases[-1])[:, 0] + model.offset


@pytest.mark.parametrize("hidden", [(256, 64), (40, 12), (5,), (7, 7, 7)])
def test_predicts_what_the_layers_say(hidden):
    model = network(1, hidden=hidden)
    users, items = pairs(2, 500)
    expected = plain(model, users, items)
    np.testing.assert_allclose(
        model.predict_rows(users, items), expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max()
    )


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 70),
    spread=st.sampled_from([1e-6, 1.0, 1e4]),
    hidden=st.sampled_from([(256, 64), (40, 12), (33,)]),
)
def test_one_by_one_equals_the_batch_to_the_byte(seed, n, spread, hidden):
    model = network(seed % 5, hidden=hidden, spread=spread)
    users, items = pairs(seed, n)
    batch = model.predict_rows(users, items)
    single = [model.predict_rows(users[row : row + 1], items[row : row + 1]) for row in range(n)]
    assert batch.tobytes() == np.concatenate(single).tobytes()
    order = np.random.default_rng(seed).permutation(n)
    assert model.predict_rows(users[order], items[order]).tobytes() == batch[order].tobytes()


def test_blocks_change_nothing():
    model = network(3)
    users, items = pairs(4, BLOCK_ROWS + 37)
    whole = model.predict_rows(users, items)
    assert whole[-50:].tobytes() == model.predict_rows(users[-50:], items[-50:]).tobytes()
    assert model.predict_rows(users[:0], items[:0]).shape == (0,)


def test_unknown_user_and_item_are_answered_by_the_last_rows():
    model = network(5)
    rows = np.array([-1, N_USERS, 3, 3], dtype=np.int32), np.array([2, 2, -1, N_ITEMS], dtype=np.int32)
    predictions = model.predict_rows(*rows)
    assert predictions[0] == predictions[1]
    assert predictions[2] == predictions[3]
    assert predictions.dtype == np.float32


def test_queries_are_answered_by_their_users():
    model = network(5)
    users = np.array([4, -1, 7], dtype=np.int32)
    queries = Queries(users, np.zeros(3, np.int64), np.zeros(4, np.int64), *[np.zeros(0, np.int32)] * 4)
    query_rows, items = np.array([0, 0, 1, 2, 2]), np.array([3, -1, 3, 0, 9], dtype=np.int32)
    expected = model.predict_rows(users[query_rows], items)
    assert model.predict(queries, query_rows, items).tobytes() == expected.tobytes()


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 20),
    k=st.sampled_from([1, 2, 3, 64, 256, 257, 1000]),
    scale=st.sampled_from([1e-20, 1.0, 1e20]),
)
def test_exact_product_does_not_depend_on_the_order_of_the_sums(seed, n, k, scale):
    rng = np.random.default_rng(seed)
    x, w = rng.standard_t(2, size=(n, k)).astype(np.float32) * np.float32(scale), rng.standard_t(2, size=(k, 6))
    order = rng.permutation(k)
    product = exact_product(x, w)
    assert product.tobytes() == exact_product(x[:, order], w[order]).tobytes()
    bound = np.abs(x).max(axis=1, keepdims=True).astype(np.float64) * np.abs(w).max(axis=0)  # of one term
    assert (np.abs(product - x.astype(np.float64) @ w) <= 2**-20 * k * bound).all()


def test_a_plain_product_does_depend_on_it():
    """The reason for the exact one; were this no longer so, it could go."""
    rng = np.random.default_rng(0)
    x, w, order = rng.normal(size=(50, 256)), rng.normal(size=(256, 6)), rng.permutation(256)
    assert (x @ w).tobytes() != (x[:, order] @ w[order]).tobytes()


def test_exact_product_of_zeros():
    assert (exact_product(np.zeros((2, 3)), np.ones((3, 1))) == 0).all()


def test_a_network_has_one_term():
    model = network(5)
    queries = Queries(
        np.array([4], np.int32), np.zeros(1, np.int64), np.zeros(2, np.int64), *[np.zeros(0, np.int32)] * 4
    )
    asked = queries, np.zeros(3, dtype=np.int64), np.array([3, -1, 9], dtype=np.int32)
    names, values = model.terms(*asked)
    assert names == ("network",)
    assert values[:, 0].tolist() == model.predict(*asked).tolist()
