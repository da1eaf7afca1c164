"""The door: what is taken in, as what, and what is refused with its row and value."""

import datetime as dt
import re

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from shortlist.data.dataset import Dataset, attribute_kind
from shortlist.errors import DataError

LOG = {
    "user_id": [3, 1, 3, 2],
    "item_id": ["b", "a", "c", "b"],
    "timestamp": [900_000_300, 900_000_100, 900_000_200, 900_000_400],
    "rating": [4.0, 5.0, None, 1.5],
}


def log_with(**columns):
    return pl.DataFrame({**LOG, **columns}, strict=False)


def refused(message, *args, **kwargs):
    with pytest.raises(DataError, match=message) as caught:
        Dataset.from_frames(*args, **kwargs)
    return str(caught.value)


FORMS = {
    "polars": pl.DataFrame(LOG),
    "lazy": pl.LazyFrame(LOG),
    "pandas": pd.DataFrame(LOG),
    "pandas with an index": pd.DataFrame(LOG, index=[9, 7, 7, 1]),
    "pandas nullable": pd.DataFrame(LOG).astype({"user_id": "Int64", "rating": "Float64", "item_id": "string"}),
    "pandas objects": pd.DataFrame(LOG).astype({"user_id": object, "item_id": object}),
    "pandas category": pd.DataFrame(LOG).astype({"item_id": "category", "user_id": "category"}),
    "arrow": pa.table(LOG),
    "arrow dictionary": pa.table({**LOG, "item_id": pa.array(LOG["item_id"]).dictionary_encode()}),
    "dict of lists": LOG,
    "dict of arrays": {**LOG, "user_id": np.array(LOG["user_id"]), "item_id": np.array(LOG["item_id"], dtype=object)},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_table_is_the_same_data(form):
    dataset = Dataset.from_frames(FORMS[form])
    assert dataset.interactions.schema == {
        "user_id": pl.Int64,
        "item_id": pl.String,
        "timestamp": pl.Int64,
        "rating": pl.Float64,
    }
    assert dataset.interactions.to_dict(as_series=False) == LOG
    assert dataset.users["user_id"].to_list() == [1, 2, 3]
    assert dataset.items["item_id"].to_list() == ["a", "b", "c"]
    assert dataset.fingerprint == Dataset.from_frames(LOG).fingerprint
    assert (dataset.has_ratings, dataset.time_kind, len(dataset)) == (True, "seconds", 4)


@pytest.mark.parametrize("frame", [42, "log.csv", [1, 2], None, np.ones((2, 2)), [{"user_id": 1, "item_id": 2}]])
def test_what_is_no_table_is_refused(frame):
    refused(r"interactions: expected a (polars, pandas or Arrow )?table, got", frame)


class TestIds:
    @pytest.mark.parametrize("kind", [pl.Int8, pl.UInt8, pl.Int32, pl.UInt32, pl.UInt64, pl.Int64, pl.Int128])
    def test_integers_of_every_width(self, kind):
        dataset = Dataset.from_frames(log_with(user_id=pl.Series([3, 1, 3, 2], dtype=kind)))
        assert dataset.interactions["user_id"].to_list() == [3, 1, 3, 2]
        assert dataset.users["user_id"].dtype == pl.Int64

    @pytest.mark.parametrize("kind", [pl.String, pl.Categorical, pl.Enum(["x", "y"])])
    def test_texts_of_every_kind(self, kind):
        dataset = Dataset.from_frames(log_with(user_id=pl.Series(["x", "y", "x", "x"], dtype=kind)))
        assert dataset.interactions["user_id"].dtype == pl.String
        assert dataset.interactions["user_id"].to_list() == ["x", "y", "x", "x"]

    @pytest.mark.parametrize(
        ("ids", "expected"),
        [
            (pl.Series([1, 2, None, None]), r"row 2, column 'user_id': got None, expected an id .*\(2 of 4 rows\)"),
            (pl.Series(["a", "", "b", "c"]), r"row 1, column 'user_id': got '', expected an id"),
            (pl.Series([1.0, 2.0, 3.0, 4.0]), r"row 0, column 'user_id': got 1.0 \(Float64\).*where some are missing"),
            (pl.Series([True, False, True, True]), r"got True \(Boolean\), expected integers or strings"),
            (pl.Series([[1], [2], [3], [4]]), r"expected integers or strings"),
            (
                pl.Series([0, 1, 2**63, 2], dtype=pl.UInt64),
                r"row 2, .*got 9223372036854775808, expected integers",
            ),
            (pl.Series([None] * 4), r"row 0, .*got None"),
            (pl.Series([dt.date(2020, 1, 1)] * 4), r"expected integers or strings"),
        ],
    )
    def test_what_is_no_id(self, ids, expected):
        refused(f"interactions, {expected}" if expected.startswith("row") else expected, log_with(user_id=ids))

    def test_floats_that_were_integers_with_nulls(self):
        frame = pd.DataFrame(LOG).assign(user_id=[1, 2, None, 3])
        refused(r"row 2, column 'user_id': got None", frame)

    @pytest.mark.parametrize("as_table", [pd.DataFrame, dict])
    def test_a_mixed_column_names_its_first_odd_value(self, as_table):
        mixed = pd.Series([None, 7, 8, "x9"], dtype=object) if as_table is pd.DataFrame else [None, 7, 8, "x9"]
        refused(r"interactions, row 3, column 'user_id': got 'x9', expected an int as in row 1 \(7\)",
                as_table({**LOG, "user_id": mixed}))  # fmt: skip

    def test_columns_of_different_lengths(self):
        refused("not readable as a table", {"user_id": [1, 2], "item_id": [1]})

    def test_doubled_names_in_pandas_and_arrow(self):
        refused("not readable", pd.DataFrame([[1, 2]], columns=["user_id", "user_id"]))
        refused("not readable.*user_id", pa.table([pa.array([1]), pa.array([2])], names=["user_id", "user_id"]))

    def test_a_lazy_frame_that_fails(self):
        refused("interactions: not readable", pl.LazyFrame(LOG).select("nothing"))


class TestTimes:
    @pytest.mark.parametrize(
        "times",
        [
            [dt.datetime(1998, 7, 9, 16, 5, s) for s in (0, 1, 2, 3)],
            [dt.datetime(1998, 7, 9, 18, 5, s, tzinfo=dt.timezone(dt.timedelta(hours=2))) for s in (0, 1, 2, 3)],
            pl.Series([dt.datetime(1998, 7, 9, 16, 5, s) for s in (0, 1, 2, 3)]).dt.cast_time_unit("ns"),
            [f"1998-07-09 16:05:0{s}" for s in (0, 1, 2, 3)],
            [f"1998-07-09T18:05:0{s}+02:00" for s in (0, 1, 2, 3)],
            [900_000_300 + s for s in (0, 1, 2, 3)],
            [900_000_300.9 + s for s in (0, 1, 2, 3)],
            [str(900_000_300 + s) for s in (0, 1, 2, 3)],
            [f"{900_000_300 + s}.5" for s in (0, 1, 2, 3)],
            [(900_000_300 + s) * 1000 + 7 for s in (0, 1, 2, 3)],
            [(900_000_300 + s) * 10**6 + 7 for s in (0, 1, 2, 3)],
            [(900_000_300 + s) * 10**9 + 7 for s in (0, 1, 2, 3)],
        ],
    )
    def test_all_become_unix_seconds(self, times):
        dataset = Dataset.from_frames(log_with(timestamp=times))
        assert dataset.interactions["timestamp"].to_list() == [900_000_300, 900_000_301, 900_000_302, 900_000_303]
        assert dataset.time_kind == "seconds"

    def test_conversions_are_noted(self):
        assert "milliseconds" in Dataset.from_frames(log_with(timestamp=[900_000_300_000] * 4)).notes[0]
        assert "read as UTC" in Dataset.from_frames(log_with(timestamp=["1998-07-09"] * 4)).notes[0]
        assert Dataset.from_frames(LOG, notes=["kept"]).notes == ("kept",)

    def test_pandas_moments_with_and_without_zone(self):
        naive = pd.to_datetime(pd.Series([900_000_300, 900_000_301, 900_000_302, 900_000_303]), unit="s")
        for series in (naive, naive.dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")):
            dataset = Dataset.from_frames(pd.DataFrame({**LOG, "timestamp": series}))
            assert dataset.interactions["timestamp"][0] == 900_000_300

    def test_days(self):
        dataset = Dataset.from_frames(log_with(timestamp=[dt.date(1970, 1, d) for d in (2, 3, 4, 5)]))
        assert dataset.interactions["timestamp"].to_list() == [86_400 * d for d in (1, 2, 3, 4)]

    def test_an_order(self):
        dataset = Dataset.from_frames(log_with(timestamp=[2, 0, 1, 3]))
        assert dataset.time_kind == "order"
        assert dataset.log().in_seconds is False
        assert dataset.log().timestamps.tolist() == [0, 1, 2, 3]

    def test_fractions_that_are_only_an_order_keep_it(self):
        dataset = Dataset.from_frames(log_with(timestamp=[0.75, 0.25, 0.5, 0.5]))
        assert dataset.interactions["timestamp"].to_list() == [2, 0, 1, 1]
        assert "ranks" in dataset.notes[0]

    def test_no_times_and_equal_times(self):
        assert Dataset.from_frames(pl.DataFrame(LOG).drop("timestamp")).time_kind == "none"
        assert Dataset.from_frames(log_with(timestamp=[5] * 4)).time_kind == "none"

    def test_suspicious_early_times_are_noted(self):
        dataset = Dataset.from_frames(log_with(timestamp=[900_000_300, 0, 900_000_200, 900_000_400]))
        assert re.search("row 1, column 'timestamp': 1 of 4 times lie before March 1973", dataset.notes[0])

    @pytest.mark.parametrize(
        ("times", "expected"),
        [
            ([1, 2, None, 4], "row 2, column 'timestamp': got None, expected a time in every row"),
            ([1, 2, -5, 4], "row 2, column 'timestamp': got -5, expected a time that is not negative"),
            ([1.5, float("nan"), 2, 3], "row 1, column 'timestamp': got nan"),
            ([1.5, float("inf"), 2, 3], "row 1, column 'timestamp': got inf"),
            ([-0.5, 0.25, 2, 3], "row 0, column 'timestamp': got -0.5"),
            (["1998-07-09", "1998-07-10", "soon", "1998-07-11"], "row 2, column 'timestamp': got 'soon'"),
            (["soon", "1998-07-10", "1998-07-10", "1998-07-11"], "row 0, column 'timestamp': got 'soon'"),
            (["900000300", "900000301", "x", "900000303"], "row 2, column 'timestamp': got 'x'"),
            (["07/09/1998"] * 4, "row 0, column 'timestamp': got '07/09/1998'"),
            ([dt.datetime(1969, 1, 1)] * 4, "row 0, .*expected a time from 1970 on"),
            ([900_000_300, 900_000_300, 10**15, 900_000_300], "row 2, .*got 1000000000000000, expected seconds before"),
            ([True] * 4, r"row 0, column 'timestamp': got True \(Boolean\)"),
            ([dt.timedelta(1)] * 4, "row 0, column 'timestamp'"),
            ([1e300, 2, 3, 4], "row 0, column 'timestamp': got 1e"),
        ],
    )
    def test_what_is_no_time(self, times, expected):
        refused(expected, log_with(timestamp=pl.Series(times, strict=False)))


class TestNumbersAndEvents:
    @pytest.mark.parametrize(
        ("column", "values", "expected"),
        [
            ("rating", [1, 2, float("nan"), 3], "row 2, column 'rating': got nan, expected a finite number or null"),
            ("rating", [float("-inf"), 2, 2, 3], "row 0, column 'rating': got -inf"),
            ("rating", ["1", "2", "good", "3"], r"row 2, column 'rating': got 'good'.*\(1 of 4 rows\)"),
            ("rating", [True] * 4, r"row 0, column 'rating': got True \(Boolean\)"),
            ("weight", [1, 2, 3, -1], "row 3, column 'weight': got -1.*at least 0"),
            ("weight", [1, 2, None, 1], "row 2, column 'weight': got None.*in every row"),
            ("event", [1.5, 2.5, 3.5, 4.5], r"row 0, column 'event': got 1.5 \(Float64\)"),
            ("event", [["a"]] * 4, "column 'event'"),
        ],
    )
    def test_refused(self, column, values, expected):
        refused(expected, log_with(**{column: pl.Series(values, strict=False)}))

    def test_integers_among_floats(self):
        mixed = {"user_id": [1] * 3, "item_id": [1, 2, 3], "rating": [4, None, 1.5]}
        assert Dataset.from_frames(mixed).interactions["rating"].to_list() == [4.0, None, 1.5]

    def test_a_rating_that_nobody_gave(self):
        dataset = Dataset.from_frames(log_with(rating=[None] * 4))
        assert dataset.has_ratings is False
        assert np.isnan(dataset.log().ratings).all()

    def test_numbers_as_text_and_as_decimals(self):
        assert Dataset.from_frames(log_with(rating=["1", "2.5", None, "3"])).interactions["rating"][1] == 2.5
        decimals = pl.Series(["1.5"] * 4).cast(pl.Decimal(10, 2))
        assert Dataset.from_frames(log_with(rating=decimals)).interactions["rating"][0] == 1.5

    def test_other_columns_stay_as_they_came(self):
        extra = pl.Series([{"x": 1}, {"x": 2}, None, {"x": 3}])
        dataset = Dataset.from_frames(log_with(basket=extra, event=["a", None, "b", "a"], shop=[1, 2, 3, 4]))
        assert dataset.interactions.columns == [*LOG, "event", "basket", "shop"]
        assert dataset.interactions["basket"].to_list() == extra.to_list()


class TestNames:
    def test_theirs_for_ours(self):
        frame = pl.DataFrame(LOG).rename({"user_id": "customer", "item_id": "sku", "timestamp": "when"})
        items = {"sku": ["a", "z"], "when": [1990, 1991], "name": ["A", "Z"]}
        mapping = {"user_id": "customer", "item_id": "sku", "timestamp": "when", "title": "name"}
        dataset = Dataset.from_frames(frame, items, columns=mapping)
        assert dataset.interactions.columns == list(LOG)
        assert dataset.items.columns == ["item_id", "when", "title"]

    def test_the_other_way_round(self):
        frame = pl.DataFrame(LOG).rename({"user_id": "customer"})
        dataset = Dataset.from_frames(frame, columns={"customer": "user_id"})
        assert dataset.fingerprint == Dataset.from_frames(LOG).fingerprint

    def test_exchanged_names(self):
        frame = pl.DataFrame(LOG).rename({"user_id": "item_id", "item_id": "user_id"})
        dataset = Dataset.from_frames(frame, columns={"user_id": "item_id", "item_id": "user_id"})
        assert dataset.fingerprint == Dataset.from_frames(LOG).fingerprint

    def test_the_column_of_that_name_gives_way(self):
        frame = pl.DataFrame(LOG).with_columns(real=pl.lit(7))
        dataset = Dataset.from_frames(frame, columns={"user_id": "real"})
        assert dataset.interactions["user_id"].to_list() == [7] * 4
        assert "real" not in dataset.interactions.columns

    def test_an_id_column_called_the_same_in_both_tables(self):
        dataset = Dataset.from_frames(
            LOG, {"id": ["a"], "x": [1]}, {"id": [3], "y": [2]}, columns={"item_id": "id", "user_id": "id"}
        )
        assert (dataset.items.columns, dataset.users.columns) == (["item_id", "x"], ["user_id", "y"])

    def test_refused(self):
        refused("'customr' to be a column.*did you mean 'customer'", {"customer": [1], "item_id": [1]},
                columns={"user_id": "customr"})  # fmt: skip
        refused("both columns", log_with(customer=1), columns={"customer": "user_id"})
        refused("asked for twice", {"id": [1]}, columns={"user_id": "id", "item_id": "id"})
        refused("each standard name once", {"a": [1], "b": [1]}, columns={"a": "user_id", "user_id": "b"})

    def test_a_missing_column_names_the_likely_one(self):
        refused(r"interactions: column 'user_id' is missing; did you mean 'userId'\?", {"userId": [1], "item_id": [1]})
        refused(r"items: column 'item_id' is missing; the columns are 'name'", LOG, {"name": ["x"]})
        refused("column 'item_id' is missing; the columns are 'user_id'", {"user_id": [1]})

    def test_empty(self):
        refused("interactions: expected at least one interaction, got an empty table", {"user_id": [], "item_id": []})
        refused("is missing", pl.DataFrame())


class TestTables:
    def test_rows_given_come_first_then_what_only_the_log_knows(self):
        dataset = Dataset.from_frames(LOG, {"item_id": ["z", "b"], "year": [1990, None]}, {"user_id": [2], "age": [31]})
        assert dataset.items.to_dict(as_series=False) == {"item_id": ["z", "b", "a", "c"], "year": [1990] + [None] * 3}
        assert dataset.users["user_id"].to_list() == [2, 1, 3]
        assert dataset.item_vocabulary.rows(["z", "c"]).tolist() == [0, 3]

    def test_every_kind_of_attribute(self):
        items = {
            "item_id": ["a", "b", "c"],
            "title": ["First", "Second", "Third"],
            "kind": pl.Series(["x", "y", "x"], dtype=pl.Categorical),
            "genres": [["Drama", "War"], [], None],
            "codes": [[1, 2], [3], []],
            "pair": pl.Series([[1, 2], [3, 4], [5, 6]], dtype=pl.Array(pl.Int64, 2)),
            "none_yet": [[], [], []],
            "price": [1.5, float("nan"), None],
            "decimal": pl.Series(["1.5", None, "2"]).cast(pl.Decimal(10, 2)),
            "year": [1990, None, 2000],
            "new": [True, False, None],
            "day": [dt.date(2020, 1, 1), None, None],
            "moment": [dt.datetime(2020, 1, 1, 12), None, None],
            "nothing": [None, None, None],
        }
        table = Dataset.from_frames(LOG, items).items
        assert table["price"].to_list() == [1.5, None, None]
        assert table["decimal"].to_list() == [1.5, None, 2.0]
        assert table["codes"].to_list() == [["1", "2"], ["3"], []]
        assert table["genres"].to_list() == [["Drama", "War"], [], None]
        kinds = {name: attribute_kind(table[name]) for name in table.columns[1:]}
        assert kinds == {
            "title": "text",
            "kind": "category",
            "new": "category",
            "nothing": "category",
            **dict.fromkeys(("genres", "codes", "pair", "none_yet"), "list"),
            **dict.fromkeys(("price", "decimal", "year"), "number"),
            **dict.fromkeys(("day", "moment"), "date"),
        }

    @pytest.mark.parametrize(
        ("items", "expected"),
        [
            ({"item_id": ["a", "b", "a"]}, r"items, row 2, column 'item_id': got 'a', expected each id once"),
            ({"item_id": ["a", None]}, "items, row 1, column 'item_id': got None"),
            ({"item_id": [1, 2]}, r"items, row 0, column 'item_id': got 1 \(Int64\), expected String as in"),
            ({"item_id": ["a"], "x": [{"y": 1}]}, r"items, column 'x': got type Struct"),
            ({"item_id": ["a"], "x": [[[1]]]}, r"items, column 'x': got type List\(List"),
            ({"item_id": ["a"], "x": [b"raw"]}, "items, column 'x': got type Binary"),
            ({"item_id": ["a"], "x": [dt.time(1)]}, "items, column 'x': got type Time"),
            ({"item_id": ["a", "b"], "x": [1.0, float("inf")]}, "items, row 1, column 'x': got inf"),
        ],
    )
    def test_refused(self, items, expected):
        refused(expected, LOG, items)

    def test_user_tables_are_checked_alike(self):
        refused("users, row 1, column 'user_id': got 3, expected each id once", LOG, None, {"user_id": [3, 3]})

    def test_an_empty_table_is_no_table(self):
        assert len(Dataset.from_frames(LOG, {"item_id": []}, {"user_id": [], "age": []}).items) == 3


class TestUses:
    def test_part_of_a_dataset_keeps_the_given_tables_and_the_kind_of_time(self):
        times = [900_000_300, 5, 6, 7]
        dataset = Dataset.from_frames(log_with(timestamp=times), {"item_id": ["z"]}, name="whole")
        part = dataset.with_interactions(dataset.interactions.tail(2))
        assert part.items["item_id"].to_list() == ["z", "b", "c"]
        assert part.users["user_id"].to_list() == [2, 3]
        assert (part.time_kind, part.name, part.notes) == ("seconds", "whole", dataset.notes)
        assert part.with_interactions(part.interactions.head(0)).time_kind == "seconds"
        assert part.with_interactions(part.interactions.head(0)).repeat_share == 0

    def test_fingerprint(self):
        whole = Dataset.from_frames(LOG, {"item_id": ["z"], "year": [1990]})
        again = Dataset.from_frames(pd.DataFrame(LOG), pa.table({"item_id": ["z"], "year": [1990]}), name="other")
        assert whole.fingerprint == again.fingerprint
        assert re.fullmatch("[0-9a-f]{64}", whole.fingerprint)
        others = [
            Dataset.from_frames(LOG),
            Dataset.from_frames(LOG, {"item_id": ["z"], "year": [1991]}),
            Dataset.from_frames(LOG, {"item_id": ["y"], "year": [1990]}),
            Dataset.from_frames(LOG, {"item_id": ["z"], "year": [None]}),
            Dataset.from_frames(pl.DataFrame(LOG)[[1, 0, 2, 3]], {"item_id": ["z"], "year": [1990]}),
            *(
                Dataset.from_frames(log_with(**change), {"item_id": ["z"], "year": [1990]})
                for change in (
                    {"user_id": [3, 1, 3, 1]},
                    {"user_id": ["3", "1", "3", "2"]},
                    {"item_id": ["b", "a", "c", "a"]},
                    {"timestamp": [900_000_301, 900_000_100, 900_000_200, 900_000_400]},
                    {"rating": [4, 5, 0, 1.5]},
                    {"weight": [1, 1, 1, 2]},
                    {"event": ["a", "a", "a", "b"]},
                )
            ),
        ]
        prints = [other.fingerprint for other in others]
        assert len({whole.fingerprint, *prints}) == len(others) + 1

    def test_repeat_share(self):
        assert Dataset.from_frames({"user_id": [1, 1, 1, 2], "item_id": [5, 5, 6, 5]}).repeat_share == 0.25

    def test_log_is_in_time_order_and_ties_keep_the_file_order(self):
        log = Dataset.from_frames({"user_id": [1] * 5, "item_id": [9, 8, 7, 6, 5], "timestamp": [2, 1, 2, 1, 2]}).log()
        assert log.timestamps.tolist() == [1, 1, 2, 2, 2]
        assert log.item_rows.tolist() == [3, 1, 4, 2, 0]
        assert (log.user_rows.dtype, log.ratings.dtype, log.weights.dtype) == (np.int32, np.float32, np.float32)

    def test_many_ties_keep_the_file_order(self):
        times = [n % 3 for n in range(3_000)]
        log = Dataset.from_frames({"user_id": [1] * 3_000, "item_id": range(3_000), "timestamp": times}).log()
        assert log.item_rows.tolist() == sorted(range(3_000), key=lambda n: n % 3)

    def test_a_weight_of_nothing_is_a_weight(self):
        assert len(Dataset.from_frames(log_with(weight=[0, 1, 1, 1])).log().positives()) == 3

    def test_what_counts_as_positive(self):
        dataset = Dataset.from_frames(log_with(weight=[1, 2, 3, 4], event=["buy", "view", "buy", None]))
        in_file_order = [2, 0, 1, 3]  # of the log's rows, by time
        assert dataset.log().weights[in_file_order].tolist() == [1, 2, 3, 4]
        assert dataset.log(min_rating=4).weights[in_file_order].tolist() == [1, 2, 3, 0]
        assert dataset.log(events=["buy"]).weights[in_file_order].tolist() == [1, 0, 3, 0]
        assert dataset.log(events="view").weights[in_file_order].tolist() == [0, 2, 0, 0]
        assert dataset.log(min_rating=5, events=["buy"]).weights[in_file_order].tolist() == [0, 0, 3, 0]
        with pytest.raises(DataError, match=r"found only .*'buy', 'view'"):
            dataset.log(events=["purchase"])
        with pytest.raises(DataError, match="expected a column 'event'"):
            Dataset.from_frames(LOG).log(events=["buy"])
        with pytest.raises(DataError, match="expected a column 'rating'"):
            Dataset.from_frames({"user_id": [1], "item_id": [1]}).log(min_rating=3)

    def test_repr(self):
        assert repr(Dataset.from_frames(LOG, name="x")) == (
            "<Dataset 'x': 4 interactions, 3 users, 3 items, time: seconds>"
        )


def test_a_parquet_file(tmp_path):
    pl.DataFrame(LOG).write_parquet(tmp_path / "log[1].parquet")
    pl.DataFrame({"sku": ["z"], "genres": [["x", "y"]]}).write_parquet(tmp_path / "items.parquet")
    dataset = Dataset.from_parquet(tmp_path / "log[1].parquet", tmp_path / "items.parquet", columns={"item_id": "sku"})
    assert dataset.interactions.to_dict(as_series=False) == LOG
    assert dataset.items["genres"].to_list()[0] == ["x", "y"]


def test_parquet_files_that_cannot_be_read(tmp_path):
    path = tmp_path / "log.parquet"
    pl.DataFrame(LOG).write_parquet(path)
    whole = path.read_bytes()
    for content in (b"", whole[:4], whole[: len(whole) // 2], whole[:-1]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"log.parquet: not readable as Parquet"):
            Dataset.from_parquet(path)
    with pytest.raises(DataError, match=r"nowhere.parquet: no such file"):
        Dataset.from_parquet(tmp_path / "nowhere.parquet")
    pl.DataFrame({**LOG, "user_id": [1, None, 2, 3]}).write_parquet(path)
    with pytest.raises(DataError, match=r"log.parquet, row 1, column 'user_id': got None"):
        Dataset.from_parquet(path)
