"""Users, histories and moments in every form that callers may choose."""

from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest

from shortlist.answers import id_series
from shortlist.data.dataset import Dataset
from shortlist.errors import QueryError
from shortlist.requests import Events, parse_ids, parse_moments, parse_request

T = 1_600_000_000
EVENTS = {
    "user_id": [1, 2, 1, 1, 2],
    "item_id": [10, 10, 11, 12, 13],
    "timestamp": [T, T, T + 5, T + 5, T + 9],
    "rating": [1.0, 2.0, 3.0, 4.0, 5.0],
}
BY_ORDER = Dataset.from_frames({"user_id": ["a", "b", "a"], "item_id": ["x", "x", "y"], "timestamp": [0, 1, 2]})


def ask(users=None, at=None, history=None, dataset=None, **settings):
    dataset = dataset or Dataset.from_frames(EVENTS)
    settings = {"at_last_event": False, "min_rating": None} | settings
    return parse_request(
        users,
        at,
        history,
        log=dataset.log(),
        user_vocabulary=dataset.user_vocabulary,
        item_vocabulary=dataset.item_vocabulary,
        **settings,
    )


def histories(queries):
    """Item ids per query (10 + row, for the catalogue is 10, 11, 12, 13)."""
    return [(10 + part).tolist() for part in np.split(queries.item_rows, queries.offsets[1:-1])]


# Users


@pytest.mark.parametrize(
    ("users", "expected"),
    [
        (None, [None]),
        (7, [7]),
        ("7", ["7"]),
        (b"ab", [b"ab"]),
        (1.5, [1.5]),
        (True, [True]),
        (np.int32(7), [7]),
        (np.str_("a"), ["a"]),
        ([], []),
        ((1, 2), [1, 2]),
        ((user for user in [1, 2]), [1, 2]),
        (range(3), [0, 1, 2]),
        ([np.int64(1), np.str_("b"), None], [1, "b", None]),
        (np.array([1, 2], dtype=np.int16), [1, 2]),
        (np.array(5), [5]),
        (np.array(["a", "b"]), ["a", "b"]),
        (np.array([1, "b"], dtype=object), [1, "b"]),
        (pl.Series([1, None]), [1, None]),
        (pl.Series(["a"], dtype=pl.Categorical), ["a"]),
        ({1: 0}.keys(), [1]),
    ],
)
def test_all_forms_of_users(users, expected):
    parsed = parse_ids(users, "users")
    assert parsed == expected
    assert [type(one) for one in parsed] == [type(one) for one in expected]


def test_pandas_users():
    pandas = pytest.importorskip("pandas")
    assert parse_ids(pandas.Series([3, 4]), "users") == [3, 4]
    assert parse_ids(pandas.Series(["a"]), "users") == ["a"]
    with pytest.raises(QueryError, match="table"):
        parse_ids(pandas.DataFrame({"user_id": [1]}), "users")


@pytest.mark.parametrize(
    "users", [{1: 2}, pl.DataFrame({"user_id": [1]}), np.zeros((2, 2)), [[1]], [1, (2,)], object()]
)
def test_what_is_no_list_of_users(users):
    with pytest.raises(QueryError, match="users: expected"):
        ask(users)


def test_another_kind_of_id_is_an_unknown_id():
    for stranger in ("1", True, None, 1.0, b"1", 10**30, -(2**63), float("nan"), "", 99):
        assert ask(stranger).queries.user_rows.tolist() == [-1]
    assert ask([1, "1", np.int64(2), True, None]).queries.user_rows.tolist() == [0, -1, 1, -1, -1]
    assert ask(["a", 0, b"a", None], dataset=BY_ORDER).queries.user_rows.tolist() == [0, -1, -1, -1]


