"""Histories in memory never go back, whatever reads and commits do to each other."""

from hypothesis import given
from hypothesis import strategies as st

from shortlist.serving.store.contract import History
from shortlist.serving.store.history_cache import HistoryCache


def get(cache, user_id, version, meanwhile=lambda: None):
    def read():
        meanwhile()
        return History(version=version)

    return cache.get(user_id, read).version


def test_a_history_is_read_once_until_a_commit_changes_it():
    cache = HistoryCache()
    assert [get(cache, "a", 1), get(cache, "a", 2)] == [1, 1]
    with cache.changing(["b"]):
        assert get(cache, "a", 3) == 1
    with cache.changing(["a"]):
        pass
    assert get(cache, "a", 4) == 4


def test_the_number_one_and_the_text_one_are_two_users():
    cache = HistoryCache()
    assert [get(cache, 1, 1), get(cache, "1", 2), get(cache, 1, 3)] == [1, 2, 1]


def test_while_a_commit_runs_its_users_are_read_anew_each_time():
    cache = HistoryCache()
    get(cache, "a", 1)
    with cache.changing(["a"]):
        assert [get(cache, "a", 1), get(cache, "a", 2), get(cache, "a", 2)] == [1, 2, 2]
    assert get(cache, "a", 2) == 2


def test_what_was_read_before_a_commit_is_not_kept_after_it():
    cache = HistoryCache()

    def commit():
        with cache.changing(["a"]):
            pass

    assert get(cache, "a", 1, meanwhile=commit) == 1
    assert get(cache, "a", 2) == 2


def test_a_commit_that_fails_lets_go_of_its_users():
    cache = HistoryCache()
    try:
        with cache.changing(["a"]):
            raise OSError
    except OSError:
        pass
    assert [get(cache, "a", 1), get(cache, "a", 2)] == [1, 1]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), max_size=60))
def test_the_memory_stays_within_its_limit(asked):
    cache = HistoryCache(limit=10)
    for user_id, n_events in asked:
        cache.get(user_id, lambda n_events=n_events: History(events=(None,) * n_events))
        kept = cache._histories.values()
        assert cache._size == sum(1 + len(history.events) for history in kept) <= 10
