"""Ids and numbers one by one, and repeated events."""

import datetime as dt

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist.data.validation.findings import Refusal
from shortlist.data.validation.repair.duplicates import duplicate_rows
from shortlist.data.validation.repair.values import clean_events, clean_ids, clean_numbers, text_of


def told(made):
    problems = {problem.check: problem.rows.arg_true().to_list() for problem in made.problems if problem.rows.any()}
    conversions = {one.check: one.rows.arg_true().to_list() for one in made.conversions if one.rows.any()}
    return made.values.to_list(), problems, conversions


def ids(values, untyped=False, dtype=None):
    return told(clean_ids(pl.Series("user_id", values, dtype=dtype), untyped))


class TestIds:
    def test_integers_and_texts(self):
        assert ids([1, None, 3]) == ([1, None, 3], {"missing_id": [1]}, {})
        assert ids(["a", None, "", " ", "NaN", "none", r"\N", "Nancy"]) == (
            ["a", None, None, None, None, None, None, "Nancy"],
            {"missing_id": [1, 2, 3, 4, 5, 6]},
            {},
        )
        assert ids(["1", "2"]) == (["1", "2"], {}, {})
        assert ids([None, None], dtype=pl.Null) == ([None, None], {"missing_id": [0, 1]}, {})

    def test_floats_that_were_integers(self):
        nan = float("nan")
        assert ids([1.0, None, nan, 2.5, float("inf"), 1e17]) == (
            [1, None, None, None, None, None],
            {"missing_id": [1, 2], "bad_id": [3, 4, 5]},
            {"float_ids": [0]},
        )

    def test_beyond_64_bits(self):
        assert ids([1, 2**63], dtype=pl.UInt64) == (["1", str(2**63)], {}, {"large_ids": [1]})
        assert ids(["1", str(2**63)], untyped=True) == (["1", str(2**63)], {}, {})

    def test_texts_of_a_file_without_types(self):
        assert ids(["1", "-2", None], True) == ([1, -2, None], {"missing_id": [2]}, {})
        assert ids(["1", "2.0", "nan"], True) == ([1, 2, None], {"missing_id": [2]}, {"float_ids": [1]})
        assert ids(["1", "02"], True) == (["1", "02"], {}, {})
        assert ids(["1"] * 19 + ["x9"], True) == (["1"] * 19 + ["x9"], {}, {"mixed_types": [19]})
        assert ids(["a"] * 19 + ["7"], True) == (["a"] * 19 + ["7"], {}, {"mixed_types": [19]})
        assert ids(["a", "7"], True) == (["a", "7"], {}, {})
        assert ids([None], True, dtype=pl.String) == ([None], {"missing_id": [0]}, {})

    def test_bytes_are_texts(self):
        assert ids([b"ab", None]) == (["ab", None], {"missing_id": [1]}, {})

    @pytest.mark.parametrize("values", [[True], [[1]], [dt.date(2020, 1, 1)], [{"a": 1}]])
    def test_what_can_be_no_id(self, values):
        with pytest.raises(Refusal, match=r"column 'user_id': got the type .*, expected integers or strings"):
            ids(values)


def numbers(values, name="rating", dtype=None):
    return told(clean_numbers(pl.Series(name, values, dtype=dtype)))


class TestNumbers:
    def test_ratings(self):
        nan, inf = float("nan"), float("inf")
        assert numbers([1.5, None, nan, inf, -inf, -2.0]) == (
            [1.5, None, None, None, None, -2.0],
            {"not_finite": [2, 3, 4]},
            {},
        )
        assert numbers(["1.5", "", None, "NA", "null", "nan", "-inf", "good", " 2 ", "1e1"]) == (
            [1.5, None, None, None, None, None, None, None, 2.0, 10.0],
            {"not_a_number": [7], "not_finite": [5, 6]},
            {},
        )
        assert numbers([True, None]) == ([1.0, None], {}, {"truth_values": [0]})

    def test_weights(self):
        assert numbers([1.0, None, -1.0, float("nan")], "weight") == (
            [1.0, None, -1.0, None],
            {"not_finite": [3], "missing_weight": [1], "negative_weight": [2]},
            {},
        )

    def test_decimal_commas(self):
        assert numbers(["3,5", "4", "2,25"]) == ([3.5, 4.0, 2.25], {}, {"decimal_comma": [0, 2]})
        assert numbers(["3,5", "4.5"]) == ([None, 4.5], {"not_a_number": [0]}, {})
        assert numbers(["1,000", "2"]) == ([None, 2.0], {"not_a_number": [0]}, {})

    @pytest.mark.parametrize("values", [[[1]], [dt.date(2020, 1, 1)]])
    def test_what_can_be_no_number(self, values):
        with pytest.raises(Refusal, match="expected numbers"):
            numbers(values)

    def test_events(self):
        assert clean_events(pl.Series([1.5, None])).values.to_list() == ["1.5", None]
        with pytest.raises(Refusal, match="the kind of the event"):
            clean_events(pl.Series([["a"]]))


def test_every_type_as_text():
    series = [pl.Series([1]), pl.Series(["a"]), pl.Series([b"\xff"]), pl.Series([{"a": 1}]), pl.Series([[1, None]])]
    assert [text_of(one)[0] for one in series] == ["1", "a", r"\xff", "{'a': 1}", "[1, None]"]
    assert text_of(pl.Series([object()], dtype=pl.Object)).dtype == pl.String


class TestDuplicates:
    def test_events_are_told_apart_by_their_kind(self):
        log = pl.DataFrame(
            {"user_id": [1, 1, 1], "item_id": [2, 2, 2], "timestamp": [3, 3, 3], "event": ["a", "b", "a"]}
        )
        exact, conflicting = duplicate_rows(log)
        assert (exact.to_list(), conflicting.to_list()) == ([False, False, True], [False] * 3)

    def test_the_last_word_holds(self):
        log = pl.DataFrame(
            {"user_id": [1] * 4, "item_id": [2] * 4, "timestamp": [3] * 4, "rating": [4.0, 5.0, None, 4.0]}
        )
        exact, conflicting = duplicate_rows(log)
        assert (exact.to_list(), conflicting.to_list()) == ([True, False, False, False], [False, True, True, False])

    def test_nulls_are_alike(self):
        log = pl.DataFrame({"user_id": ["a"] * 2, "item_id": [2] * 2, "timestamp": [3] * 2, "rating": [None] * 2})
        assert [rows.to_list() for rows in duplicate_rows(log)] == [[False, True], [False, False]]

    @given(st.lists(st.tuples(*[st.integers(0, 1)] * 3, st.sampled_from([1.0, 2.0, None])), min_size=1, max_size=20))
    def test_by_hand(self, events):
        log = pl.DataFrame(events, schema=["user_id", "item_id", "timestamp", "rating"], orient="row")
        exact, conflicting = (rows.to_list() for rows in duplicate_rows(log))
        for key in {event[:3] for event in events}:
            rows = [row for row, event in enumerate(events) if event[:3] == key]
            ratings = [events[row][3] for row in rows]
            stays = rows[0] if len(set(ratings)) == 1 else rows[-1]
            for row in rows:
                same = events[row][3] == events[stays][3]
                assert exact[row] == (row != stays and same)
                assert conflicting[row] == (row != stays and not same)