@pytest.mark.parametrize(
    ("ids", "dtype", "echo"),
    [
        ([1, None], pl.Int64, [1, None]),
        ([True], pl.String, ["True"]),
        ([1, "a"], pl.String, ["1", "a"]),
        ([None], pl.Int64, [None]),
        ([], pl.Int64, []),
        ([2**63], pl.String, [str(2**63)]),
        ([-(2**63)], pl.Int64, [-(2**63)]),
        ([1.5], pl.String, ["1.5"]),
    ],
)
def test_the_echo_of_ids(ids, dtype, echo):
    series = id_series("user_id", ids, pl.Int64())
    assert (series.dtype, series.to_list()) == (dtype, echo)


# Stored histories and moments


def test_stored_histories():
    assert histories(ask([1, 2, 3, 1]).queries) == [[10, 11, 12], [10, 13], [], [10, 11, 12]]
    assert histories(ask([1, 2], T + 5).queries) == [[10], [10]]
    assert histories(ask([1, 1], [T, T + 6]).queries) == [[], [10, 11, 12]]
    assert ask([1, 2]).queries.at.tolist() == [T + 10] * 2
    assert ask([1, 2, 3], at_last_event=True).queries.at.tolist() == [T + 5, T + 9, T + 10]
    assert ask([1], T + 7, at_last_event=True).queries.at.tolist() == [T + 7]


def test_what_lies_in_the_past():
    assert ask([1, 2], [T, T + 10]).in_past.tolist() == [True, False]
    assert ask([1, 2], at_last_event=True).in_past.tolist() == [False, False]


@pytest.mark.parametrize(
    ("moment", "seconds"),
    [
        (T, T),
        (np.int32(T), T),
        (datetime(2020, 9, 13, 12, 26, 40), T),
        (datetime(2020, 9, 13, 12, 26, 40, tzinfo=UTC), T),
        (datetime.fromisoformat("2020-09-13T14:26:40+02:00"), T),
        (datetime(2020, 9, 13, 12, 26, 39, 1), T),
        (date(2020, 9, 13), T - 44_800),
        (np.datetime64("2020-09-13T12:26:40"), T),
        (np.datetime64("2020-09-13"), T - 44_800),
    ],
)
def test_all_forms_of_moments(moment, seconds):
    log = Dataset.from_frames(EVENTS).log()
    assert parse_moments(moment, 2, log).tolist() == [seconds] * 2
    assert parse_moments([moment], 1, log).tolist() == [seconds]
    assert parse_moments(np.array([moment]), 1, log).tolist() == [seconds]


@pytest.mark.parametrize(
    "at",
    ["2020", True, 1.5, -1, 2**62, [None], [1, 2], [], {"at": 1}, [float("nan")], datetime(1960, 1, 1), object(),
     np.datetime64("NaT")],
)  # fmt: skip
def test_what_is_no_moment(at):
    with pytest.raises(QueryError, match="at: expected"):
        ask([1], at)


def test_pandas_moments():
    pandas = pytest.importorskip("pandas")
    assert ask([1], pandas.Timestamp(T, unit="s")).queries.at.tolist() == [T]
    with pytest.raises(QueryError, match="at: expected"):
        ask([1], [pandas.NaT])


def test_an_order_knows_no_dates():
    assert ask("a", 2, dataset=BY_ORDER).queries.lengths.tolist() == [1]
    for moment in (datetime(2020, 1, 1), date(2020, 1, 1)):
        with pytest.raises(QueryError, match="place in the order"):
            ask("a", moment, dataset=BY_ORDER)


# Given histories


TABLE = {"item_id": [12, 10, 99], "timestamp": [T + 2, T + 1, T], "rating": [5, None, 1]}


