"""The history tower's fit on logs whose structure is known, and the same answer in torch and NumPy."""

from dataclasses import fields, replace

import msgspec
import numpy as np
import pytest
import scipy.sparse as sp
import torch

from shortlist.data.synthetic import chain, shuffled_items, two_tastes
from shortlist.errors import DataError
from shortlist.neural_settings import HistoryTowerSettings
from shortlist.retrieval.content import AttributeColumns
from shortlist.retrieval.history_tower import HistoryTower
from shortlist.stages import stored_queries
from shortlist.training import history_fit
from shortlist.training.histories import Histories
from shortlist.training.retrieval.history_tower import Towers, fit_history_tower

SMALL = HistoryTowerSettings(dimension=16, max_length=30, learning_rate=0.02, batch_size=256)


def ask(tower, log, users, unknown=False):
    """Scores of some users with the history of a log, the seen items left out."""
    queries = stored_queries(log, np.asarray(users, dtype=np.int32), np.full(len(users), log.end))
    if unknown:
        queries = replace(queries, user_rows=np.full(len(users), -1, dtype=np.int32))
    scores = tower.score_catalogue(queries)
    scores[queries.event_queries, queries.item_rows] = np.nan
    return scores


def own_group(n):
    """Rows alternate between two values of an attribute."""
    return sp.csr_matrix(np.eye(2)[np.arange(n) % 2])


def same_arrays(one, other):
    arrays = [f.name for f in fields(HistoryTower) if isinstance(getattr(one, f.name), np.ndarray)]
    return all(getattr(one, name).tobytes() == getattr(other, name).tobytes() for name in arrays)


@pytest.mark.parametrize("ordered", [True, False])
def test_two_tastes_are_told_apart(ordered):
    log = two_tastes().log()
    tower, _ = fit_history_tower(log, SMALL, seed=0, ordered=ordered, epochs=20)
    users = np.arange(log.n_users)
    best = np.nan_to_num(ask(tower, log, users), nan=-np.inf).argmax(axis=1)
    assert (best % 2 == users % 2).mean() > 0.95
    shuffled = shuffled_items(two_tastes()).log()
    tower, _ = fit_history_tower(shuffled, SMALL, seed=0, ordered=ordered, epochs=20)
    best = np.nan_to_num(ask(tower, shuffled, users), nan=-np.inf).argmax(axis=1)
    assert (best % 2 == users % 2).mean() < 0.75


def test_of_a_walk_the_last_step_counts_most():
    log = chain(150, 20).log()
    tower, _ = fit_history_tower(log, SMALL, seed=0, epochs=40)
    first = np.array([3, 9, 15], dtype=np.int32)
    for items in (first, first[::-1]):
        best = tower.item_vectors @ tower.encode(items, np.array([0, 3_600, 7_200]), -1) + tower.item_biases
        assert best.argmax() == items[-1] + 1


def test_an_item_that_nobody_touched_is_found_by_its_attributes():
    dataset = two_tastes()
    items = dataset.items.select("item_id", "group")
    attributes = AttributeColumns.of(items, 100).matrix(items)
    log = dataset.log()
    log = log.take(~np.isin(log.item_rows, [0, 1]))  # an item of each group
    tower, _ = fit_history_tower(log, SMALL, seed=0, item_attributes=attributes, epochs=30)
    assert tower.known_items.all()
    scores = ask(tower, log, np.arange(log.n_users))
    even = np.arange(log.n_users) % 2 == 0
    assert (scores[even, 0] > scores[even, 1]).mean() > 0.95
    assert (scores[~even, 0] < scores[~even, 1]).mean() > 0.95
    assert (scores[even, 0] > np.nanmax(scores[even, 1::2], axis=1)).mean() > 0.9  # above all of the other group
    without, _ = fit_history_tower(log, SMALL, seed=0, epochs=2)
    assert np.flatnonzero(~without.known_items).tolist() == [0, 1]


def test_an_unknown_user_is_answered_like_a_known_one_without_the_id():
    dataset = two_tastes()
    log, users = dataset.log(), np.arange(60)
    tower, _ = fit_history_tower(log, SMALL, seed=0, epochs=10)
    assert ask(tower, log, users).tobytes() == ask(tower, log, users, unknown=True).tobytes()
    settings = msgspec.structs.replace(SMALL, user_dropout=0.5)
    tower, _ = fit_history_tower(log, settings, seed=0, epochs=30, user_attributes=own_group(60))
    known, unknown = (np.nan_to_num(ask(tower, log, users, u), nan=-99) for u in (False, True))
    assert np.abs(known - unknown).max() > 0.01
    assert (unknown.argmax(axis=1) % 2 == users % 2).mean() > 0.95
    nameless = replace(tower, user_vectors=np.zeros_like(tower.user_vectors))
    assert ask(nameless, log, users).tobytes() == ask(tower, log, users, unknown=True).tobytes()


