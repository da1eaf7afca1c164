"""Single columns; the tables of test_dataset.py show most of it."""

import sys

import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist.data.columns import as_ids, as_timestamps, place, suggest, to_polars
from shortlist.data.csv_files import CsvFile
from shortlist.errors import DataError, MissingExtraError

SECONDS = st.lists(st.integers(10**8 + 1, 10**11 - 1), min_size=1)


@given(SECONDS, st.sampled_from([("milliseconds", 10**3), ("microseconds", 10**6), ("nanoseconds", 10**9)]))
def test_finer_units_are_recognised_or_refused_but_never_misread(seconds, unit):
    name, parts = unit
    finer = [second * parts for second in seconds if second * parts < 2**63]
    if not finer:
        return
    made, notice = as_timestamps(pl.Series(finer), "log", "timestamp")
    assert made.to_list() == [value // parts for value in finer]
    assert notice is not None
    assert name in notice


@given(SECONDS)
def test_seconds_stay(seconds):
    made, notice = as_timestamps(pl.Series(seconds), "log", "timestamp")
    assert (made.to_list(), notice) == (seconds, None)


@given(st.lists(st.integers(0, 10**8 - 1), min_size=1))
def test_an_order_stays(order):
    made, notice = as_timestamps(pl.Series(order), "log", "timestamp")
    assert (made.to_list(), notice) == (order, None)


def test_place(tmp_path):
    assert place("interactions", 3) == "interactions, row 3"
    path = tmp_path / "x.csv"
    path.write_text("a\n1\n2\n")
    assert place(CsvFile(path, ","), 1) == f"{path}, row 1 (line 3)"


def test_suggest():
    assert suggest("item_id", ["ItemID", "user"]) == "did you mean 'ItemID'?"
    assert suggest("item_id", []) == "the columns are none"
    assert suggest("zzz", [f"c{n}" for n in range(30)]).endswith("'c19' and more")


def test_ids_of_an_empty_series_have_a_type():
    assert as_ids(pl.Series([], dtype=pl.Int32), "log", "user_id").dtype == pl.Int64
    with pytest.raises(DataError, match="log, column 'user_id': got type Float64"):
        as_ids(pl.Series([], dtype=pl.Float64), "log", "user_id")


def test_pandas_without_pyarrow_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'shortlist\[pandas\]'"):
        to_polars(pd.DataFrame({"user_id": [1]}), "log")
