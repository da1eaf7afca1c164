from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from made_logs import make_log, make_queries, two_groups
from source_contract import HistorySourceContract, ask_all

from shortlist.errors import DataError
from shortlist.training.retrieval.als import confidence_matrix, fit_als, solve_side


class TestAls(HistorySourceContract):
    sums_over_history = True

    def make_source(self, log):
        return fit_als(log, regularisation=0.5, dimension=8)


class TestAlsOfManyDimensions(HistorySourceContract):
    """More dimensions than a history has items, and the history decayed."""

    sums_over_history = True

    def make_source(self, log):
        return fit_als(log, regularisation=0.5, dimension=48, iterations=2, decay=0.9)


def loss(c, x, v, alpha, ridge):
    """The sum that the docstring says is minimised, pair by pair, in float64."""
    n_users, n_items = (c.sum(axis=1) > 0).sum(), (c.sum(axis=0) > 0).sum()
    fit = x @ v.T
    total = (c * (1 - fit) ** 2).sum() + alpha * (fit**2).sum()
    total += ridge * ((c.sum(axis=1) + alpha * n_items) * (x**2).sum(axis=1))[c.sum(axis=1) > 0].sum()
    return total + ridge * ((c.sum(axis=0) + alpha * n_users) * (v**2).sum(axis=1))[c.sum(axis=0) > 0].sum()


def dense(log):
    """The confidences as a dense matrix, counted another way."""
    weights = np.zeros((log.n_users, log.n_items))
    np.add.at(weights, (log.user_rows, log.item_rows), log.weights)
    return np.log2(1 + weights)


def weights_of_the_loss(c, regularisation, unobserved):
    n_users, n_items = (c.sum(axis=1) > 0).sum(), (c.sum(axis=0) > 0).sum()
    return unobserved * c.sum() / (n_users * n_items), regularisation / (1 + unobserved)


def exact_users(c, v, alpha, ridge):
    """Each user's vector by the normal equations with one row per item of the catalogue, in float64."""
    n_items = (c.sum(axis=0) > 0).sum()
    rows = []
    for of_user in c:
        system = v.T @ np.diag(of_user + alpha) @ v
        system += ridge * (of_user.sum() + alpha * n_items) * np.eye(v.shape[1])
        rows.append(np.linalg.solve(system, v.T @ of_user))
    return np.array(rows)


@pytest.mark.parametrize(("regularisation", "unobserved"), [(0.05, 4.0), (0.3, 16.0)])
def test_a_history_is_answered_by_the_exact_solution(regularisation, unobserved):
    log, _ = two_groups(3)
    source = fit_als(log, regularisation=regularisation, unobserved=unobserved, dimension=6, iterations=3)
    c, v = dense(log.positives()), source.item_vectors.astype(np.float64)
    expected = exact_users(c, v, *weights_of_the_loss(c, regularisation, unobserved)) @ v.T
    scores = source.score_catalogue(ask_all(log))[: log.n_users]
    active = c.sum(axis=1) > 0
    np.testing.assert_allclose(
        scores[active][:, source.trained_items], expected[active][:, source.trained_items], atol=2e-5
    )


def test_a_training_users_history_folds_into_its_own_row():
    log, _ = two_groups(4)
    source = fit_als(log, regularisation=0.1, dimension=6)
    rows = solve_side(confidence_matrix(log.positives()), source.item_vectors, source.prior, source.ridge)
    scores = source.score_catalogue(ask_all(log))[: log.n_users]
    active = rows.any(axis=1)
    assert active.sum() > 100
    expected = (rows @ source.item_vectors.T)[active][:, source.trained_items]
    np.testing.assert_allclose(scores[active][:, source.trained_items], expected, rtol=1e-5, atol=1e-6)


def test_every_step_lowers_the_loss_and_many_reach_a_minimum():
    log, _ = two_groups(5)
    c = dense(log.positives())
    alpha, ridge = weights_of_the_loss(c, 0.1, 16.0)
    losses = []
    for iterations in (1, 2, 4, 8, 60):
        source = fit_als(log, regularisation=0.1, dimension=4, iterations=iterations)
        x = solve_side(confidence_matrix(log.positives()), source.item_vectors, source.prior, source.ridge)
        losses.append(loss(c, x.astype(np.float64), source.item_vectors.astype(np.float64), alpha, ridge))
    assert all(later < earlier * 1.00001 for earlier, later in pairwise(losses))
    assert losses[-1] < 0.9 * loss(c, 0 * x, 0 * source.item_vectors, alpha, ridge)
    rng = np.random.default_rng(0)
    for size in (1e-2, 1e-1):
        nearby = (
            source.item_vectors + size * rng.standard_normal(source.item_vectors.shape) * source.trained_items[:, None]
        )
        assert loss(c, exact_users(c, nearby, alpha, ridge), nearby, alpha, ridge) > losses[-1]


