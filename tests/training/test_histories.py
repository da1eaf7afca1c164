"""Histories as batches: every event a target, once, with nothing but its own past (or its others) in view."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shortlist.training.histories import Histories


def random_log(make_log, rng, n_users, n_items, n):
    weights = rng.choice([1, 1, 0.5, 0], n)
    return make_log(rng.integers(0, n_users, n), rng.integers(0, n_items, n), n_users, n_items, weights=weights)


def by_user(log):
    positives = log.positives()
    return {u: positives.item_rows[positives.user_rows == u].tolist() for u in range(log.n_users)}


def targets_of(batches):
    """(user, target, weight, what is in view of it) of every target."""
    for batch in batches:
        for line, user in enumerate(batch.user_rows.tolist()):
            present = (batch.weights[line] > 0).numpy()
            assert (np.diff(present.astype(int)) <= 0).all()
            for t in np.flatnonzero(present).tolist():
                view = batch.item_rows[line][: present.sum()][batch.visible[t][: present.sum()]].tolist()
                yield user, int(batch.targets[line, t]), float(batch.weights[line, t]), view


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(0, 60), st.integers(1, 9), st.integers(1, 40))
def test_every_event_but_the_first_is_foretold_from_those_just_before(make_log, seed, n_users, n, length, size):
    rng = np.random.default_rng(seed)
    log = random_log(make_log, rng, n_users, 7, n)
    histories = by_user(log)
    found = list(targets_of(Histories(log).batches(length, size, 10**9, rng)))
    expected = Counter((user, item) for user, items in histories.items() for item in items[1:])
    assert Counter((user, target) for user, target, *_ in found) == expected
    for user, target, _, view in found:
        items = histories[user]
        assert 1 <= len(view) <= length
        windows = [items[place - len(view) : place] for place in range(len(view), len(items)) if items[place] == target]
        assert view in windows
    short = [user for user, items in histories.items() if len(items) <= length]
    for user in short:  # not cut: the whole past is in view
        assert sorted(len(view) for u, *_, view in found if u == user) == list(range(1, len(histories[user])))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(0, 60), st.integers(2, 9), st.integers(1, 40))
def test_without_order_every_event_is_foretold_from_the_others(make_log, seed, n_users, n, length, size):
    rng = np.random.default_rng(seed)
    log = random_log(make_log, rng, n_users, 50, n)
    histories = by_user(log)
    found = list(targets_of(Histories(log, ordered=False).batches(length, size, 10**9, rng)))
    several = {user: items for user, items in histories.items() if len(items) >= 2}
    assert Counter((user, target) for user, target, *_ in found) == Counter(
        (user, item) for user, items in several.items() for item in items
    )
    for user, target, _, view in found:
        assert len(view) < length
        assert not Counter([target, *view]) - Counter(histories[user])
        if len(histories[user]) <= length:
            assert Counter([target, *view]) == Counter(histories[user])


def test_weights_are_those_of_the_targets(make_log):
    log = make_log([0, 0, 0, 0], [1, 2, 3, 4], 1, 5, weights=[1, 0.5, 0, 0.25])
    (batch,) = Histories(log).batches(10, 10, 10, np.random.default_rng(0))
    assert batch.item_rows.tolist() == [[1, 2]]
    assert batch.targets.tolist() == [[2, 4]]
    assert batch.weights.tolist() == [[0.5, 0.25]]


def test_windows_are_cut_anew(make_log):
    log = make_log([0] * 100, range(100), 1, 100)
    histories, rng = Histories(log), np.random.default_rng(0)
    cuts = {
        tuple(sorted(len(view) for *_, view in targets_of(histories.batches(10, 99, 10**9, rng)))) for _ in range(9)
    }
    assert len(cuts) > 3


def test_a_part_of_a_large_log(make_log):
    rng = np.random.default_rng(0)
    log = random_log(make_log, rng, 50, 20, 2000)
    histories = Histories(log)
    drawn = [sum(int((b.weights > 0).sum()) for b in histories.batches(10, 64, 300, rng)) for _ in range(20)]
    assert all(300 <= n < 320 for n in drawn)


@pytest.mark.parametrize("ordered", [True, False])
def test_what_is_in_view_is_listed_row_by_row(make_log, ordered):
    log = random_log(make_log, np.random.default_rng(3), 9, 20, 120)
    batches = list(Histories(log, ordered).batches(6, 30, 10**9, np.random.default_rng(0)))
    assert len(batches) > 2
    for batch in batches:
        pairs = batch.read_before()
        assert (np.diff(pairs.rows.numpy()) >= 0).all()
        listed = {}
        for row, item in zip(pairs.rows.tolist(), pairs.items.tolist(), strict=True):
            listed.setdefault(row, []).append(item)
        expected = {row: view for row, (*_, view) in enumerate(targets_of([batch])) if view}
        assert {row: sorted(items) for row, items in listed.items()} == {r: sorted(v) for r, v in expected.items()}


def test_batches_are_about_as_large_as_asked(make_log):
    log = random_log(make_log, np.random.default_rng(1), 40, 20, 3000)
    sizes = [int((b.weights > 0).sum()) for b in Histories(log).batches(12, 128, 10**9, np.random.default_rng(0))]
    assert np.median(sizes) == pytest.approx(128, abs=12)
    assert max(sizes) <= 128 + 12
