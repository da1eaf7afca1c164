"""The quick reader of numbers takes what the careful one takes, and nothing else."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shortlist.data import lines
from shortlist.data.lines import Schema, read_numbers, read_table
from shortlist.errors import DataError

SCHEMA: Schema = {"user_id": pl.Int64, "rating": pl.Float64, "timestamp": pl.Int64}

numbers = st.one_of(
    st.integers(-(2**63), 2**63 - 1).map(str),
    st.integers(0, 10).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(str),
)
junk = st.sampled_from(["", " ", "nan", "inf", "x", '"1"', "1_0", "9e8", "+1", " 1", "1 ", ":", ",", "#", str(2**70)])
records = st.lists(st.lists(st.one_of(numbers, numbers, numbers, junk), min_size=3, max_size=3), max_size=6)


def outcome(read) -> list[tuple[object, ...]] | str:
    try:
        return read().rows()
    except DataError as error:
        return str(error)


@pytest.mark.parametrize("separator", ["::", ",", "\t"])
@given(records, st.sampled_from(["\n", "\r\n"]), st.sampled_from(["", "\n", "\n\n", "1"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
def test_same_table_or_same_refusal(tmp_path: Path, separator: str, fields, line_end: str, end: str) -> None:
    file = tmp_path / "numbers.txt"
    file.write_bytes((line_end.join(separator.join(record) for record in fields) + end).encode())
    expected = outcome(lambda: read_table(file, separator, SCHEMA))
    assert outcome(lambda: read_numbers(file, separator, SCHEMA)) == expected


@pytest.mark.parametrize("separator", ["::", ","])
def test_whole_files_are_read_quickly(tmp_path: Path, separator: str) -> None:
    file = tmp_path / "numbers [1].txt"  # not a pattern
    file.write_text("".join(f"{separator.join((str(n), str(n / 2), '9'))}\n" for n in range(10)))
    quick = lines._read_quickly(file, separator, SCHEMA, 0)
    assert quick is not None
    assert quick.rows() == [(n, n / 2, 9) for n in range(10)]
    assert quick.equals(read_table(file, separator, SCHEMA))


def test_a_header_must_be_the_expected_one(tmp_path: Path) -> None:
    file = tmp_path / "numbers.csv"
    file.write_bytes(b"\xef\xbb\xbfuser,rating,time\r\n1,2,3\r\n")
    assert read_numbers(file, ",", SCHEMA, ["user", "rating", "time"]).rows() == [(1, 2.0, 3)]
    with pytest.raises(DataError, match="line 1: expected the header user,time,rating, got user,rating,time"):
        read_numbers(file, ",", SCHEMA, ["user", "time", "rating"])


def test_absent(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"numbers\.txt is missing"):
        read_numbers(tmp_path / "numbers.txt", ",", SCHEMA, ["user"])