@pytest.mark.parametrize(
    "history",
    [
        [10, 12],
        (10, 12),
        [[10, 12]],
        [np.array([10, 12])],
        np.array([10, 12]),
        np.array([[10, 12]]),
        pl.Series([10, 12]),
        {1: [10, 12]},
        {np.int64(1): (10, 12)},
        {1: pl.Series([10, 12])},
        {1: {"item_id": [10, 12]}},
        {"item_id": [12, 10], "timestamp": [5, 4]},
        pl.DataFrame({"item_id": [12, 10], "timestamp": [5, 4]}),
        pl.LazyFrame({"item_id": [10, 12]}),
        [pl.DataFrame({"item_id": [10, 12]})],
        pl.DataFrame({"user_id": [1, 1], "item_id": [10, 12]}),
        {"user_id": [1, 1], "item_id": [12, 10], "timestamp": [datetime(2020, 1, 2), datetime(2020, 1, 1)]},
        (item for item in (10, 12)),
    ],
)
def test_all_forms_of_histories(history):
    request = ask(1, history=history)
    assert histories(request.queries) == [[10, 12]]
    assert histories(request.seen) == [[10, 11, 12, 10, 12]]
    assert request.queries.user_rows.tolist() == [0]
    assert request.unknown_items.tolist() == [0]
    assert request.queries.weights.tolist() == [1, 1]


def test_pandas_and_arrow_histories():
    pandas = pytest.importorskip("pandas")
    pyarrow = pytest.importorskip("pyarrow")
    times = pandas.to_datetime([T + 1, T], unit="s")
    for history in (
        pandas.Series([10, 12]),
        pandas.Index([10, 12]),
        [pandas.Series([10, 12])],
        pandas.DataFrame({"item_id": [12, 10], "timestamp": times}),
        pandas.DataFrame({"user_id": [1, 1], "item_id": [12, 10], "timestamp": times, "rating": [None, 5.0]}),
        pyarrow.table({"item_id": [10, 12]}),
    ):
        assert histories(ask(1, history=history).queries) == [[10, 12]]


def test_times_ratings_and_unknown_items():
    request = ask("new", history=TABLE)
    assert histories(request.queries) == [[10, 12]]
    assert request.queries.timestamps.tolist() == [T + 1, T + 2]
    assert request.queries.ratings[1] == 5
    assert np.isnan(request.queries.ratings[0])
    assert request.unknown_items.tolist() == [1]


def test_without_times_all_lies_just_before_the_moment():
    assert ask(1, history=[10, 11]).queries.timestamps.tolist() == [T + 9] * 2
    assert ask(1, 50, [10, 11]).queries.timestamps.tolist() == [49, 49]
    assert ask(1, 50, [10, 11]).queries.at.tolist() == [50]


def test_only_what_lies_before_the_moment_counts():
    request = ask(1, T + 2, TABLE)
    assert histories(request.queries) == [[10]]
    assert histories(request.seen) == [[10, 10]]
    assert request.unknown_items.tolist() == [1]


def test_a_history_later_than_the_log_moves_the_default_moment():
    later = {"item_id": [10, 11], "timestamp": [T + 500, T + 100]}
    assert ask(1, history=later).queries.at.tolist() == [T + 501]
    assert ask(1, history=later, at_last_event=True).queries.at.tolist() == [T + 500]
    assert histories(ask(1, history=later).queries) == [[11, 10]]


def test_what_is_no_positive():
    table = {"item_id": [10, 11, 12, 13], "rating": [2, 3, None, 5], "event": ["view", "buy", "buy", "buy"]}
    assert ask(1, history=table).queries.weights.tolist() == [1, 1, 1, 1]
    assert ask(1, history=table, min_rating=3).queries.weights.tolist() == [0, 1, 1, 1]
    assert ask(1, history=table, events=("buy",)).queries.weights.tolist() == [0, 1, 1, 1]
    assert ask(1, history=[10], events=("buy",)).queries.weights.tolist() == [1]
    weighted = table | {"weight": [0.5, 2, 0, None]}
    assert ask(1, history=weighted).queries.weights.tolist() == [0.5, 2, 0, 1]


def test_several_users():
    long = pl.DataFrame({"user_id": [2, 1, 2, 2], "item_id": [10, 11, 12, 77]})
    expected = [[11], [10, 12], [], [11]]
    users = [1, 2, 3, 1]
    for history in (
        long,
        {1: [11], 2: [10, 12, 77]},
        [[11], [10, 12, 77], [], [11]],
        [[11], (10, 12, 77), [], pl.Series([11])],
    ):
        request = ask(users, history=history)
        assert histories(request.queries) == expected
        assert request.unknown_items.tolist() == [0, 1, 0, 0]
    assert histories(ask([1, 2], history=[[], []]).queries) == [[], []]
    assert len(ask([], history=[]).queries) == 0
    assert len(ask([], history={}).queries) == 0


