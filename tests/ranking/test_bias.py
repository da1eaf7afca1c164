import math

import numpy as np
import pytest

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


def test_by_hand():
    """Ratings 1 and 5 of item 0, 3 of item 1, none of item 2; the mean is 3."""
    log = rated_log([0, 1, 0, 1], [0, 0, 1, 2], [4, 5, 1, math.nan], 3, 3)
    model = RatingBias.of(log, item_shrinkage=2, user_shrinkage=1)
    mean = 10 / 3
    b0, b1 = (4 - mean + 5 - mean) / 4, (1 - mean) / 3
    assert model.mean == pytest.approx(mean)
    np.testing.assert_allclose(model.item_biases, [b0, b1, 0], rtol=1e-6)
    user0 = (4 - mean - b0 + 1 - mean - b1) / 3
    user1 = (5 - mean - b0) / 2  # an event without a rating says nothing
    rows, items = np.array([0, 0, 1, 2, 3]), np.array([0, 2, 2, 1, 1], dtype=np.int32)
    predicted = model.predict(queries_of(log, [0, 1, 2, -1]), rows, items)
    expected = [mean + user0 + b0, mean + user0, mean + user1, mean + b1, mean + b1]
    np.testing.assert_allclose(predicted, expected, rtol=1e-6)
    assert predicted.dtype == np.float32


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


def test_plain_loops_agree_and_a_query_in_any_batch_gives_the_same_bytes():
    rng = np.random.default_rng(0)
    log = rated_log(rng.integers(0, 20, 400), rng.integers(0, 15, 400), rng.integers(1, 6, 400), 20, 15)
    model = RatingBias.of(log)
    queries = queries_of(log, np.arange(20))
    rows, items = np.repeat(np.arange(20), 15), np.tile(np.arange(15), 20).astype(np.int32)
    together = model.predict(queries, rows, items)
    ratings = log.ratings.astype(float)
    mean = ratings.mean()
    b_item = [(ratings[log.item_rows == i] - mean).sum() / ((log.item_rows == i).sum() + 5) for i in range(15)]
    for user in range(20):
        of_user = np.flatnonzero(log.user_rows == user)
        rest = sum(ratings[e] - mean - b_item[log.item_rows[e]] for e in of_user)
        expected = np.clip(mean + rest / (len(of_user) + 5) + np.array(b_item), 1, 5)
        np.testing.assert_allclose(together[rows == user], expected, rtol=1e-5)
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
