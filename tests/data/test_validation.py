"""Every named check: what it finds, exactly where, and what becomes of the rows."""

import datetime as dt
import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import shortlist as sl
from shortlist.data.dataset import Dataset
from shortlist.data.validation.findings import CHECKS
from shortlist.data.validation.validate import validate
from shortlist.errors import ConfigError, DataError

NOW = 1_700_000_000
T = 900_000_000
N = 20
LOG = {
    "user_id": [row % 11 for row in range(N)],
    "item_id": [f"i{row % 13}" for row in range(N)],
    "timestamp": [T + row * 3_600 for row in range(N)],
    "rating": [1.0 + row % 5 for row in range(N)],
}
ITEMS = {"item_id": [f"i{item}" for item in range(13)], "year": [1990 + item for item in range(13)]}


def with_values(column, changes, base=LOG):
    """The log with other values in some rows of a column."""
    values = [changes.get(row, value) for row, value in enumerate(base.get(column, [None] * N))]
    return {**base, column: values}


def check(source, items=None, users=None, columns=None, **options):
    """A validation whose parts fit together."""
    found = validate(source, items, users, columns, now=NOW, **options)
    json.dumps(found.to_dict())
    n_aside = 0
    for counts in found.counts.values():
        assert counts["rows_read"] == counts["rows_kept"] + sum(counts["set_aside"].values())
        n_aside += sum(counts["set_aside"].values())
    assert len(found.set_aside) == n_aside
    for finding in found.findings:
        expected = CHECKS[finding.check][0]
        assert finding.severity in ((expected, "refused") if expected == "set_aside" else (expected,))
    if found.usable:
        assert found.dataset.validation == found.summary()
        assert len(found.dataset) == found.counts["interactions"]["rows_kept"]
    else:
        with pytest.raises(DataError) as refused:
            _ = found.dataset
        assert str(refused.value).startswith(found.of("refused")[0].message)
    return found


def only(found, *severities):
    """The one finding that is no warning (or: of these severities)."""
    findings = [one for one in found.findings if one.severity in (severities or ("refused", "set_aside", "converted"))]
    assert len(findings) == 1, findings
    return findings[0]


def warned(found):
    return {finding.check for finding in found.of("warning")}


