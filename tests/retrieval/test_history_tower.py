"""The history tower's answering side: by hand, against plain loops, and as a source."""

from typing import ClassVar

import numpy as np
import pytest
from made_logs import make_queries
from source_contract import HistorySourceContract

from shortlist.neural_settings import HistoryTowerSettings
from shortlist.retrieval.encoder import gap_rows
from shortlist.retrieval.history_tower import HistoryTower
from shortlist.training.retrieval.history_tower import fit_history_tower

SMALL = HistoryTowerSettings(dimension=8, max_length=10, learning_rate=0.02)


def random_tower(n_items=9, n_users=3, d=5, max_length=6, n_gaps=4, seed=0):
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return rng.normal(0, 0.5, shape).astype(np.float32)

    return HistoryTower(
        "history_tower",
        draw(n_items, d),
        draw(n_items),
        np.arange(n_items) != 4,
        draw(d),
        draw(max_length),
        draw(n_gaps),
        draw(d, d),
        draw(d),
        draw(n_users + 1, d),
        draw(2, d),
    )


def slow_encoding(tower, items, times, user):
    """Event by event in float64."""
    weights = [1.0]  # the prior's
    vectors = [tower.prior.astype(np.float64)]
    for place, (item, time) in enumerate(zip(items, times, strict=True)):
        y = tower.item_vectors[item].astype(np.float64)
        gap = min(int(times[-1] - time).bit_length(), len(tower.gaps) - 1)
        weights.append(np.exp(y @ tower.attention + tower.distances[len(items) - 1 - place] + tower.gaps[gap]))
        vectors.append(y @ tower.projection)
    v = sum(w * vector for w, vector in zip(weights, vectors, strict=True)) / sum(weights) + tower.user_vectors[user]
    return (v - v.mean()) / (v.var() + 1e-5) ** 0.5 * tower.final_norm[0] + tower.final_norm[1]


class TestHistoryTower(HistorySourceContract):
    fitted: ClassVar[dict[bytes, HistoryTower]] = {}

    def make_source(self, log):
        key = log.item_rows.tobytes()  # that a second fit gives the same bits: test_history_tower_fitting.py
        if key not in self.fitted:
            self.fitted[key] = fit_history_tower(log, SMALL, seed=0, epochs=25)[0]
        return self.fitted[key]


@pytest.mark.parametrize("items", [[3], [0, 1, 2], [5, 5, 1, 8, 0, 2]])
@pytest.mark.parametrize("user", [0, 2, -1])
def test_encodes_as_plain_loops_do(items, user):
    tower = random_tower()
    times = np.array([5, 5, 6, 8, 8, 999])[-len(items) :]
    encoded = tower.encode(np.array(items, dtype=np.int32), times, user)
    np.testing.assert_allclose(encoded, slow_encoding(tower, items, times, user), atol=1e-5)
    assert encoded.dtype == np.float32


def test_the_score_is_the_product_with_the_item_and_its_bias():
    tower = random_tower()
    scores = tower.score_catalogue(make_queries([[1, 2]], user_rows=[1], at=9))
    vector = slow_encoding(tower, [1, 2], [0, 1], 1)
    expected = np.where(np.arange(9) == 4, np.nan, tower.item_vectors @ vector + tower.item_biases)
    np.testing.assert_allclose(scores[0], expected, atol=1e-5)


def test_order_and_times_matter():
    tower = random_tower()
    items, times = np.array([1, 2, 3], dtype=np.int32), np.array([0, 10, 11])
    encoded = tower.encode(items, times, -1)
    assert np.abs(encoded - tower.encode(items[::-1], times, -1)).max() > 1e-3
    assert np.abs(encoded - tower.encode(items, np.array([0, 1, 11]), -1)).max() > 1e-3
    assert encoded.tobytes() == tower.encode(items, times + 10**9, -1).tobytes()


def test_only_the_latest_events_are_read():
    tower = random_tower(max_length=3)
    scores = tower.score_catalogue(make_queries([[0, 8, 1, 2, 3], [7, 1, 2, 3], [1, 2, 3], [2, 3]]))
    assert scores[0].tobytes() == scores[1].tobytes() == scores[2].tobytes()
    assert scores[2].tobytes() != scores[3].tobytes()


def test_items_that_nothing_is_known_of_are_neither_read_nor_scored():
    tower = random_tower()
    queries = make_queries([[4, 1, 4, 2], [1, 2], [4], []])
    queries.timestamps[:] = 7
    scores = tower.score_catalogue(queries)
    assert scores[0].tobytes() == scores[1].tobytes()
    np.testing.assert_array_equal(np.isnan(scores[0]), ~tower.known_items)
    assert np.isnan(scores[2:]).all()


def test_gaps_are_counted_in_binary_digits():
    gaps = np.array([0, 1, 2, 3, 4, 255, 256, 2**40])
    assert gap_rows(gaps, 32).tolist() == [0, 1, 2, 2, 3, 8, 9, 31]
    assert gap_rows(gaps, 1).tolist() == [0] * 8
    assert gap_rows(np.array([-5]), 32).tolist() == [0]
