"""The factorization machine's answers: what the formulas say, and the same to the bit in any batch."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import norm

from shortlist.ranking.factorization import DAY_SECONDS, SPREAD_COUNT, RatingFactorization
from shortlist.stages import Queries

N_USERS, N_ITEMS, K, D = 12, 15, 4, 2
DAYS = (100, 101, 104)
END = 110 * DAY_SECONDS
LEVELS = np.array([1.0, 2.0, 4.0, 5.0])
UNHEARD_OF = 103 * DAY_SECONDS
"""A time before the end, on a day without ratings."""


def made(seed=0, probit=True):
    rng = np.random.default_rng(seed)
    floats = lambda *shape: rng.normal(scale=0.4, size=shape).astype(np.float32)  # noqa: E731
    root = rng.normal(size=(1 + K, 1 + K))
    return RatingFactorization(
        users=floats(N_USERS, 1 + K + D),
        items=floats(N_ITEMS + 1, 1 + K + D),
        days=floats(len(DAYS), 1 + D),
        day_numbers=np.array(DAYS, dtype=np.int32),
        usual_days=floats(N_USERS + 1, 1 + D),
        end=END,
        evidence=floats(N_ITEMS, 1 + K + D),
        prior=floats(1 + K + D).astype(np.float64),
        precision=root @ root.T + np.eye(1 + K),
        newcomer=floats(1 + K + D),
        user_variances=rng.random(N_USERS + 1).astype(np.float32),
        item_variances=rng.random(N_ITEMS + 1).astype(np.float32),
        user_groups=(np.arange(N_USERS) % 2).astype(np.int32),
        group_edges=np.array([0.8], dtype=np.float32),
        spread=1.0,
        rated_counts=np.full(N_USERS, 3, dtype=np.int32),
        levels=LEVELS if probit else LEVELS[[0, -1]],
        thresholds=np.array([[-1.0, 0.1, 1.5], [-0.5, 0.0, 0.4]]) if probit else None,
        noise=1.1,
    )


def queries(user_rows, at=END, histories=None):
    """Histories are lists of (item, rating, time)."""
    histories = histories or [[] for _ in user_rows]
    events = [event for history in histories for event in history]
    columns = (np.array(column) for column in (zip(*events, strict=True) if events else ([], [], [])))
    items, ratings, times = columns
    return Queries(
        np.array(user_rows, dtype=np.int32),
        np.broadcast_to(np.asarray(at, dtype=np.int64), len(user_rows)).copy(),
        np.concatenate([[0], np.cumsum([len(history) for history in histories])]).astype(np.int64),
        items.astype(np.int32),
        times.astype(np.int64),
        ratings.astype(np.float32),
        np.ones(len(events), dtype=np.float32),
    )


def mean_of(model, user, item, day):
    """m of the class docstring, from vectors (1 + K + D,), (1 + K + D,) and (1 + D,)."""
    user, item, day = (np.asarray(v, dtype=np.float64) for v in (user, item, day))
    return user[0] + item[0] + day[0] + user[1 : 1 + K] @ item[1 : 1 + K] + (user[1 + K :] + item[1 + K :]) @ day[1:]


def test_the_expected_rating_by_hand():
    model = made()
    for user, item in ((0, 3), (5, 14)):
        mean = mean_of(model, model.users[user], model.items[item], model.usual_days[user])
        scale = np.sqrt(model.noise + model.user_variances[user] + model.item_variances[item])
        below = norm.cdf((model.thresholds[user % 2] - mean) / scale)
        shares = np.diff(np.concatenate([[0], below, [1]]))
        asked = queries([user]), np.array([0]), np.array([item], dtype=np.int32)
        np.testing.assert_allclose(model.predict(*asked), shares @ LEVELS, rtol=1e-6)
        for level, share in zip(LEVELS, np.cumsum(shares[::-1])[::-1], strict=True):
            np.testing.assert_allclose(model.probabilities(*asked, level), share, rtol=1e-6)


def test_regression_by_hand():
    model = made(probit=False)
    users, items = np.repeat(np.arange(N_USERS), N_ITEMS), np.tile(np.arange(N_ITEMS), N_USERS).astype(np.int32)
    asked = queries(np.arange(N_USERS)), users, items
    means = np.array(
        [mean_of(model, model.users[u], model.items[i], model.usual_days[u]) for u, i in zip(users, items, strict=True)]
    )
    np.testing.assert_allclose(model.predict(*asked), np.clip(means, 1, 5), rtol=1e-5)
    scales = np.sqrt(model.noise + model.user_variances[users] + model.item_variances[items])
    np.testing.assert_allclose(model.probabilities(*asked, 3.3), norm.sf((3.3 - means) / scales), rtol=1e-5)


def test_which_day_counts():
    model = made()
    pair = np.array([0]), np.array([2], dtype=np.int32)
    predict = lambda at: model.predict(queries([1], at), *pair)  # noqa: E731
    usual = predict(END)
    assert predict(UNHEARD_OF) == predict(99 * DAY_SECONDS) == predict(105 * DAY_SECONDS) == predict(10**12) == usual
    assert predict(-5 * DAY_SECONDS) == usual
    assert predict(101 * DAY_SECONDS) == predict(102 * DAY_SECONDS - 1) != usual
    assert predict(104 * DAY_SECONDS) != predict(101 * DAY_SECONDS)
    on_day = replace(model, usual_days=np.repeat(model.days[1:2], N_USERS + 1, axis=0))
    assert on_day.predict(queries([1]), *pair) == predict(101 * DAY_SECONDS)
    assert replace(model, end=101 * DAY_SECONDS).predict(queries([1], 101 * DAY_SECONDS), *pair) == usual


def test_a_log_without_days():
    model = made()
    plain = np.zeros((N_USERS + 1, 1), dtype=np.float32)
    model = replace(
        model,
        **{name: getattr(model, name)[..., : 1 + K] for name in ("users", "items", "evidence", "prior", "newcomer")},
        days=np.zeros((0, 1), dtype=np.float32),
        day_numbers=np.zeros(0, dtype=np.int32),
        usual_days=plain,
    )
    history = [[(2, 4.0, 0), (3, 1.0, 1)], []]
    predicted = model.predict(queries([-1, 2], 7, history), np.array([0, 1]), np.array([3, 3], dtype=np.int32))
    assert ((predicted > 1) & (predicted < 5)).all()


def test_an_unknown_item_and_somebody_without_a_history():
    model = made()
    same = replace(model, items=np.append(model.items, model.items[-1:], axis=0))
    pair = np.array([0]), np.array([-1], dtype=np.int32)
    assert model.predict(queries([3]), *pair) == same.predict(queries([3]), np.array([0]), np.array([N_ITEMS]))
    nobody = model.predict(queries([-1]), np.array([0]), np.array([4], dtype=np.int32))
    mean = mean_of(model, model.newcomer, model.items[4], model.usual_days[-1])
    scale = np.sqrt(model.noise + model.user_variances[-1] + model.item_variances[4])
    expected = 1 + norm.sf((model.thresholds[1] - mean) / scale) @ np.diff(LEVELS)  # an average spread: group 1
    np.testing.assert_allclose(nobody, expected, rtol=1e-6)


def random_history(rng, n, rated=1.0):
    items = rng.integers(0, N_ITEMS, n)
    ratings = np.where(rng.random(n) < rated, rng.choice(LEVELS, n), np.nan)
    return list(zip(items.tolist(), ratings.tolist(), rng.integers(99, 106, n) * DAY_SECONDS, strict=True))


def test_a_known_user_is_answered_as_fitted_until_the_history_knows_more():
    model, rng = made(), np.random.default_rng(1)
    pairs = np.zeros(N_ITEMS, dtype=int), np.arange(N_ITEMS, dtype=np.int32)
    three, four = random_history(rng, 3), random_history(rng, 4)
    fitted = model.predict(queries([2]), *pairs)
    assert model.predict(queries([2], histories=[three]), *pairs).tobytes() == fitted.tobytes()
    unrated = [(item, np.nan, time) for item, _, time in four]
    assert model.predict(queries([2], histories=[unrated]), *pairs).tobytes() == fitted.tobytes()
    more = model.predict(queries([2], histories=[four]), *pairs)
    assert more.tobytes() != fitted.tobytes()
    assert more.tobytes() == model.predict(queries([-1], histories=[four]), *pairs).tobytes()


def test_a_history_without_ratings_says_what_was_taken_up():
    model = made()
    history = [(3, np.nan, 0), (7, np.nan, 0), (3, np.nan, 0), (1, np.nan, 0)]
    askers = model.askers(queries([-1], histories=[history]))
    expected = model.prior + model.evidence[[1, 3, 7]].sum(axis=0) / np.sqrt(3)
    np.testing.assert_allclose(askers.vectors[0], expected, rtol=1e-5)


def known_parts(model, history):
    """What of each rated event's mean does not depend on the user's own bias and vector; and the other side of that."""
    taken_up = np.unique([item for item, _, _ in history])
    prior = model.prior + model.evidence[taken_up].sum(axis=0, dtype=np.float64) / np.sqrt(len(taken_up))
    drift = np.concatenate([np.zeros(1 + K), prior[1 + K :]])
    known, sides = [], []
    for item, _, time in history:
        day = time // DAY_SECONDS
        vector = model.days[DAYS.index(day)] if day in DAYS else model.usual_days[-1]
        known.append(mean_of(model, drift, model.items[item], vector))
        sides.append(np.concatenate([[1], model.items[item, 1 : 1 + K]]))
    return prior, np.array(known), np.array(sides)


@pytest.mark.parametrize("n", [1, 2, 30])
def test_regression_folds_in_by_ridge(n):
    model, history = made(probit=False), random_history(np.random.default_rng(n), n)
    askers = model.askers(queries([-1], histories=[history]))
    prior, known, sides = known_parts(model, history)
    weights = 1 / (model.noise + model.item_variances[[item for item, _, _ in history]].astype(float))
    ratings = np.array([rating for _, rating, _ in history])
    # Ordinary least squares with the prior as further rows.
    root = np.linalg.cholesky(model.precision).T
    rows = np.concatenate([sides * np.sqrt(weights)[:, None], root])
    targets = np.concatenate([(ratings - known) * np.sqrt(weights), root @ prior[: 1 + K]])
    own = np.linalg.lstsq(rows, targets, rcond=None)[0]
    np.testing.assert_allclose(askers.vectors[0], np.concatenate([own, prior[1 + K :]]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n", [1, 5, 40])
def test_probit_folds_in_at_the_mode_of_the_posterior(n):
    model, history = made(), random_history(np.random.default_rng(n), n)
    prior, known, sides = known_parts(model, history)
    ratings = np.array([rating for _, rating, _ in history])
    spread = (n * ratings.var() + SPREAD_COUNT * model.spread) / (n + SPREAD_COUNT)
    group = int(spread >= model.group_edges[0])
    borders = np.concatenate([[-np.inf], model.thresholds[group], [np.inf]])
    scales = np.sqrt(model.noise + model.item_variances[[item for item, _, _ in history]].astype(float))
    levels = np.searchsorted(LEVELS, ratings)

    def minus_log_posterior(own):
        means = known + sides @ own
        within = norm.cdf((borders[levels + 1] - means) / scales) - norm.cdf((borders[levels] - means) / scales)
        off = own - prior[: 1 + K]
        return -np.log(within).sum() + off @ model.precision @ off / 2

    mode = minimize(minus_log_posterior, prior[: 1 + K], tol=1e-10).x
    askers = model.askers(queries([-1], histories=[history]))
    assert askers.groups[0] == group
    np.testing.assert_allclose(askers.vectors[0, : 1 + K], mode, atol=2e-3)


def test_ratings_far_from_what_is_expected_stay_finite():
    model = made()
    model = replace(model, items=model.items * 100)
    history = [(0, 1.0, 0), (1, 5.0, 0), (0, 5.0, 0)]
    askers = model.askers(queries([-1], histories=[history]))
    assert np.isfinite(askers.vectors).all()
    assert np.isfinite(askers.variances).all()


@given(at_least=st.lists(st.floats(-1, 7), min_size=2, max_size=8), seed=st.integers(0, 50))
@settings(max_examples=50, deadline=None)
def test_probabilities_fall_with_the_level_and_the_levels_sum_to_one(at_least, seed):
    model, rng = made(seed), np.random.default_rng(seed)
    asked = queries([0, -1, 5], histories=[[], random_history(rng, 4, rated=0.7), []])
    rows, items = rng.integers(0, 3, 40), rng.integers(-1, N_ITEMS, 40).astype(np.int32)
    reached = [model.probabilities(asked, rows, items, t) for t in sorted(at_least)]
    assert all((one >= other).all() for one, other in pairwise(reached))
    assert all(((one >= 0) & (one <= 1)).all() for one in reached)
    exceeded = [model.probabilities(asked, rows, items, level) for level in LEVELS]
    assert (exceeded[0] == 1).all()
    assert (model.probabilities(asked, rows, items, 5.01) == 0).all()
    shares = np.stack(exceeded) - np.stack([*exceeded[1:], np.zeros(40)])
    np.testing.assert_allclose(shares.sum(axis=0), 1, atol=1e-6)
    np.testing.assert_allclose(model.predict(asked, rows, items), LEVELS @ shares, rtol=1e-5)


@given(seed=st.integers(0, 2**32 - 1), probit=st.booleans())
@settings(max_examples=30, deadline=None)
def test_a_pair_in_any_batch_gives_the_same_bytes(seed, probit):
    model, rng = made(seed % 7, probit), np.random.default_rng(seed)
    users = rng.integers(-1, N_USERS, 9)
    histories = [random_history(rng, int(rng.integers(0, 9)), rated=0.8) for _ in users]
    asked = queries(users, rng.choice([END, UNHEARD_OF, 100 * DAY_SECONDS], 9), histories)
    rows, items = np.sort(rng.integers(0, 9, 50)), rng.integers(-1, N_ITEMS, 50).astype(np.int32)
    for answer in (model.predict, lambda *pairs: model.probabilities(*pairs, 4.0)):
        together = answer(asked, rows, items)
        assert together.dtype == np.float32
        for n, (row, item) in enumerate(zip(rows, items, strict=True)):
            alone = answer(asked.block(row, row + 1), np.array([0]), np.array([item], dtype=np.int32))
            assert alone.tobytes() == together[n : n + 1].tobytes()
        order = rng.permutation(50)
        assert answer(asked, rows[order], items[order]).tobytes() == together[order].tobytes()


def test_no_pairs():
    assert made().predict(queries([1]), np.zeros(0, dtype=int), np.zeros(0, dtype=np.int32)).shape == (0,)


@given(seed=st.integers(0, 2**32 - 1), probit=st.booleans())
@settings(max_examples=30, deadline=None)
def test_the_terms_sum_to_the_prediction(seed, probit):
    """And without the last one to the latent value, whoever asks about whatever day."""
    model, rng = made(seed % 7, probit), np.random.default_rng(seed)
    users = rng.integers(-1, N_USERS, 9)
    histories = [random_history(rng, int(rng.integers(0, 9)), rated=0.8) for _ in users]
    asked = queries(users, rng.choice([END, UNHEARD_OF, 100 * DAY_SECONDS], 9), histories)
    rows, items = rng.integers(0, 9, 50), rng.integers(-1, N_ITEMS, 50).astype(np.int32)
    names, values = model.terms(asked, rows, items)
    assert values.shape == (50, len(names))
    np.testing.assert_allclose(values.sum(axis=1), model.predict(asked, rows, items), rtol=0, atol=1e-6)
    means, _, _ = model._latent(asked, rows, items)
    np.testing.assert_allclose(values[:, :-1].sum(axis=1), means, rtol=0, atol=1e-6)


def test_the_terms_by_hand():
    model, user, item = made(), 5, 14
    names, values = model.terms(queries([user]), np.array([0]), np.array([item], dtype=np.int32))
    u, i, d = (v.astype(np.float64) for v in (model.users[user], model.items[item], model.usual_days[user]))
    terms = dict(zip(names, values[0], strict=True))
    assert terms["user and item"] == pytest.approx(u[1 : 1 + K] @ i[1 : 1 + K])
    assert terms["user and day"] == pytest.approx(u[1 + K :] @ d[1:])
    assert terms["item and day"] == pytest.approx(i[1 + K :] @ d[1:])
    assert [terms[name] for name in ("user", "item", "day")] == [u[0], i[0], d[0]]