@pytest.fixture
def write(tmp_path):
    def write(content, name="log.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def as_csv(log, separator=","):
    return pl.DataFrame(log, strict=False).write_csv(separator=separator)


class TestClean:
    @pytest.mark.parametrize("form", [dict, pl.DataFrame, pl.LazyFrame, pd.DataFrame, pa.table])
    def test_frames(self, form):
        found = check(form(LOG), form(ITEMS))
        assert found.findings == ()
        assert found.dataset.fingerprint == Dataset.from_frames(LOG, ITEMS).fingerprint
        assert found.dataset.notes == ()

    def test_files(self, tmp_path, write):
        items = {**ITEMS, "genres": ["a|b"] * 13}
        log, table = write(as_csv({**LOG, "page": [1] * N})), write(as_csv(items), "items.csv")
        found = check(log, table, name="shop")
        assert found.findings == ()
        assert found.dataset.fingerprint == Dataset.from_csv(log, table).fingerprint
        assert found.dataset.interactions.equals(Dataset.from_csv(log, table).interactions)
        assert found.dataset.name == "shop"
        pl.DataFrame(LOG).write_parquet(tmp_path / "log.parquet")
        found = check(str(tmp_path / "log.parquet"), table)
        assert found.findings == ()
        assert found.dataset.interactions.equals(Dataset.from_frames(LOG).interactions)

    def test_several_files(self, tmp_path, write):
        first, second = pl.DataFrame(LOG).head(7), pl.DataFrame(LOG).tail(N - 7)
        second.select("item_id", "user_id", "rating", "timestamp").write_parquet(tmp_path / "b.parquet")
        found = check([write(first.write_csv()), tmp_path / "b.parquet"])
        assert found.findings == ()
        assert found.dataset.interactions.to_dict(as_series=False) == LOG
        bad = write(second.write_csv() + ",i1,5,900000000\n", "b.csv")
        finding = only(check([write(first.write_csv()), bad]))
        assert (finding.file, finding.row, finding.line) == (str(bad), N - 7, N - 5)

    def test_columns_are_renamed(self):
        mapping = {"user_id": "customer", "timestamp": "when"}
        found = check(pl.DataFrame(LOG).rename(mapping), columns=mapping)
        assert found.findings == ()

    def test_it_is_public(self):
        assert sl.validate is validate


class TestSetAside:
    @pytest.mark.parametrize(
        ("column", "value", "name"),
        [
            ("user_id", None, "missing_id"),
            ("item_id", None, "missing_id"),
            ("item_id", " ", "missing_id"),
            ("rating", float("nan"), "not_finite"),
            ("rating", float("inf"), "not_finite"),
            ("rating", -float("inf"), "not_finite"),
            ("rating", "good", "not_a_number"),
            ("timestamp", None, "missing_time"),
            ("timestamp", -1, "negative_time"),
            ("timestamp", 0, "absurd_time"),
            ("timestamp", 10**15, "absurd_time"),
            ("timestamp", 10**11 - 1, "absurd_time"),
            ("timestamp", "soon", "unreadable_time"),
        ],
    )
    @pytest.mark.parametrize("form", ["frame", "csv"])
    def test_one_value(self, column, value, name, form, write):
        log = with_values(column, {3: value, 12: value})
        source = write(as_csv(log)) if form == "csv" else log
        found = check(source)
        (finding,) = found.of("set_aside")
        assert (finding.check, finding.column, finding.table) == (name, column, "interactions")
        assert (finding.row, finding.line) == (3, 5 if form == "csv" else None)
        assert (finding.n_rows, finding.n_total) == (2, N)
        assert f"column {column!r}: got " in finding.message
        assert "(2 of 20 rows)" in finding.message
        assert found.counts["interactions"]["set_aside"] == {name: 2}
        assert found.set_aside.select("reason", "column", "row").rows() == [(name, column, 3), (name, column, 12)]
        assert found.set_aside["item_id"].to_list() == [log["item_id"][3], log["item_id"][12]]
        kept = pl.DataFrame(LOG)[[row for row in range(N) if row not in (3, 12)]]
        assert found.dataset.interactions.equals(kept.select(found.dataset.interactions.columns))

    @pytest.mark.parametrize(
        ("value", "name"), [(None, "missing_weight"), (-0.5, "negative_weight"), (float("nan"), "not_finite")]
    )
    def test_a_weight(self, value, name):
        finding = only(check(with_values("weight", {7: value}, {**LOG, "weight": [1.0] * N})))
        assert (finding.check, finding.row, finding.column) == (name, 7, "weight")

    def test_an_id_with_a_fraction(self):
        found = check(with_values("user_id", {7: 1.5}, {**LOG, "user_id": [float(row % 11) for row in range(N)]}))
        assert [finding.check for finding in found.findings] == ["bad_id", "float_ids"]
        assert found.dataset.interactions["user_id"].dtype == pl.Int64

    def test_rows_that_cannot_be_split(self, write):
        lines = as_csv(LOG).splitlines()
        lines[4] += ",7"
        lines[5] = lines[5].rpartition(",")[0]
        lines[6] = ""
        lines[9] = lines[9].replace("i8", 'i"8')
        found = check(write("\n".join(lines)))
        assert [(one.check, one.row, one.line, one.n_rows) for one in found.findings] == [
            ("ragged_row", 3, 5, 3),
            ("broken_quotes", 8, 10, 1),
        ]
        assert "expected 4 fields as in the header, got 5 fields (3 of 20 rows)" in found.findings[0].message
        assert found.set_aside["raw"].to_list() == [lines[4], lines[5], "", lines[9]]
        assert found.set_aside["line"].to_list() == [5, 6, 7, 10]

    def test_bytes_that_are_no_text(self, write):
        lines = as_csv(LOG).encode().splitlines()
        lines[6] = lines[6].replace(b"i5", b"i\xff\xfe")
        found = check(write(b"\n".join(lines)))
        finding = only(found)
        assert (finding.check, finding.row, finding.line) == ("invalid_bytes", 5, 7)
        assert found.set_aside["raw"][0].startswith(r"5,i\xff\xfe,")

    def test_duplicates(self):
        log = {name: [*values, values[4], values[4], values[9]] for name, values in LOG.items()}
        log["rating"][-1] = 0.5
        found = check(log)
        exact, conflicting = found.of("set_aside")
        assert (exact.check, exact.row, exact.n_rows) == ("duplicate_event", N, 2)
        assert (conflicting.check, conflicting.row, conflicting.n_rows) == ("conflicting_duplicate", 9, 1)
        assert found.dataset.interactions["rating"].to_list()[-1] == 0.5
        assert len(found.dataset) == N
        assert check({**log, "event": [*["view"] * N, "buy", "buy", "view"]}).counts["interactions"]["set_aside"] == {
            "duplicate_event": 1,
            "conflicting_duplicate": 1,
        }

    def test_a_log_of_duplicates_is_usable(self):
        found = check(pl.concat([pl.DataFrame(LOG)] * 5))
        assert found.usable
        assert found.counts["interactions"]["set_aside"] == {"duplicate_event": 4 * N}

    def test_repeats_without_usable_times_stay(self):
        for log in (pl.DataFrame(LOG).drop("timestamp"), pl.DataFrame(LOG).with_columns(timestamp=pl.lit(T))):
            found = check(pl.concat([log, log.head(3)]))
            finding = next(one for one in found.findings if one.check == "repeated_events")
            assert (finding.row, finding.n_rows, len(found.dataset)) == (N, 3, N + 3)

    def test_item_and_user_tables(self, write):
        items = write(as_csv(ITEMS) + ",1999\ni4,2001\ni1,2001,5\n", "items.csv")
        found = check(LOG, items, {"user_id": [*range(11), 3, None]})
        assert [(one.table, one.check, one.row, one.line) for one in found.findings] == [
            ("items", "ragged_row", 15, 17),
            ("items", "missing_id", 13, 15),
            ("items", "repeated_id", 14, 16),
            ("users", "missing_id", 12, None),
            ("users", "repeated_id", 11, None),
        ]
        assert found.counts["items"] == {
            "rows_read": 16,
            "rows_kept": 13,
            "set_aside": {"ragged_row": 1, "missing_id": 1, "repeated_id": 1},
        }
        assert found.dataset.items["year"].to_list() == ITEMS["year"]

    def test_the_first_reason_counts(self):
        """Ids come last."""
        log = with_values("rating", {3: float("nan")}, with_values("user_id", {3: None}))
        assert check(log).counts["interactions"]["set_aside"] == {"not_finite": 1}

    def test_a_source_column_named_like_one_of_ours(self):
        found = check({**with_values("user_id", {3: None}), "row": ["x"] * N, "reason": ["y"] * N})
        assert found.set_aside.row(0, named=True)["row_"] == "x"
        assert found.set_aside["row"].to_list() == [3]


class TestConverted:
    @pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16"])
    def test_encodings(self, write, encoding):
        titles = ["Käfer", *["x"] * 11, "Señor"] if encoding != "cp1252" else ["“Käfer”", *["x"] * 12]
        path = write(as_csv({**ITEMS, "title": titles}).encode(encoding), "items.csv")
        found = check(LOG, path)
        finding = only(found)
        assert (finding.check, finding.table) == ("encoding", "items")
        assert f"the text is {encoding} " in finding.message
        assert found.dataset.items["title"].to_list() == titles

    @pytest.mark.parametrize("separator", [";", "\t", "|"])
    def test_delimiters(self, write, separator):
        found = check(write(as_csv(LOG, separator)))
        assert only(found).check == "delimiter"
        assert found.dataset.interactions.to_dict(as_series=False) == LOG

    def test_a_decimal_comma(self, write):
        path = write(as_csv({**LOG, "rating": [f"{row % 5},5" for row in range(N)]}, ";"))
        found = check(path)
        assert [one.check for one in found.of("converted")] == ["delimiter", "decimal_comma"]
        assert found.dataset.interactions["rating"].to_list() == [row % 5 + 0.5 for row in range(N)]

    @pytest.mark.parametrize("factor", [10**3, 10**6, 10**9])
    @pytest.mark.parametrize("rows", [range(N), [4, 7]])
    def test_units_of_time(self, factor, rows):
        found = check(with_values("timestamp", {row: LOG["timestamp"][row] * factor for row in rows}))
        finding = only(found)
        assert finding.check == ("time_unit" if len(rows) == N else "mixed_time_units")
        assert (finding.row, finding.n_rows) == (rows[0], len(rows))
        assert {10**3: "milliseconds", 10**6: "microseconds", 10**9: "nanoseconds"}[factor] in finding.message
        assert found.dataset.interactions["timestamp"].to_list() == LOG["timestamp"]
        assert finding.message in found.dataset.notes

    @pytest.mark.parametrize("pattern", ["%Y-%m-%d %H:%M:%S", "%d.%m.%Y %H:%M:%S", "%b %d, %Y %H:%M:%S"])
    @pytest.mark.parametrize("rows", [range(N), [4]])
    def test_dates_as_text(self, pattern, rows, write):
        texts = {row: dt.datetime.fromtimestamp(LOG["timestamp"][row], dt.UTC).strftime(pattern) for row in rows}
        for source in (with_values("timestamp", texts), write(as_csv(with_values("timestamp", texts)))):
            found = check(source)
            assert "dates_as_text" in [one.check for one in found.of("converted")]
            assert found.dataset.interactions["timestamp"].to_list() == LOG["timestamp"]

    @pytest.mark.parametrize("form", [dict, pd.DataFrame])
    def test_mixed_types_of_ids(self, form):
        log = form(with_values("user_id", {5: "5", 8: "x9"}))
        found = check(log)
        finding = only(found)
        assert (finding.check, finding.row, finding.n_rows, finding.example) == ("mixed_types", 5, 2, "5")
        assert found.dataset.interactions["user_id"].to_list()[:9] == [*map(str, range(8)), "x9"]

    def test_a_column_of_objects(self):
        values = pl.Series("user_id", [*range(N - 1), "x"], dtype=pl.Object)
        found = check(pl.DataFrame(LOG).with_columns(values))
        assert only(found).row == N - 1

    def test_a_text_among_integers_in_a_file(self, write):
        found = check(write(as_csv(with_values("user_id", {5: "x9"}))))
        assert (only(found).check, only(found).line) == ("mixed_types", 7)

    def test_ids_of_other_kinds_in_the_tables(self, write):
        log = {**LOG, "item_id": [row % 13 for row in range(N)]}
        items = {"item_id": [*map(str, range(13))], "year": ITEMS["year"]}
        found = check(log, items)
        assert only(found).check == "id_kinds_differ"
        assert found.dataset.interactions["item_id"].to_list() == [str(row % 13) for row in range(N)]
        assert found.dataset.items["year"].null_count() == 0
        found = check(write(as_csv({**LOG, "item_id": [*map(str, log["item_id"])]})), write("item_id\n0\nx\n", "i.csv"))
        assert only(found).check == "id_kinds_differ"

    def test_integers_that_became_floats(self):
        frame = pd.DataFrame(LOG).assign(user_id=[None, *range(N - 1)])
        found = check(frame)
        assert [one.check for one in found.findings] == ["missing_id", "float_ids"]
        assert found.dataset.interactions["user_id"].to_list() == list(range(N - 1))

    def test_other_conversions(self, write):
        assert only(check({**LOG, "rating": [row % 2 == 0 for row in range(N)]})).check == "truth_values"
        assert only(check({**LOG, "user_id": pl.Series([2**63 + row for row in range(N)], dtype=pl.UInt64)})).check == (
            "large_ids"
        )
        assert only(check({**LOG, "timestamp": [row / N for row in range(N)]})).check == "fractional_order"
        assert only(check(write(as_csv(LOG).replace("\n", "\r")))).check == "line_ends"
        assert only(check(write(as_csv(LOG).replace(",", ", ")))).check == "padded_columns"
        finding = only(check(LOG, {**ITEMS, "price": [float("inf"), *[1.0] * 12]}))
        assert (finding.check, finding.row) == ("infinite_attribute", 0)


class TestWarnings:
    def test_joins(self):
        found = check(LOG, {"item_id": ["i0", "i1", "z", "y"]}, {"user_id": [0, 1, 99]})
        told = {one.check: (one.table, one.row, one.n_rows) for one in found.of("warning")}
        assert told == {
            "items_without_attributes": ("interactions", 2, 16),
            "items_without_interactions": ("items", 2, 2),
            "users_without_attributes": ("interactions", 2, 16),
            "users_without_interactions": ("users", 2, 1),
        }
        messages = [one.message for one in found.of("warning")]
        assert any("11 of 13 items of the interactions are not in the item table (" in message for message in messages)
        finding = check(LOG, {**ITEMS, "item_id": ["i0", *(f" I{item}" for item in range(1, 13))]}).findings[0]
        assert "not in the item table; without blanks, case and leading zeros 12 would be" in finding.message
        assert found.dataset.items["item_id"].to_list()[:4] == ["i0", "i1", "z", "y"]

    @pytest.mark.parametrize("column", ["user_id", "item_id"])
    def test_one_with_most_of_the_log(self, column):
        rng = np.random.default_rng(0)
        log = {"user_id": rng.integers(0, 50, 300), "item_id": rng.integers(0, 50, 300), "rating": rng.random(300)}
        assert warned(check(log)) == {"repeated_events"}
        log[column] = np.where(np.arange(300) % 5 < 3, 7, log[column])
        name = "dominant_user" if column == "user_id" else "dominant_item"
        finding = next(one for one in check(log).findings if one.check == name)
        assert finding.n_rows == int((log[column] == 7).sum())
        assert "7, has 6" in finding.message

    def test_a_tenth_of_the_log_is_much_if_others_have_little(self):
        users = [*range(900), *[10**6] * 120]
        assert "dominant_user" in warned(check({"user_id": users, "item_id": range(1_020)}))
        users = [*range(900), *[10**6] * 99]
        assert "dominant_user" not in warned(check({"user_id": users, "item_id": range(999)}))
        users = [*(row % 20 for row in range(100)), *[99] * 15]  # three times the median
        assert "dominant_user" not in warned(check({"user_id": users, "item_id": range(115)}))
        users = [*(row % 20 for row in range(100)), *[99] * 100]
        assert "dominant_user" in warned(check({"user_id": users, "item_id": range(200)}))

    def test_times(self):
        assert warned(check({**LOG, "timestamp": [T + 86_400 * row for row in range(N)]})) == set()
        days = [T // 86_400 * 86_400 + 86_400 * row for row in range(N)]
        assert warned(check({**LOG, "timestamp": days})) == {"times_at_midnight"}
        finding = only(check(with_values("timestamp", {3: NOW + 90_000}, {**LOG, "timestamp": [NOW] * N})), "warning")
        assert (finding.check, finding.row, finding.n_rows) == ("future_times", 3, 1)
        assert warned(check({**LOG, "timestamp": [T] * N})) == {"equal_times"}
        many = {"user_id": range(300), "item_id": range(300), "timestamp": [T + row for row in range(300)]}
        many["timestamp"][7] = T - 25 * 366 * 86_400
        finding = only(check(many), "warning")
        assert (finding.check, finding.row) == ("old_times", 7)

    def test_ids(self):
        found = check(with_values("item_id", {4: "i4 ", 6: "I6"}))
        told = {one.check: (one.row, one.n_rows) for one in found.of("warning")}
        assert told == {"padded_ids": (4, 1), "ids_differ_in_case": (6, 2)}
        assert warned(check({"user_id": [1, 2], "item_id": [1, 2]})) == {"few_users", "few_items"}

    def test_ratings(self):
        assert warned(check({**LOG, "rating": [3] * N})) == {"equal_ratings"}
        finding = only(check(with_values("rating", {3: None})), "warning")
        assert (finding.check, finding.row, finding.n_rows) == ("missing_ratings", 3, 1)
        assert check({**LOG, "rating": [None] * N}).dataset.has_ratings is False

    def test_columns_and_tables(self):
        found = check(pl.DataFrame(LOG).rename({"timestamp": "Time", "rating": "stars"}))
        assert [(one.check, one.column) for one in found.findings] == [
            ("likely_column", "Time"),
            ("likely_column", "stars"),
        ]
        assert "--column timestamp=Time" in found.findings[0].message
        assert warned(check({**LOG, "timestamp": [None] * N})) == {"empty_column"}
        assert warned(check(LOG, {"item_id": []})) == {"empty_table"}
        found = check(LOG, {**ITEMS, "box": [{"x": 1}] * 13})
        assert warned(found) == {"unusable_column"}
        assert found.dataset.items.columns == ["item_id", "year"]


class TestRefused:
    @pytest.mark.parametrize(
        ("name", "content", "expected"),
        [
            ("log.csv", b"", "empty_file"),
            ("log.csv", b"\n \n", "empty_file"),
            ("log.csv", b"\x1f\x8b\x08\x00", "binary_file"),
            ("log.csv", bytes(range(256)) * 9, "binary_file"),
            ("log.csv", b"PAR1\x00\x00\x00\x00PAR1", "binary_file"),
            ("log.parquet", b"user_id,item_id\n1,2\n", "damaged_parquet"),
            ("log.parquet", b"", "damaged_parquet"),
            ("log.parquet", b"PAR1\xff\xff\xff\xff\xff\xff\xff\xffPAR1", "damaged_parquet"),
            ("log.xlsx", b"x", "unknown_kind"),
            ("log.csv", b"user_id,item_id\n", "no_rows"),
            ("log.csv", b"user_id,user_id,item_id\n1,2,3\n", "repeated_column"),
        ],
    )
    def test_files(self, write, name, content, expected):
        finding = only(check(write(content, name)))
        assert (finding.check, finding.severity) == (expected, "refused")
        assert name in finding.message

    def test_a_truncated_parquet(self, tmp_path):
        pl.DataFrame(LOG).write_parquet(tmp_path / "log.parquet")
        whole = (tmp_path / "log.parquet").read_bytes()
        for n_bytes in (4, 100, len(whole) // 2, len(whole) - 1):
            (tmp_path / "log.parquet").write_bytes(whole[:n_bytes])
            finding = only(check(tmp_path / "log.parquet"))
            assert finding.check == "truncated_parquet"
            assert f"cut off after {n_bytes:,} bytes" in finding.message

    def test_damage_inside_a_parquet(self, tmp_path):
        pl.DataFrame(LOG).write_parquet(tmp_path / "log.parquet")
        whole = bytearray((tmp_path / "log.parquet").read_bytes())
        whole[8:60] = bytes(52)
        (tmp_path / "log.parquet").write_bytes(whole)
        assert only(check(tmp_path / "log.parquet")).check == "damaged_parquet"

    def test_no_file(self, tmp_path):
        assert only(check(tmp_path / "none.csv")).check == "no_such_file"
        assert only(check(tmp_path / "none.parquet")).check == "no_such_file"
        assert only(check(tmp_path)).check == "no_such_file"
        finding = only(check(LOG, tmp_path / "none.csv"))
        assert (finding.check, finding.table) == ("no_such_file", "items")

    def test_missing_columns_are_named_at_once_with_the_likely_ones(self):
        found = check(pl.DataFrame(LOG).rename({"user_id": "userId", "item_id": "movieId"}))
        first, second = found.of("refused")
        assert (first.check, first.column, second.column) == ("missing_column", "user_id", "item_id")
        assert "did you mean 'userId'?" in first.message
        assert "did you mean 'movieId'?" in second.message
        assert "--column user_id=userId --column item_id=movieId" in first.message
        with pytest.raises(DataError, match=r"userId.*and 1 more"):
            _ = found.dataset

    def test_a_missing_header(self, write):
        finding = check(write("196\t242\t3\t881250949\n186\t302\t3\t891717742\n")).of("refused")[0]
        assert finding.message.endswith("has the file no header?")

    def test_columns_that_are_asked_for_and_not_there(self):
        assert only(check(LOG, columns={"user_id": "nobody"})).check == "missing_column"

    def test_different_columns(self, write):
        paths = [write(as_csv(LOG)), write(as_csv({"user_id": [1], "item_id": ["a"]}), "b.csv")]
        finding = only(check(paths))
        assert finding.check == "different_columns"
        assert finding.message.endswith("different: rating, timestamp")

    @pytest.mark.parametrize(
        ("column", "value"), [("user_id", [1]), ("rating", [1.0]), ("timestamp", True), ("event", [1]), ("weight", [1])]
    )
    def test_types(self, column, value):
        finding = only(check({**LOG, column: [value] * N}))
        assert (finding.check, finding.column) == ("wrong_type", column)

    @pytest.mark.parametrize(
        ("column", "value", "name"),
        [
            ("user_id", None, "missing_id"),
            ("rating", float("nan"), "not_finite"),
            ("timestamp", -1, "negative_time"),
            ("timestamp", "soon", "unreadable_time"),
        ],
    )
    def test_more_than_half(self, column, value, name):
        bad = dict.fromkeys(range(N // 2), value)
        assert only(check(with_values(column, bad)), "set_aside", "refused").severity == "set_aside"
        finding = only(check(with_values(column, bad | {N - 1: value})), "set_aside", "refused")
        assert (finding.check, finding.severity, finding.n_rows) == (name, "refused", N // 2 + 1)
        assert "more than half of the rows" in finding.message

    def test_more_than_half_of_the_lines(self, write):
        lines = as_csv(LOG).splitlines()
        found = check(write("\n".join([lines[0], *(f"{line},x" for line in lines[1:])])))
        assert (only(found).check, only(found).severity) == ("ragged_row", "refused")

    def test_nothing_is_left(self):
        log = with_values("rating", dict.fromkeys(range(N // 2), float("nan")))
        found = check(with_values("user_id", dict.fromkeys(range(N // 2, N), None), log))
        assert found.of("refused")[0].check == "no_rows"

    def test_nothing_joins(self):
        finding = only(check(LOG, {"item_id": ["I1", "x", "I02"]}))
        assert (finding.check, finding.table, finding.n_rows) == ("nothing_joins", "items", 0)
        assert "none of the 3 ids in 'item_id', such as 'I1', is in the interactions" in finding.message
        assert "without blanks, case and leading zeros 1 would be" in finding.message

    def test_every_refusal_is_told(self, write, tmp_path):
        found = check(write("user,item\n1,2\n"), tmp_path / "none.csv", tmp_path / "none.parquet")
        told = [(one.table, one.check, one.column) for one in found.of("refused")]
        assert sorted(told, key=str) == [
            ("interactions", "missing_column", "item_id"),
            ("interactions", "missing_column", "user_id"),
            ("items", "no_such_file", None),
            ("users", "no_such_file", None),
        ]

    @pytest.mark.parametrize("source", [None, 42, [], [1, 2], [{"user_id": 1}]])
    def test_what_is_neither_file_nor_table(self, source):
        with pytest.raises(DataError, match="expected a"):
            validate(source)

    def test_arguments(self, write):
        with pytest.raises(ConfigError, match="encoding"):
            validate(write(as_csv(LOG)), encoding="klingon")
        assert only(check(write(as_csv(LOG)), separator="ab")).check == "unreadable_file"
        with pytest.raises(DataError, match="not readable as a table"):
            validate({"user_id": [1, 2], "item_id": [1, "x", 3]})


class TestReport:
    def test_text(self):
        found = check(with_values("rating", {3: float("nan"), 4: float("nan")}), {"item_id": ["i1"]})
        assert found.table().splitlines()[:5] == [
            "usable: 20 rows read, 18 kept, 2 set aside (not_finite 2)",
            "items: 1 rows read, 1 kept, 0 set aside",
            "",
            "set aside:",
            f"  not_finite                {found.findings[0].message}",
        ]
        assert check(LOG, {"item_id": ["x"]}).table().startswith("NOT USABLE: ")

    def test_the_data_set_carries_the_summary(self):
        found = check(with_values("rating", {3: float("nan")}), {"item_id": ["i1"]})
        summary = found.dataset.validation
        assert json.loads(json.dumps(summary)) == summary
        assert (summary["rows_read"], summary["rows_kept"], summary["set_aside"]) == (N, N - 1, {"not_finite": 1})
        assert summary["items"]["rows_read"] == 1
        assert len(summary["warnings"]) == 1
        part = found.dataset.with_interactions(found.dataset.interactions.head(5))
        assert part.validation == summary
        assert found.dataset.renamed("x").validation == summary
        assert Dataset.from_frames(LOG).validation is None

    def test_strict_refusals_lead_here(self, write):
        with pytest.raises(DataError, match=r"shortlist\.validate sets such rows aside"):
            Dataset.from_frames(with_values("user_id", {3: None}))
        with pytest.raises(DataError, match=r"shortlist\.validate"):
            Dataset.from_csv(write("user_id,item_id\n1,Käfer\n".encode("latin-1")))

    def test_every_check_is_documented(self, request):
        page = (request.config.rootpath / "docs" / "validation.md").read_text(encoding="utf-8")
        for name, (severity, what) in CHECKS.items():
            assert f"| `{name}` | {what} | {severity.replace('_', ' ')} |" in page


def test_a_log_that_is_bad_in_many_ways_is_refused():
    rows = [("", "a", 3.0)] * 30 + [("u", "a", float("nan"))] * 30 + [(f"u{i}", "a", 3.0) for i in range(40)]
    users, items, ratings = zip(*rows, strict=True)
    validation = validate(pl.DataFrame({"user_id": users, "item_id": items, "rating": ratings}))
    assert not validation.usable
    assert "mostly_bad" in [finding.check for finding in validation.findings]
    assert "only 40 of 100 rows are left" in validation.table()


def test_na_is_no_id(tmp_path):
    (tmp_path / "log.csv").write_text("user_id,item_id\n1,2\nNA,3\n4,n/a\n5,6\n7,8\n")
    dataset = validate(tmp_path / "log.csv").dataset
    assert dataset.interactions["user_id"].to_list() == [1, 5, 7]
    assert dataset.validation["set_aside"] == {"missing_id": 2}


def test_a_line_of_totals_does_not_turn_ids_into_text(tmp_path):
    lines = [
        "user_id,item_id,rating,timestamp",
        *(f"{i},{i + 1},3,{1_600_000_000 + i}" for i in range(20)),
        "Total,300,,",
    ]
    (tmp_path / "log.csv").write_text("\n".join(lines) + "\n")
    validation = validate(tmp_path / "log.csv")
    assert validation.dataset.interactions["user_id"].dtype == pl.Int64
    assert validation.set_aside["reason"].to_list() == ["missing_time"]
    assert validation.set_aside["user_id"].to_list() == ["Total"]
