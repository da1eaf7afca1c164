import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_logs import DAY, make_log, make_queries
from source_contract import SourceContract

from shortlist.retrieval.popularity import N_CHECKPOINTS, ItemCounts, Popularity

DAYS = [0, 0, 10, 69, 69, 70, 71]  # of item rows:
ITEMS = [0, 1, 0, 1, 2, 2, 2]


def log_of_72_days(weights=None):
    return make_log(np.arange(7), ITEMS, 7, 4, np.array(DAYS) * DAY + 100, weights)


def scores_at(source, day):
    return source.score_catalogue(make_queries([[]], at=int(day * DAY) + 101))[0].tolist()


def same(left, right):
    np.testing.assert_allclose(left, right, rtol=1e-6, equal_nan=True)


class TestAllTime(SourceContract):
    def make_source(self, log):
        return Popularity("popularity", ItemCounts.of(log))


class TestDecayed(SourceContract):
    def make_source(self, log):
        return Popularity("decayed", ItemCounts.of(log), half_life=30.0)


class TestWindow(SourceContract):
    def make_source(self, log):
        return Popularity("recent", ItemCounts.of(log), window=200)


def test_all_time_by_hand():
    source = Popularity("popularity", ItemCounts.of(log_of_72_days()))
    same(scores_at(source, 71), [2, 2, 3, math.nan])
    same(scores_at(source, 1000), [2, 2, 3, math.nan])


def test_a_past_moment_counts_only_what_came_before():
    source = Popularity("popularity", ItemCounts.of(log_of_72_days()))
    same(scores_at(source, 70), [2, 2, 2, math.nan])
    same(scores_at(source, 69), [2, 2, 1, math.nan])
    same(scores_at(source, 68), [2, 1, math.nan, math.nan])
    same(scores_at(source, -1), [math.nan] * 4)


def test_a_window_by_hand():
    source = Popularity("recent", ItemCounts.of(log_of_72_days()), window=2)
    same(scores_at(source, 71), [math.nan, math.nan, 2, math.nan])
    same(scores_at(source, 70), [math.nan, 1, 2, math.nan])


def test_decay_by_hand():
    source = Popularity("decayed", ItemCounts.of(log_of_72_days()), half_life=1.0)
    same(scores_at(source, 71)[1:3], [2**-2 + 2**-71, 1 + 2**-1 + 2**-2])
    same(scores_at(source, 69)[1:3], [1 + 2**-69, 1])


def test_weights_add_up_and_events_that_are_no_positives_do_not_count():
    source = Popularity("popularity", ItemCounts.of(log_of_72_days([1, 0, 0.5, 2, 1, 0, 0])))
    same(scores_at(source, 71), [1.5, 2, 1, math.nan])


def test_the_moment_itself_does_not_count():
    counts = ItemCounts.of(log_of_72_days())
    at_the_last_event = 71 * DAY + 100
    assert counts.before(int(counts.tick_of(np.array(at_the_last_event))))[2] == 2


def test_ticks_are_days_on_a_long_log_and_a_256th_otherwise():
    days = ItemCounts.of(log_of_72_days())
    assert days.tick_length == DAY
    short = ItemCounts.of(make_log([0, 0], [0, 1], 1, 2, [0, 59 * DAY]))
    assert short.tick_length == (59 * DAY + 1) // 256
    order = ItemCounts.of(make_log(np.zeros(1024), np.zeros(1024), 1, 1, in_seconds=False))
    assert order.tick_length == 4
    assert (order.ticks.min(), order.ticks.max()) == (-256, -1)
    assert ItemCounts.of(make_log([0] * 3, [0, 1, 2], 1, 3, in_seconds=False)).tick_length == 1


