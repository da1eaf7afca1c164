"""No shift may know what it is asked about."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shortlist.data.log import Log
from shortlist.training.shifts import ask_at_last_event, make_shifts

TARGETS = ("window", "next", "random")


def random_log(seed, repeats=True):
    """Each event has a rating of its own, by which it is known again."""
    rng = np.random.default_rng(seed)
    n_users, n_items, n = int(rng.integers(1, 9)), int(rng.integers(1, 12)), int(rng.integers(1, 120))
    users, items = rng.integers(0, n_users, n), rng.integers(0, n_items, n)
    if not repeats:
        _, first = np.unique(users * n_items + items, return_index=True)
        users, items = users[np.sort(first)], items[np.sort(first)]
    n = len(users)
    times = np.sort(rng.integers(0, rng.choice([3, 50, 10_000]), n))
    weights = rng.choice([0, 0.5, 1], n).astype(np.float32)
    return Log(
        users.astype(np.int32),
        items.astype(np.int32),
        times.astype(np.int64),
        np.arange(n, dtype=np.float32),
        weights,
        n_users,
        n_items,
    )


def event_numbers(part):
    return part.ratings.astype(int)


def pairs_of(shift):
    """(user, item) of each label."""
    users = np.repeat(shift.users, shift.relevant.counts)
    return set(zip(users.tolist(), shift.relevant.item_rows.tolist(), strict=True))


def pairs_in(log, numbers):
    return set(zip(log.user_rows[numbers].tolist(), log.item_rows[numbers].tolist(), strict=True))


cases = st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 4), st.booleans())


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=80, deadline=None)
@given(case=cases)
def test_no_labelled_event_is_in_the_history(target, case):
    seed, n, filter_seen = case
    log = random_log(seed)
    for shift in make_shifts(log, target, n, seed, filter_seen):
        known = event_numbers(shift.history)
        later = np.setdiff1d(np.arange(len(log)), known)
        assert pairs_of(shift) <= pairs_in(log, later[log.weights[later] > 0])
        of_known = np.repeat(shift.queries.user_rows >= 0, shift.queries.lengths)
        assert set(event_numbers(shift.queries)[of_known]) <= set(known)
        assert target == "window" or of_known.all()


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=40, deadline=None)
@given(case=cases)
def test_without_repeats_a_label_is_nowhere_in_the_history(target, case):
    seed, n, filter_seen = case
    log = random_log(seed, repeats=False)
    for shift in make_shifts(log, target, n, seed, filter_seen):
        assert not pairs_of(shift) & pairs_in(log, event_numbers(shift.history))


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=60, deadline=None)
@given(case=cases)
def test_each_query_holds_its_users_history_in_order(target, case):
    seed, n, filter_seen = case
    log = random_log(seed)
    for shift in make_shifts(log, target, n, seed, filter_seen):
        queries = shift.queries
        assert len(set(shift.users)) == len(queries) == len(shift.relevant) > 0
        assert (queries.user_rows == shift.users)[queries.user_rows >= 0].all()
        assert shift.history.n_items == log.n_items
        for q, user in enumerate(queries.user_rows):
            if user < 0:
                continue
            history = shift.history.ratings[shift.history.user_rows == user]
            assert queries.ratings[queries.offsets[q] : queries.offsets[q + 1]].tolist() == history.tolist()
        assert (queries.timestamps <= queries.at[queries.event_queries]).all()


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=60, deadline=None)
@given(case=cases)
def test_where_seen_items_are_filtered_only_first_times_are_labels(target, case):
    seed, n, _ = case
    log = random_log(seed)
    kept, filtered = (make_shifts(log, target, n, seed, choice) for choice in (False, True))
    assert len(kept) == len(filtered)
    for every, fresh in zip(kept, filtered, strict=True):
        seen = set(
            zip(
                every.users[every.queries.event_queries].tolist(),
                every.queries.item_rows.tolist(),
                strict=True,
            )
        )
        assert pairs_of(fresh) == pairs_of(every) - seen
        allowed = fresh.allowed(0, len(fresh.queries), True)
        rows = np.repeat(np.arange(len(fresh.queries)), fresh.relevant.counts)
        assert allowed[rows, fresh.relevant.item_rows].all()
        assert every.allowed(0, 2, False).all()


@settings(max_examples=80, deadline=None)
@given(case=cases)
def test_next_asks_for_the_event_so_many_from_the_end(case):
    seed, n, _ = case
    log = random_log(seed)
    shifts = {shift.name: shift for shift in make_shifts(log, "next", n, seed, False)}
    for h in range(n + 1, 0, -1):
        users = [user for user in range(log.n_users) if (log.user_rows == user).sum() > h]
        if not users:
            assert f"last event but {h - 1}" not in shifts
            continue
        shift = shifts[f"last event but {h - 1}"]
        assert shift.queries.user_rows.tolist() == users
        events = {user: np.flatnonzero(log.user_rows == user) for user in range(log.n_users)}
        targets = [events[user][-h] for user in users]
        for q, target in enumerate(targets):
            label = shift.relevant.item_rows[shift.relevant.offsets[q] : shift.relevant.offsets[q + 1]]
            assert label.tolist() == ([log.item_rows[target]] if log.weights[target] > 0 else [])
        left = np.sort(np.concatenate([of_user[: len(of_user) - h] for of_user in events.values() if len(of_user) > h]))
        assert event_numbers(shift.history).tolist() == left.tolist()
        assert shift.queries.at.tolist() == [log.timestamps[events[user][-h - 1]] for user in users]


@settings(max_examples=80, deadline=None)
@given(case=cases)
def test_a_window_follows_its_history(case):
    seed, n, _ = case
    log = random_log(seed)
    shifts = make_shifts(log, "window", n, seed, False)
    last = len(log) - 1
    places = np.linspace(0.4 * last, 0.8 * last, n + 1).astype(int).tolist()
    ends = {log.timestamps[place]: place + len(log) - places[-1] for place in places}
    for shift in shifts:
        cut = log.timestamps[len(shift.history)]
        known = shift.queries.user_rows >= 0
        assert (shift.queries.at[known] == cut).all()
        assert event_numbers(shift.history).tolist() == np.flatnonzero(log.timestamps < cut).tolist()
        end = [*log.timestamps, math.inf][ends[cut]]
        end = max(end, cut + 1)
        window = np.flatnonzero((log.timestamps >= cut) & (log.timestamps < end))
        assert sorted(shift.users.tolist()) == sorted(set(log.user_rows[window]))
        to_find = window
        for q in np.flatnonzero(~known):  # new users with two events or more
            user = shift.users[q]
            assert user not in shift.history.user_rows
            own = window[log.user_rows[window] == user]
            begun, rest = own[: len(own) // 2], own[len(own) // 2 :]
            events = slice(*shift.queries.offsets[q : q + 2])
            assert shift.queries.ratings[events].tolist() == begun.tolist()
            assert shift.queries.at[q] == max(log.timestamps[rest[0]], log.timestamps[begun[-1]] + 1)
            to_find = np.setdiff1d(to_find, begun)
        for user in shift.users[known]:
            assert user in shift.history.user_rows or (log.user_rows[window] == user).sum() == 1
        assert pairs_of(shift) == pairs_in(log, to_find[log.weights[to_find] > 0])


def test_windows_are_fifths_and_the_last_one_ends_with_the_log():
    n = 1000
    rng = np.random.default_rng(0)
    users, items = (rng.permutation(n).astype(np.int32) for _ in range(2))
    times = np.sort(rng.permutation(10 * n)[:n]).astype(np.int64)
    log = Log(users, items, times, np.arange(n, dtype=np.float32), np.ones(n, dtype=np.float32), n, n)
    shifts = make_shifts(log, "window", 4, 0, True)
    assert [len(shift.history) for shift in shifts] == [399, 499, 599, 699, 799]
    for shift in shifts:  # each event is another user's: nobody has a history
        start = len(shift.history)
        assert sorted(shift.users.tolist()) == sorted(users[start : start + 201].tolist())
        assert shift.period == (times[start], times[start + 201] if start < 799 else log.end)


@settings(max_examples=60, deadline=None)
@given(case=cases)
def test_folds_are_fifths_that_do_not_overlap(case):
    seed, n, _ = case
    log = random_log(seed)
    held_out = []
    for shift in make_shifts(log, "random", n, seed, False):
        outside = np.setdiff1d(np.arange(len(log)), event_numbers(shift.history))
        assert len(log) // 5 <= len(outside) <= -(-len(log) // 5)
        assert pairs_of(shift) == pairs_in(log, outside[log.weights[outside] > 0])
        assert (shift.queries.at == log.end).all()
        held_out += outside.tolist()
    assert len(set(held_out)) == len(held_out)


def test_folds_follow_the_seed():
    log = random_log(3)
    histories = [event_numbers(make_shifts(log, "random", 2, seed, True)[0].history).tolist() for seed in (1, 1, 2)]
    assert histories[0] == histories[1] != histories[2]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("n_events", [0, 1, 2])
def test_hardly_any_events(target, n_events):
    rows = np.zeros(n_events, dtype=np.int32)
    floats = np.ones(n_events, dtype=np.float32)
    log = Log(rows, rows, np.zeros(n_events, dtype=np.int64), floats, floats, 1, 1)
    for shift in make_shifts(log, target, 4, 0, True):
        assert len(shift.queries)


def test_asking_at_the_last_event():
    log = random_log(5)
    users = np.unique(log.user_rows)
    queries = ask_at_last_event(log, users)
    assert queries.at.tolist() == [log.timestamps[log.user_rows == user][-1] for user in users]


def test_what_may_be_recommended():
    shift = make_shifts(random_log(5), "random", 2, 0, True)[0]
    allowed = shift.allowed(0, len(shift.queries), True)
    for q, user in enumerate(shift.queries.user_rows):
        seen = shift.history.item_rows[shift.history.user_rows == user]
        assert set(np.flatnonzero(~allowed[q])) == set(seen)
    np.testing.assert_array_equal(shift.allowed(1, 3, True), allowed[1:3])
    assert shift.allowed(1, 3, False).all()