def test_the_settings_do_not_depend_on_the_size_of_the_data():
    """The same people twice over: the same vectors."""
    log, _ = two_groups(6)
    log = log.positives()
    twice = make_log(
        np.concatenate([log.user_rows, log.user_rows + log.n_users]),
        np.concatenate([log.item_rows, log.item_rows]),
        2 * log.n_users,
        log.n_items,
        weights=np.concatenate([log.weights, log.weights]),
    )
    one, two = (fit_als(of, regularisation=0.1, dimension=4) for of in (log, twice))
    queries = ask_all(log).block(0, 20)
    np.testing.assert_allclose(one.score_catalogue(queries), two.score_catalogue(queries), rtol=1e-3, atol=1e-4)


def test_repeats_count_but_not_each_as_much():
    log, _ = two_groups(7)
    source = fit_als(log, regularisation=0.1, dimension=4)
    once, twice, thrice, weighted = (
        source.score_catalogue(make_queries([history], weights=weights))
        for history, weights in (([2, 3], [1, 1]), ([2, 3, 3], None), ([2, 3, 3, 3], None), ([2, 3], [1, 3]))
    )
    odd = np.arange(1, log.n_items, 2)
    gains = [np.nanmean((more - less)[0, odd]) for less, more in ((once, twice), (twice, thrice))]
    assert gains[0] > gains[1] > 0
    assert thrice.tobytes() == weighted.tobytes()


def test_decay_turns_to_the_latest_event():
    log, _ = two_groups(8)
    source = replace(fit_als(log, regularisation=0.1, dimension=4), decay=0.1)
    even, odd = np.arange(0, log.n_items - 1, 2), np.arange(1, log.n_items, 2)
    scores = source.score_catalogue(make_queries([[0, 2, 4, 1], [1, 3, 5, 0]]))
    assert np.nanmean(scores[0, odd]) > np.nanmean(scores[0, even])
    assert np.nanmean(scores[1, even]) > np.nanmean(scores[1, odd])


def test_a_fit_with_decay_is_one_of_events_that_weigh_less_the_older_they_are():
    log, _ = two_groups(8)
    log = log.positives()
    later = [int((log.user_rows[event + 1 :] == user).sum()) for event, user in enumerate(log.user_rows)]
    weighted = replace(log, weights=(log.weights * 0.7 ** np.array(later)).astype(np.float32))
    expected = fit_als(weighted, regularisation=0.3, dimension=4)
    decayed = fit_als(log, regularisation=0.3, dimension=4, fit_decay=0.7)
    np.testing.assert_allclose(decayed.item_vectors, expected.item_vectors, rtol=1e-4, atol=1e-6)
    assert not np.allclose(decayed.item_vectors, fit_als(log, regularisation=0.3, dimension=4).item_vectors, atol=1e-3)


def test_an_item_that_nobody_took_up_is_no_evidence():
    log = make_log([0, 0, 1, 1], [0, 1, 0, 1], 2, 3)
    source = fit_als(log, regularisation=0.1, dimension=2)
    assert source.trained_items.tolist() == [True, True, False]
    alone, beside = (source.score_catalogue(make_queries([history])) for history in ([2], [2, 0]))
    assert np.isnan(alone).all()
    assert beside.tobytes() == source.score_catalogue(make_queries([[0]])).tobytes()


@pytest.mark.parametrize("n", [1, 3])
def test_tiny_logs_can_be_fitted(n):
    source = fit_als(make_log([0] * n, range(n), 1, n), regularisation=0.1)
    assert np.isfinite(source.score_catalogue(make_queries([[0]]))).all()


def test_another_seed_gives_other_vectors():
    log, _ = two_groups(9)
    one, other = (fit_als(log, regularisation=0.1, dimension=4, seed=seed) for seed in (0, 1))
    assert not np.allclose(one.item_vectors, other.item_vectors)


def test_a_log_without_positives_is_refused():
    log = make_log([0, 1], [0, 1], 2, 2, weights=[0, 0])
    with pytest.raises(DataError, match="at least one event with a weight above 0"):
        fit_als(log, regularisation=0.1)


def test_too_little_regularisation_is_named():
    log = make_log([0, 0, 1], [0, 1, 1], 2, 2)
    with pytest.raises(DataError, match="more regularisation"):
        fit_als(log, regularisation=1e-30)