def test_ticks_are_short_where_items_live_shortly():
    n, day = 3_000, np.arange(3_000) / 3_000 * 100  # one item a day, 30 events each within the day
    items = day.astype(np.int64)
    log = make_log(np.zeros(n), items, 1, 100, (day * DAY).astype(np.int64))
    assert DAY // 24 - 200 < log.tick_length < DAY // 24 + 200  # half of the ages are below half a day
    at = 50 * DAY + DAY // 4  # what began this morning is popular this noon
    (proposed,) = Popularity("recent", ItemCounts.of(log), window=1).propose(make_queries([[]], at=at), 1)
    assert proposed.tolist() == [50]
    few = make_log(np.zeros(1_000), items[:1_000], 1, 100, (day[:1_000] * 10 * DAY).astype(np.int64))
    assert few.tick_length == DAY


def test_an_order_only_log_counts_what_came_before():
    log = make_log(np.zeros(6), [0, 1, 1, 2, 2, 2], 1, 3, in_seconds=False)
    source = Popularity("popularity", ItemCounts.of(log))
    same(source.score_catalogue(make_queries([[], []], at=[3, 6])), [[1, 2, math.nan], [1, 2, 3]])


def test_the_end_is_that_of_the_whole_log():
    counts = ItemCounts.of(make_log([0, 0], [0, 1], 1, 2, [0, 100 * DAY], weights=[1, 0]))
    assert counts.end == 100 * DAY + 1
    assert counts.ticks.tolist() == [-101]


def test_an_empty_log_has_no_evidence():
    source = Popularity("popularity", ItemCounts.of(make_log([], [], 0, 3)), half_life=3.0)
    same(source.score_catalogue(make_queries([[], []], at=[-5, 5])), [[math.nan] * 3] * 2)


def test_counts_handed_out_cannot_be_changed():
    row = ItemCounts.of(log_of_72_days()).before(0)
    with pytest.raises(ValueError, match="read-only"):
        row[0] = 9


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_ticks=st.sampled_from([1, 2, 31, 32, 33, 64, 100, 400]))
def test_counts_of_any_moment_are_those_of_a_plain_loop(seed, n_ticks):
    rng = np.random.default_rng(seed)
    days = np.sort(rng.integers(0, n_ticks, 120))
    items, weights = rng.integers(0, 5, 120), rng.choice([0.5, 1, 2], 120)
    ticks = days - n_ticks
    counts = ItemCounts(ticks.astype(np.int32), items.astype(np.int32), weights.astype(np.float32), 0, 1, 6)
    for tick in [*rng.integers(-n_ticks - 2, 1, 5).tolist(), 0]:
        for window, half_life in ((math.inf, math.inf), (7, math.inf), (math.inf, 3.0), (20, 5.0)):
            expected = np.zeros(6)
            for t, i, w in zip(ticks, items, weights, strict=True):
                if tick - window <= t < tick:
                    expected[i] += w * 0.5 ** ((tick - 1 - t) / half_life)
            np.testing.assert_allclose(counts.before(tick, window, half_life), expected, rtol=1e-12)


def test_counts_do_not_depend_on_what_was_asked_before():
    rng = np.random.default_rng(4)
    users = np.zeros(3000)
    log = make_log(users, rng.integers(0, 9, 3000), 1, 9, np.sort(rng.integers(0, 900 * DAY, 3000)), rng.random(3000))
    ticks = [-1, -400, -77, 0, -899, -(900 // N_CHECKPOINTS)]
    forward, backward = ItemCounts.of(log), ItemCounts.of(log)
    first = {tick: forward.before(tick, half_life=9.0).tobytes() for tick in ticks}
    assert {tick: backward.before(tick, half_life=9.0).tobytes() for tick in reversed(ticks)} == first


def test_a_full_cache_is_emptied_and_changes_nothing(monkeypatch):
    monkeypatch.setattr("shortlist.retrieval.popularity.MAX_CACHED_CELLS", 1)
    rng = np.random.default_rng(4)
    log = make_log(np.zeros(500), rng.integers(0, 9, 500), 1, 9, np.sort(rng.integers(0, 500 * DAY, 500)))
    counts, fresh = ItemCounts.of(log), ItemCounts.of(log)
    for tick in range(-200, 0):
        counts.before(tick)
    assert len(counts._rows) <= 64
    assert counts.before(-150).tobytes() == fresh.before(-150).tobytes()