def test_ids_of_another_kind_in_a_history():
    request = ask(1, history=["10", True, None, 10.0, 10, np.int64(11)])
    assert histories(request.queries) == [[10, 11]]
    assert request.unknown_items.tolist() == [4]


def test_nothing_in_it():
    for history in ([], {"item_id": []}, {"item_id": [], "timestamp": [], "rating": []}, {1: []}, [[]], pl.Series([])):
        request = ask(1, history=history)
        assert histories(request.queries) == [[]]
        assert histories(request.seen) == [[10, 11, 12]]


@pytest.mark.parametrize(
    ("users", "history", "words"),
    [
        (1, "10", "item ids or a table"),
        (1, 10, "item ids or a table"),
        (1, {1: None}, "list of item ids"),
        (1, {1: "10"}, "list of item ids"),
        (1, {2: [10]}, "2 is not among the users"),
        (1, {True: [10]}, "True is not among the users"),
        (1, {"user_id": ["1"], "item_id": [10]}, "'1' is not among the users"),
        ([1, 2], [10, 12], "one history was given for 2 users"),
        ([1, 2], {"item_id": [10]}, "one history was given for 2 users"),
        ([1, 2], [[10], 12], "list for each of 2 users"),
        ([1, 2], [[10]], "list for each of 2 users"),
        (1, [[10], [11]], "list for each of 1 users"),
        (1, pl.DataFrame({"item": [10]}), "'item_id' is missing"),
        (1, {"item_id": [10, "a"]}, "a column holds one type"),
        (1, {"item_id": [10], "timestamp": [None]}, "timestamp"),
        (1, {"item_id": [10, 11], "timestamp": [5, None]}, "row 1, column 'timestamp'"),
        (1, {"item_id": [10, 11], "timestamp": [5.0, float("nan")]}, "row 1, column 'timestamp'"),
        (1, {"item_id": [10], "timestamp": [-5]}, "from 0 on"),
        (1, {"item_id": [10], "timestamp": ["soon"]}, "timestamp"),
        (1, {"item_id": [10], "rating": ["good"]}, "rating"),
        (1, {"item_id": [10], "rating": [float("inf")]}, "rating"),
        (1, {"item_id": [10], "weight": [-1.0]}, "weight"),
    ],
)
def test_what_is_no_history(users, history, words):
    with pytest.raises(QueryError, match="history") as caught:
        ask(users, history=history)
    assert words in str(caught.value)


def test_dates_in_the_history_of_an_order():
    with pytest.raises(QueryError, match="place in the order"):
        ask("a", history={"item_id": ["x"], "timestamp": [datetime(2020, 1, 1)]}, dataset=BY_ORDER)


# Events known besides the log's


def added(items, times):
    n = len(items)
    rows = np.array(items, dtype=np.int32) - 10
    return Events(rows, np.array(times, dtype=np.int64), np.full(n, np.nan, np.float32), np.ones(n, np.float32))


def test_added_events_stand_in_order_of_time_and_move_the_moment():
    request = ask([1, 2, 3], added=[added([13, 12], [T + 100, T + 1]), added([], []), added([11], [T + 50])])
    assert histories(request.queries) == [[10, 12, 11, 12, 13], [10, 13], [11]]
    assert histories(request.seen) == histories(request.queries)
    assert request.queries.at.tolist() == [T + 101, T + 10, T + 51]
    assert request.queries.user_rows.tolist() == [0, 1, -1]


def test_added_events_count_only_before_the_moment_and_are_seen_when_a_history_is_given():
    request = ask(1, at=T + 5, added=[added([13, 12], [T + 1, T + 5])])
    assert histories(request.queries) == [[10, 13]]
    request = ask(1, history=[11], added=[added([13], [T + 1])])
    assert histories(request.queries) == [[11]]
    assert histories(request.seen) == [[10, 13, 11, 12, 11]]
