import math

import numpy as np

from shortlist.data.log import Log
from shortlist.ranking.bias import RatingBias
from shortlist.stages import Queries, stored_queries


def rated_log(user_rows, item_rows, ratings, n_users, n_items):
    n = len(user_rows)
    return Log(
        np.asarray(user_rows, dtype=np.int32),
        np.asarray(item_rows, dtype=np.int32),
        np.arange(n, dtype=np.int64),
        np.asarray(ratings, dtype=np.float32),
        np.ones(n, dtype=np.float32),
        n_users,
        n_items,
    )


def queries_of(log, users):
    users = np.asarray(users, dtype=np.int32)
    return stored_queries(log, users, np.full(len(users), log.end))


def ridge(log, item_shrinkage, user_shrinkage):
    """Mean, user and item biases that solve the penalised least squares, in one system of equations."""
    rated = ~np.isnan(log.ratings)
    users, items = np.eye(log.n_users)[log.user_rows[rated]], np.eye(log.n_items)[log.item_rows[rated]]
    ratings = log.ratings[rated].astype(float)
    x = np.concatenate([users, items], axis=1)
    penalties = np.repeat([user_shrinkage, item_shrinkage], [log.n_users, log.n_items])
    solved = np.linalg.solve(x.T @ x + np.diag(penalties), x.T @ (ratings - ratings.mean()))
    return ratings.mean(), solved[: log.n_users], solved[log.n_users :]


def test_by_hand():
    """One user, one item, rated once: nothing differs from the mean. A second item, not rated, has no bias."""
    log = rated_log([0, 0], [0, 1], [4, math.nan], 1, 2)
    model = RatingBias.of(log)
    assert (model.mean, model.item_biases.tolist()) == (4, [0, 0])
    log = rated_log([0, 1], [0, 1], [5, 3], 2, 2)  # b = (1 - b) / 2 for user and item alike
    model = RatingBias.of(log, item_shrinkage=1, user_shrinkage=1)
    np.testing.assert_allclose(model.item_biases, [1 / 3, -1 / 3], rtol=1e-5)
    rows, items = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0], dtype=np.int32)
    predicted = model.predict(queries_of(log, [0, 1, -1]), rows, items)
    np.testing.assert_allclose(predicted, [4 + 2 / 3, 4, 3 + 1 / 3, 4 + 1 / 3], rtol=1e-5)
    assert predicted.dtype == np.float32


def test_an_event_without_a_rating_says_nothing():
    log = rated_log([0, 1, 0, 1], [0, 0, 1, 2], [4, 5, 1, math.nan], 3, 3)
    model = RatingBias.of(log)
    assert model.item_biases.tolist() == RatingBias.of(log.take(~np.isnan(log.ratings))).item_biases.tolist()
    assert model.item_biases[2] == 0


def test_an_unknown_item_gets_no_bias():
    log = rated_log([0, 1], [0, 1], [1, 5], 2, 2)
    model = RatingBias.of(log)
    nobody = queries_of(log, [-1])
    assert model.predict(nobody, np.array([0]), np.array([-1], dtype=np.int32)).tolist() == [3]


def test_predictions_stay_within_the_ratings_seen():
    log = rated_log([0, 0, 0, 1, 1, 1], [0, 1, 2, 3, 4, 5], [5, 5, 5, 1, 1, 1], 2, 6)
    model = RatingBias.of(log, item_shrinkage=0)
    harsh = RatingBias(model.mean, model.item_biases * 9, 5.0, 1.0, 5.0)
    predicted = harsh.predict(queries_of(log, [-1]), np.zeros(6, dtype=int), np.arange(6, dtype=np.int32))
    assert predicted.tolist() == [5, 5, 5, 1, 1, 1]


def test_the_biases_are_those_of_least_squares_and_a_query_in_any_batch_gives_the_same_bytes():
    rng = np.random.default_rng(0)
    log = rated_log(rng.integers(0, 20, 400), rng.integers(0, 15, 400), rng.integers(1, 6, 400), 20, 15)
    model = RatingBias.of(log, item_shrinkage=4, user_shrinkage=2)
    queries = queries_of(log, np.arange(20))
    rows, items = np.repeat(np.arange(20), 15), np.tile(np.arange(15), 20).astype(np.int32)
    together = model.predict(queries, rows, items)
    mean, of_users, of_items = ridge(log, 4, 2)
    np.testing.assert_allclose(together, np.clip(mean + of_users[rows] + of_items[items], 1, 5), rtol=2e-4)
    for user in range(20):
        alone = model.predict(queries.block(user, user + 1), np.zeros(15, dtype=int), np.arange(15, dtype=np.int32))
        assert alone.tobytes() == together[rows == user].tobytes()


def test_a_history_at_hand_counts_like_a_stored_one():
    log = rated_log([0, 0, 1], [0, 1, 1], [5, 4, 1], 2, 2)
    model = RatingBias.of(log)
    stored = queries_of(log, [0])
    given = Queries(
        np.array([-1], dtype=np.int32),
        *(stored.at, stored.offsets, stored.item_rows, stored.timestamps, stored.ratings, stored.weights),
    )
    pairs = np.zeros(2, dtype=int), np.arange(2, dtype=np.int32)
    assert model.predict(given, *pairs).tobytes() == model.predict(stored, *pairs).tobytes()


def test_the_terms_sum_to_the_prediction_also_at_the_ends_of_the_scale():
    log = rated_log([0, 0, 0, 1, 1, 1], [0, 1, 2, 3, 4, 5], [5, 5, 4, 1, 1, 2], 2, 6)
    fitted = RatingBias.of(log)
    model = RatingBias(fitted.mean, fitted.item_biases * 9, 3.0, 1.0, 5.0)
    asked = queries_of(log, [0, 1, -1]), np.repeat([0, 1, 2], 6), np.tile(np.arange(-1, 5, dtype=np.int32), 3)
    names, values = model.terms(*asked)
    np.testing.assert_allclose(values.sum(axis=1), model.predict(*asked), rtol=0, atol=1e-6)
    assert (values[:, names.index("scale")] != 0).any()
    assert values[12, names.index("item")] == 0
    assert set(values[:, 0]) == {3.0}
