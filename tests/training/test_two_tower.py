"""The two-tower model on logs whose structure is known."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
import torch

from shortlist.errors import DataError
from shortlist.neural_settings import DONE_RIGHT, TwoTowerSettings
from shortlist.retrieval.vectors import IdVectors
from shortlist.stages import Queries
from shortlist.training.retrieval.two_tower import fit_two_tower, hits_share

SMALL = TwoTowerSettings(dimension=8, epochs=15, batch_size=128)
WAYS = [
    SMALL,
    msgspec.structs.replace(SMALL, logq=True, item_bias=True),
    msgspec.structs.replace(SMALL, remove_accidental_hits=True, temperature=0.5),
    msgspec.structs.replace(SMALL, loss="full", optimizer="adam", learning_rate=0.02),
    msgspec.structs.replace(DONE_RIGHT, dimension=8, batch_size=128, epochs=15),
]


def own_group_share(source, depth=10):
    """Share of each user's first items, seen ones among them, that belong to the user's own group; at random: 1/2."""
    users = np.flatnonzero(source.trained_users)
    scores = source.user_vectors @ source.item_vectors.T + source.item_biases
    scores[:, ~source.trained_items] = -np.inf
    best = np.argsort(-scores[users], axis=1)[:, :depth]
    return float((best % 2 == users[:, None] % 2).mean())


def same_arrays(one, other):
    names = ("user_vectors", "item_vectors", "item_biases", "trained_users", "trained_items")
    return all(getattr(one, name).tobytes() == getattr(other, name).tobytes() for name in names)


@pytest.mark.parametrize("settings", WAYS)
def test_finds_the_items_of_the_users_group(grouped, shuffled, settings):
    train, held_out = grouped
    source = fit_two_tower(train, settings, seed=1)
    assert own_group_share(source) > 0.95
    assert hits_share(source, train, held_out, depth=20) > 0.85  # 20 of some 20 unseen ones of the own group
    without = fit_two_tower(shuffled[0], settings, seed=1)
    assert own_group_share(without) < 0.65
    assert hits_share(without, *shuffled, depth=20) < 0.55  # 20 of some 50 unseen items: .4 by chance


def test_scores_like_any_source(grouped):
    source = fit_two_tower(grouped[0], SMALL, seed=1, name="towers")
    empty = np.empty(0, dtype=np.int32)
    users = np.array([3, -1, 80], dtype=np.int32)
    queries = Queries(users, np.zeros(3, np.int64), np.zeros(4, np.int64), empty, empty, empty, empty)
    scores = source.score_catalogue(queries)
    assert source.name == "towers"
    assert np.isfinite(scores[0, :60]).all()
    assert np.isnan(scores[0, 60])  # an item without an event
    assert np.isnan(scores[1:]).all()  # an unknown user, and a known one without an event


def test_who_counts_as_trained(grouped):
    train, _ = grouped
    weights = np.where((train.user_rows == 7) | (train.item_rows == 8), 0, 1).astype(np.float32)
    source = fit_two_tower(replace(train, weights=weights), SMALL, seed=1)
    np.testing.assert_array_equal(np.flatnonzero(~source.trained_users), [7, 80])
    np.testing.assert_array_equal(np.flatnonzero(~source.trained_items), [8, 60])


def test_an_item_without_events_is_not_changed_by_fitting(grouped):
    one, other = (fit_two_tower(grouped[0], msgspec.structs.replace(SMALL, epochs=n), seed=1) for n in (1, 3))
    np.testing.assert_array_equal(one.item_vectors[60], other.item_vectors[60])
    assert not np.array_equal(one.item_vectors[:60], other.item_vectors[:60])


@pytest.mark.parametrize("settings", [SMALL, msgspec.structs.replace(SMALL, dropout=0.3, optimizer="adam")])
def test_same_seed_same_bits(grouped, settings):
    state = torch.get_rng_state()
    threads = torch.get_num_threads()
    first, again, other = (fit_two_tower(grouped[0], settings, seed=seed) for seed in (5, 5, 6))
    assert same_arrays(first, again)
    assert not same_arrays(first, other)
    assert torch.equal(state, torch.get_rng_state())
    assert torch.get_num_threads() == threads


def test_early_stopping_keeps_the_best_epoch(grouped):
    train, held_out = grouped
    settings = msgspec.structs.replace(SMALL, epochs=30, patience=3, learning_rate=0.3)
    stopped = fit_two_tower(train, settings, seed=2, validation=held_out)
    by_epoch = []
    for epochs in range(1, 31):
        source = fit_two_tower(train, msgspec.structs.replace(settings, epochs=epochs), seed=2)
        by_epoch.append(hits_share(source, train, held_out, depth=6))
        if same_arrays(source, stopped):
            break
    else:
        pytest.fail("the stopped vectors are those of no epoch")
    assert by_epoch[-1] == max(by_epoch)
    assert epochs < 30


def test_hits_share_by_hand(make_log):
    source = IdVectors(
        "x",
        user_vectors=np.array([[1], [1], [1]], dtype=np.float32),
        item_vectors=np.array([[4], [3], [2], [1], [9]], dtype=np.float32),
        item_biases=np.zeros(5, dtype=np.float32),
        trained_users=np.array([True, True, False]),
        trained_items=np.array([True, True, True, True, False]),
    )
    train = make_log([0, 1], [0, 3], 3, 5)
    # User 0 saw item 0: first two unseen ones are 1, 2. User 1 saw item 3: 0, 1. User 2 has no training event.
    held_out = make_log([0, 0, 1, 1, 2, 0], [2, 3, 0, 2, 0, 4], 3, 5)
    assert hits_share(source, train, held_out, depth=2) == pytest.approx(2 / 6)
    assert hits_share(source, train, make_log([2], [0], 3, 5), depth=2) == 0


def test_refuses_a_log_without_positives(grouped):
    log = replace(grouped[0], weights=np.zeros(len(grouped[0]), dtype=np.float32))
    with pytest.raises(DataError, match="weight above 0"):
        fit_two_tower(log, SMALL, seed=0)
    with pytest.raises(DataError, match="validation"):
        fit_two_tower(grouped[0], SMALL, seed=0, validation=log)


@pytest.mark.parametrize(
    ("field", "value"), [("optimizer", "sgd"), ("epochs", 0), ("learning_rate", 0), ("dropout", 1.0), ("depth", 3)]
)
def test_refuses_bad_settings(field, value):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({field: value}, TwoTowerSettings)