def test_a_users_attributes_tell_where_the_history_does_not():
    """Everybody begins with item 0; what they take next depends on their group."""
    log = two_tastes().log()
    events = {"user": np.repeat(np.arange(100), 2), "item": np.column_stack([np.zeros(100), 1 + np.arange(100) % 2])}
    n = 200
    log = replace(
        log,
        user_rows=events["user"].astype(np.int32),
        item_rows=events["item"].ravel().astype(np.int32),
        timestamps=np.arange(n),
        ratings=np.full(n, np.nan, dtype=np.float32),
        weights=np.ones(n, dtype=np.float32),
        n_users=100,
        n_items=3,
    )
    tower, _ = fit_history_tower(log, SMALL, seed=0, epochs=40, user_attributes=own_group(100))
    scores = ask(tower, log.take(log.item_rows == 0), np.arange(100))
    assert (np.nanargmax(scores, axis=1) == 1 + np.arange(100) % 2).all()


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("in_seconds", [True, False])
@pytest.mark.parametrize("with_attributes", [True, False])
def test_torch_and_numpy_say_the_same(make_log, ordered, in_seconds, with_attributes):
    settings = msgspec.structs.replace(SMALL, dropout=0.0, item_dropout=0.0, user_dropout=0.0)
    rng = np.random.default_rng(0)
    log = make_log(np.repeat([0, 1, 2], [31, 20, 2]), rng.integers(0, 300, 53), 4, 300)
    log = replace(log, timestamps=np.cumsum(2 ** rng.integers(0, 20, 53)), in_seconds=in_seconds)
    attributes = [sp.random(n, 7, 0.3, "csr", rng=0) if with_attributes else None for n in (300, 4)]
    model = Towers(log, settings, 0, "history_tower", *attributes, ordered)
    for name, weight in model.weights.items():
        if ordered or name != "distances":
            weight.data += torch.from_numpy(rng.normal(0, 0.1, weight.shape).astype(np.float32))
    if not (ordered and in_seconds):
        model.weights["gaps"].data[:] = 0  # nothing reads them, so they stay as they began
    tower = model.encoder({name: weight.detach() for name, weight in model.weights.items()})
    every = torch.arange(300)
    vectors, biases = (part.detach().numpy() for part in model.items(every))
    touched = model.touched_items
    np.testing.assert_allclose(tower.item_vectors[touched], vectors[touched], atol=1e-6)
    np.testing.assert_allclose(tower.item_biases[touched], biases[touched], atol=1e-6)
    n = 0
    for batch in Histories(log, ordered).batches(30, 1000, 1000, rng):
        encoded = model.encode(batch).detach().numpy()
        for line, present in enumerate((batch.weights > 0).numpy()):
            for t in np.flatnonzero(present):
                seen = batch.visible[t].numpy() & present
                items, times = batch.item_rows[line].numpy()[seen], batch.timestamps[line].numpy()[seen]
                answered = tower.encode(items.astype(np.int32), times, int(batch.user_rows[line]))
                np.testing.assert_allclose(answered, encoded[line, t], atol=1e-5)
                n += 1
    assert n == (50 if ordered else 53)


def test_an_id_without_an_event_counts_for_nothing(make_log):
    log = make_log([0, 0, 0, 1], [1, 2, 3, 1], 3, 5)
    attributes = sp.csr_matrix(np.array([[0], [1], [0], [0], [1]]))
    tower, _ = fit_history_tower(
        log, SMALL, seed=0, epochs=1, item_attributes=attributes, user_attributes=sp.csr_matrix((3, 1))
    )
    assert tower.known_items.tolist() == [False, True, True, True, True]
    assert not tower.item_vectors[0].any()
    assert tower.user_vectors.shape == (1, SMALL.dimension)  # nothing tells users apart
    settings = msgspec.structs.replace(SMALL, user_dropout=0.0)
    tower, _ = fit_history_tower(log, settings, seed=0, epochs=1)
    assert tower.user_vectors.any(axis=1).tolist() == [True, False, False, False]  # a single event foretells nothing


def test_same_seed_same_bits():
    dataset = two_tastes()
    log, attributes = dataset.log(), AttributeColumns.of(dataset.items, 100).matrix(dataset.items)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    first, again, other = (
        fit_history_tower(log, SMALL, seed=seed, epochs=2, item_attributes=attributes)[0] for seed in (5, 5, 6)
    )
    assert same_arrays(first, again)
    assert not same_arrays(first, other)
    assert torch.equal(state, torch.get_rng_state())
    assert torch.get_num_threads() == threads


def test_it_stops_in_time():
    log = chain().log()
    settings = msgspec.structs.replace(SMALL, epochs=25, patience=2, learning_rate=0.1)
    _, epochs = fit_history_tower(log, settings, seed=1)
    assert 1 <= epochs < 25


def test_a_sampled_catalogue_teaches_the_same(monkeypatch):
    monkeypatch.setattr(history_fit, "FULL_SOFTMAX_ITEMS", 10)
    log = two_tastes().log()
    settings = msgspec.structs.replace(SMALL, negatives=8, batch_size=128)
    tower, _ = fit_history_tower(log, settings, seed=0, epochs=30, item_attributes=own_group(40))
    best = np.nan_to_num(ask(tower, log, np.arange(60)), nan=-np.inf).argmax(axis=1)
    assert (best % 2 == np.arange(60) % 2).mean() > 0.95


def test_weight_decay_keeps_the_weights_small():
    log = two_tastes().log()
    free, held = (
        fit_history_tower(log, msgspec.structs.replace(SMALL, weight_decay=decay), seed=0, epochs=10)[0]
        for decay in (0.0, 10.0)
    )
    assert np.linalg.norm(held.item_vectors) < 0.5 * np.linalg.norm(free.item_vectors)


def test_refuses_a_log_without_positives():
    log = chain().log()
    with pytest.raises(DataError, match="weight above 0"):
        fit_history_tower(replace(log, weights=np.zeros(len(log), dtype=np.float32)), SMALL, seed=0)
