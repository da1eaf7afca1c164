"""Splits lose nothing and double nothing; the check catches what knows too much."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist.data.dataset import Dataset
from shortlist.data.split import (
    Split,
    check_leakage,
    split,
    split_next,
    split_random,
    split_rolling,
    split_time,
)
from shortlist.errors import ConfigError, DataError, LeakageError

DAY = 86_400
START = 1_600_000_000


def dataset_of(events, start=0, **tables):
    """Events as (user, item, time) or (user, item); ``row`` is the row in the file."""
    columns = dict(zip(("user_id", "item_id", "timestamp"), zip(*events, strict=True), strict=False))
    if "timestamp" in columns:
        columns["timestamp"] = [start + time for time in columns["timestamp"]]
    return Dataset.from_frames({**columns, "row": list(range(len(events)))}, **tables)


def rows(dataset):
    return dataset.interactions["row"].to_list()


def keys(dataset):
    return set(dataset.interactions.drop("row").rows())


timed = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5), st.integers(0, 8)), min_size=2, max_size=40)
untimed = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5)), min_size=2, max_size=40)


def made(function, dataset, *allowed, **options):
    """The split, or ``None`` where it is refused for one of the reasons given."""
    try:
        return function(dataset, **options)
    except DataError as error:
        if not any(reason in str(error) for reason in allowed):
            raise
        return None


@given(timed | untimed, st.integers(0, 3), st.sampled_from([0.1, 0.2, 0.5]))
def test_random_parts_are_the_file_in_two(events, seed, test_share):
    dataset = dataset_of(events)
    parts = made(split_random, dataset, "no event is left", seed=seed, test_share=test_share)
    order = np.random.default_rng(seed).permutation(len(events))[: round((1 - test_share) * len(events))]
    expected = [row for row, event in enumerate(events) if events.index(event) in order]
    if parts is None:
        assert len(expected) in (0, len(events))
        return
    assert rows(parts.train) == expected
    assert rows(parts.test) == [row for row in range(len(events)) if row not in expected]
    check_leakage(*parts, "random")


@given(timed | untimed)
def test_next_takes_the_very_last_event_of_each_user(events):
    dataset = dataset_of(events)
    times = [event[2] for event in events] if dataset.time_kind != "none" else [0] * len(events)
    last = {}
    for row, event in enumerate(events):
        before = last.get(event[0])
        if before is None or times[row] >= times[before]:
            last[event[0]] = row
    counts = {user: sum(event[0] == user for event in events) for user in last}
    tested = sorted(row for user, row in last.items() if counts[user] > 1)
    repeats = [row for row, event in enumerate(events) if row not in tested and event in [events[t] for t in tested]]
    parts = made(split_next, dataset, "no event is left")
    known = [row for row in range(len(events)) if row not in tested and row not in repeats]
    if parts is None:
        assert not known or not tested
        return
    assert rows(parts.test) == tested
    assert rows(parts.train) == known
    assert ("dropped" in parts.description) == bool(repeats)
    check_leakage(*parts, "next")


@given(timed, st.sampled_from([0, START]), st.sampled_from([0.1, 0.2, 0.5, 0.9]))
def test_time_parts_do_not_overlap(events, start, share):
    dataset = dataset_of(events, start)
    parts = made(split_time, dataset, "usable times", share=share)
    if parts is None:
        assert len({event[2] for event in events}) == 1
        return
    assert sorted(rows(parts.train) + rows(parts.test)) == list(range(len(events)))
    assert rows(parts.train) == sorted(rows(parts.train))
    assert rows(parts.test) == sorted(rows(parts.test))
    assert parts.train.interactions["timestamp"].max() < parts.test.interactions["timestamp"].min()
    assert check_leakage(*parts, "time") == []


@given(timed, st.sampled_from([0, START]), st.integers(1, 3), st.sampled_from([1, 2.5]), st.sampled_from([0.1, 0.2]))
def test_rolling_windows_follow_each_other_to_the_end(events, start, windows, days, share):
    dataset = dataset_of([(user, item, time * (DAY if start else 1)) for user, item, time in events], start)
    options = {"windows": windows, "days": days, "share": share}
    splits = made(split_rolling, dataset, "usable times", "no event is left", **options)
    if splits is None:
        return
    assert len(splits) == windows
    times = dataset.interactions["timestamp"].to_list()
    tested = [rows(part.test) for part in splits]
    first = splits[0].test.interactions["timestamp"].min()
    assert sorted(row for part in tested for row in part) == [row for row, time in enumerate(times) if time >= first]
    for part, later in zip(splits, [*splits[1:], None], strict=True):
        assert rows(part.train) == [row for row, t in enumerate(times) if t < part.test.interactions["timestamp"].min()]
        if later is not None:
            assert part.test.interactions["timestamp"].max() < later.test.interactions["timestamp"].min()
    assert part.test.interactions["timestamp"].max() == max(times)


def test_random_is_the_permutation_of_the_file_order():
    dataset = dataset_of([(n % 943, n, n) for n in range(100_000)], START)
    parts = split_random(dataset)
    expected = np.sort(np.random.default_rng(42).permutation(100_000)[:80_000])
    assert len(parts.train) == 80_000
    assert np.array_equal(parts.train.interactions["row"].to_numpy(), expected)
    assert parts.description == ("random: 80,000 events train, 20,000 test; permutation of the file order with seed 42")


def test_repeats_are_counted_in_the_description():
    dataset = dataset_of([(1, 5, n // 2) for n in range(100)])
    parts = split_random(dataset)
    assert not keys(parts.train) & keys(parts.test)
    assert "moved to the side of an exact repeat" in parts.description
    parts = split_next(dataset_of([(1, 5, 0), (1, 6, 1), (1, 6, 1)]))
    assert (rows(parts.train), rows(parts.test)) == ([0], [2])
    assert "1 event dropped from training" in parts.description


def test_parts_keep_the_given_tables_only():
    dataset = dataset_of([(1, 5, 0), (1, 6, 1), (2, 7, 2)], items={"item_id": [9, 5], "year": [1990, 1991]})
    parts = split_time(dataset, cut=1)
    assert parts.train.items["item_id"].to_list() == [9, 5]
    assert parts.test.items["item_id"].to_list() == [9, 5, 6, 7]
    assert parts.train.users["user_id"].to_list() == [1]


class TestTime:
    DATASET = dataset_of([(1, n, n * DAY) for n in range(10)], START)

    @pytest.mark.parametrize(
        "cut",
        [
            START + 6 * DAY,
            START + 5 * DAY + 0.5,
            dt.datetime.fromtimestamp(START + 6 * DAY, dt.UTC),
            dt.datetime.fromtimestamp(START + 6 * DAY, dt.UTC).replace(tzinfo=None),
            dt.datetime.fromtimestamp(START + 6 * DAY, dt.timezone(dt.timedelta(hours=9))),
            dt.datetime.fromtimestamp(START + 6 * DAY, dt.UTC).date(),
            "2020-09-19T12:26:40Z",
            "2020-09-19",
        ],
    )
    def test_cuts(self, cut):
        assert rows(split_time(self.DATASET, cut=cut).test) == [6, 7, 8, 9]

    def test_until(self):
        parts = split_time(self.DATASET, cut=START + 6 * DAY, until=START + 8 * DAY)
        assert (rows(parts.train), rows(parts.test)) == ([0, 1, 2, 3, 4, 5], [6, 7])
        assert parts.description == (
            "time: 6 events train, 2 test; cut at 2020-09-19 12:26:40 UTC, the test until 2020-09-21 12:26:40 UTC; "
            "2 events behind it in neither"
        )

    def test_default(self):
        assert rows(split_time(self.DATASET).test) == [8, 9]
        assert rows(split_time(dataset_of([(1, 1, 7), (2, 1, 7), (3, 1, 7), (1, 2, 8)])).test) == [3]

    def test_refused(self):
        for cut in (START, START + 10 * DAY, 10**30, -1):
            with pytest.raises(DataError, match="no event is left for"):
                split_time(self.DATASET, cut=cut)
        for cut in ("soon", float("nan"), True, [1]):
            with pytest.raises(ConfigError, match="cut: expected"):
                split_time(self.DATASET, cut=cut)
        with pytest.raises(ConfigError, match="cut: expected a number, because the times are only an order"):
            split_time(dataset_of([(1, 1, 0), (1, 2, 1)]), cut="2020-01-01")
        with pytest.raises(DataError, match=r"there is no 'timestamp'; take the protocol 'random'"):
            split_time(dataset_of([(1, 1), (1, 2)]))
        with pytest.raises(DataError, match="all times are equal"):
            split_rolling(dataset_of([(1, 1, 5), (1, 2, 5)]))

    def test_rolling(self):
        assert [rows(part.test) for part in split_rolling(self.DATASET, days=2)] == [[4, 5], [6, 7], [8, 9]]
        order = dataset_of([(1, n, n) for n in range(10)])
        assert [rows(part.test) for part in split_rolling(order, windows=2, share=0.3)] == [[4, 5, 6], [7, 8, 9]]
        for windows, days in ((0, 1), (1, 0), (1, -1), (1, float("nan"))):
            with pytest.raises(ConfigError, match="split_rolling"):
                split_rolling(self.DATASET, windows=windows, days=days)


@pytest.mark.parametrize("share", [0, 1, -0.1, 2, float("nan")])
def test_shares_out_of_range(share):
    dataset = dataset_of([(1, 1, 0), (1, 2, 1)])
    for function, name in ((split_random, "test_share"), (split_time, "share")):
        with pytest.raises(ConfigError, match=f"{name}: expected a number between 0 and 1"):
            function(dataset, **{name: share})


def test_dispatch():
    dataset = dataset_of([(1, n, n) for n in range(10)])
    parts = split(dataset, "random", seed=7, test_share=0.5)
    assert isinstance(parts, Split)
    assert rows(parts.train) == rows(split_random(dataset, seed=7, test_share=0.5).train)
    assert rows(split(dataset, "time", share=0.3).test) == [7, 8, 9]
    assert rows(split(dataset, "next").test) == [9]
    assert [split(dataset, name).protocol for name in ("time", "next", "random")] == ["time", "next", "random"]
    with pytest.raises(ConfigError, match="protocol: expected 'time' or 'next' or 'random', got 'last'"):
        split(dataset, "last")
    with pytest.raises(ConfigError, match="unknown option 'shares'; expected 'cut' or 'share' or 'until'"):
        split(dataset, "time", shares=0.3)
    with pytest.raises(ConfigError, match="unknown option 'seed'; it has no options"):
        split(dataset, "next", seed=1)


def test_one_event_per_user_leaves_no_next():
    with pytest.raises(DataError, match="no event is left for the test"):
        split_next(dataset_of([(1, 1, 0), (2, 1, 1)]))


class TestLeakage:
    @pytest.mark.parametrize("protocol", ["time", "next", "random"])
    def test_the_same_event_in_both(self, protocol):
        train = dataset_of([(1, 5, 0), (2, 5, 1), (2, 6, 2)], START)
        test = dataset_of([(2, 6, 2), (2, 5, 1), (3, 7, 9)], START)
        with pytest.raises(LeakageError, match=r"2 of 3 training events are in the test too \(first: user_id 2, item_"):
            check_leakage(train, test, protocol)

    @pytest.mark.parametrize("protocol", ["next", "random"])
    def test_without_times_the_same_pair(self, protocol):
        with pytest.raises(LeakageError, match=r"1 of 2 training events .*\(first: user_id 2, item_id 5\)"):
            check_leakage(dataset_of([(1, 5), (2, 5)]), dataset_of([(2, 5), (3, 5)]), protocol)
        assert check_leakage(dataset_of([(1, 5), (2, 5)]), dataset_of([(2, 6), (3, 5)]), protocol) == []

    def test_a_pair_at_another_time_is_another_event(self):
        train, test = dataset_of([(1, 5, 0), (1, 6, 1)], START), dataset_of([(1, 5, 7), (1, 6, 8)], START)
        for protocol in ("time", "next", "random"):
            assert check_leakage(train, test, protocol) == []

    @pytest.mark.parametrize("late", [5, 6])
    def test_training_at_or_after_the_cut(self, late):
        train, test = dataset_of([(1, 5, 0), (1, 6, late)], START), dataset_of([(2, 5, 7), (3, 6, 5)], START)
        with pytest.raises(LeakageError, match=r"1 of 2 training events are not before .*first: user_id 1, item_id 6"):
            check_leakage(train, test, "time")

    def test_elsewhere_it_is_said(self):
        train, test = dataset_of([(1, 5, 0), (1, 6, 60)], START), dataset_of([(2, 5, 7), (3, 6, 5)], START)
        (sentence,) = check_leakage(train, test, "random")
        assert sentence.startswith(
            "1 of 2 training events are later than the first test event (2020-09-13 12:26:45 UTC): "
        )
        assert check_leakage(train, test, "next") == [sentence]

    def test_next_knows_what_the_user_did_afterwards(self):
        train, test = dataset_of([(1, 5, 0), (2, 6, 8), (2, 4, 7)]), dataset_of([(1, 4, 9), (2, 5, 7)])
        with pytest.raises(LeakageError, match="1 of 3 training events are later than the test event of the same user"):
            check_leakage(train, test, "next")
        assert len(check_leakage(train, test, "random")) == 1

    def test_one_planted_event_is_caught_in_every_protocol(self):
        rng = np.random.default_rng(3)
        dataset = dataset_of([(int(rng.integers(30)), n % 50, n) for n in range(500)], START)
        for protocol in ("time", "next", "random"):
            parts = split(dataset, protocol)
            planted = pl.concat([parts.train.interactions, parts.test.interactions.tail(1)])
            with pytest.raises(LeakageError, match=r"^1 of"):
                check_leakage(parts.train.with_interactions(planted), parts.test, protocol)

    def test_what_cannot_be_compared(self):
        train = dataset_of([(1, 5, 0), (1, 6, 1)])
        with pytest.raises(DataError, match="'item_id' is Int64 in training and String in the test"):
            check_leakage(train, dataset_of([(1, "a", 7), (1, "b", 8)]), "time")
        with pytest.raises(DataError, match="needs times in training and test"):
            check_leakage(train, dataset_of([(1, 7), (1, 8)]), "time")
        with pytest.raises(ConfigError, match="protocol"):
            check_leakage(train, train, "last")
