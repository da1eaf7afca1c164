"""The rating network on ratings whose structure is known."""

import itertools
from dataclasses import replace

import msgspec
import numpy as np
import pytest
import torch

from shortlist.errors import ConfigError, DataError
from shortlist.neural_settings import RatingNetworkSettings
from shortlist.training.ranking.rating_network import (
    PART_ROWS,
    fit_rating_network,
    mean_squared_error,
    squared_error_gradients,
)

SMALL = RatingNetworkSettings(dimension=8, hidden=(16, 8), epochs=60, batch_size=64)
N_USERS, N_ITEMS = 30, 20


@pytest.fixture(scope="module")
def rated(make_log):
    """Users rate items of their own parity 5, the others 1; user 30 and item 20 have no rating. A fifth is held out."""
    rng = np.random.default_rng(0)
    users, items = (rows.ravel() for rows in np.meshgrid(np.arange(N_USERS), np.arange(N_ITEMS), indexing="ij"))
    order = rng.permutation(len(users))
    users, items = users[order], items[order]
    ratings = np.where(users % 2 == items % 2, 5, 1)
    log = make_log(users, items, N_USERS + 1, N_ITEMS + 1, ratings=ratings)
    held_out = np.arange(len(log)) % 5 == 0
    return log.take(~held_out), log.take(held_out)


def arrays(network):
    return [network.user_vectors, network.item_vectors, *network.weights, *network.biases]


def same_bits(one, other):
    return all(a.tobytes() == b.tobytes() for a, b in zip(arrays(one), arrays(other), strict=True))


@pytest.mark.parametrize("hidden", [(16, 8), (12,), (8, 8, 8)])
def test_learns_who_likes_what(rated, hidden):
    train, held_out = rated
    settings = msgspec.structs.replace(SMALL, hidden=hidden)
    assert mean_squared_error(fit_rating_network(train, settings, seed=1), held_out) < 0.3  # the mean: 4
    ratings = np.random.default_rng(1).permutation(train.ratings)
    without = fit_rating_network(replace(train, ratings=ratings), settings, seed=1)
    assert mean_squared_error(without, held_out) > 3


@pytest.mark.parametrize("hidden", [(16, 8), (12,), (8, 8, 8)])
def test_gradients_are_torchs(hidden):
    rng = np.random.default_rng(3)
    n_rows, d = PART_ROWS + 100, 4
    widths = [2 * d, *hidden, 1]
    shapes = [(9, d), (7, d), *itertools.pairwise(widths), *((width,) for width in widths[1:])]
    tables = [torch.from_numpy(rng.normal(size=shape)).requires_grad_() for shape in shapes]
    users, items = torch.from_numpy(rng.integers(9, size=n_rows)), torch.from_numpy(rng.integers(7, size=n_rows))
    ratings = torch.from_numpy(rng.normal(size=n_rows))
    weights, biases = tables[2 : 3 + len(hidden)], tables[3 + len(hidden) :]
    x = torch.cat([tables[0][users], tables[1][items]], dim=1)
    for w, b in zip(weights[:-1], biases[:-1], strict=True):
        x = torch.relu(x @ w + b)
    loss = torch.nn.functional.mse_loss((x @ weights[-1] + biases[-1])[:, 0], ratings)
    expected = torch.autograd.grad(loss, tables)
    found = squared_error_gradients([table.detach() for table in tables], users, items, ratings)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_answers_as_torch_does(rated):
    network = fit_rating_network(rated[0], SMALL, seed=1)
    users, items = rated[1].user_rows, rated[1].item_rows
    x = torch.from_numpy(np.concatenate([network.user_vectors[users], network.item_vectors[items]], axis=1))
    for weights, biases in zip(network.weights[:-1], network.biases[:-1], strict=True):
        x = torch.relu(x @ torch.from_numpy(weights) + torch.from_numpy(biases))
    expected = (x @ torch.from_numpy(network.weights[-1]) + torch.from_numpy(network.biases[-1]))[:, 0]
    np.testing.assert_allclose(network.predict_rows(users, items), expected.numpy(), rtol=1e-5)


def test_who_has_no_rating_gets_the_mean_vector(rated):
    train, _ = rated
    ratings = train.ratings.copy()
    ratings[(train.user_rows == 4) | (train.item_rows == 6)] = np.nan
    network = fit_rating_network(replace(train, ratings=ratings), SMALL, seed=1)
    rated = ~np.isnan(ratings)
    for vectors, rows, without in (
        (network.user_vectors, train.user_rows[rated], [4, 30, 31]),
        (network.item_vectors, train.item_rows[rated], [6, 20, 21]),
    ):
        for row in without:
            np.testing.assert_allclose(vectors[row], vectors[rows].mean(axis=0), atol=1e-6)


@pytest.mark.parametrize("averaging", [0.0, 0.5])
def test_same_seed_same_bits(rated, averaging):
    settings = msgspec.structs.replace(SMALL, epochs=5, averaging=averaging)
    state = torch.get_rng_state()
    first, again, other = (fit_rating_network(rated[0], settings, seed=seed) for seed in (5, 5, 6))
    assert same_bits(first, again)
    assert not same_bits(first, other)
    assert torch.equal(state, torch.get_rng_state())


def test_averaging_by_hand(rated):
    """At 0.5: the mean of the first two epochs, then half of that and half of the third."""
    last = [fit_rating_network(rated[0], msgspec.structs.replace(SMALL, epochs=n), seed=1) for n in (1, 2, 3)]
    averaged = fit_rating_network(rated[0], msgspec.structs.replace(SMALL, epochs=3, averaging=0.5), seed=1)
    for one, two, three, average in zip(*map(arrays, [*last, averaged]), strict=True):
        np.testing.assert_allclose(average, ((one + two) / 2 + three) / 2, rtol=1e-5, atol=1e-6)


def test_early_stopping_keeps_the_best_epoch(rated):
    train, held_out = rated
    noisy = replace(train, ratings=train.ratings + np.random.default_rng(2).normal(0, 3, len(train)).astype(np.float32))
    settings = msgspec.structs.replace(SMALL, epochs=150, patience=10)
    stopped = fit_rating_network(noisy, settings, seed=2, validation=held_out)
    by_epoch = []
    for epochs in range(1, 151):
        network = fit_rating_network(noisy, msgspec.structs.replace(settings, epochs=epochs), seed=2)
        by_epoch.append(mean_squared_error(network, held_out))
        if same_bits(network, stopped):
            break
    else:
        pytest.fail("the stopped weights are those of no epoch")
    assert by_epoch[-1] == min(by_epoch)
    assert 1 < epochs < 150


def test_weight_decay_shrinks(rated):
    plain, decayed = (
        fit_rating_network(rated[0], msgspec.structs.replace(SMALL, weight_decay=decay), seed=1) for decay in (0, 0.05)
    )
    for one, other in zip(arrays(plain)[:5], arrays(decayed)[:5], strict=True):
        assert np.square(other).sum() < np.square(one).sum()


def test_refuses_a_log_without_ratings(make_log):
    unrated, rated = (make_log([0], [0], 1, 1, ratings=[rating]) for rating in (np.nan, 3))
    with pytest.raises(DataError, match="at least one event with a rating"):
        fit_rating_network(unrated, SMALL, seed=0)
    with pytest.raises(DataError, match="validation event with a rating"):
        fit_rating_network(rated, SMALL, seed=0, validation=unrated)


def test_says_that_the_weights_ran_away(rated):
    with pytest.raises(ConfigError, match="learning_rate"):
        fit_rating_network(rated[0], msgspec.structs.replace(SMALL, learning_rate=1e30), seed=0)
