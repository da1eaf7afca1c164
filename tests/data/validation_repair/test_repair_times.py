"""Times of every kind as Unix seconds, and the rows that have none."""

import datetime as dt

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist.data.validation.findings import Refusal
from shortlist.data.validation.repair.text_dates import seconds_of_text
from shortlist.data.validation.repair.times import YEAR, clean_times

NOW = 1_700_000_000.0
T = 900_000_300  # 1998-07-09 16:05:00


def cleaned(values, dtype=None, now=NOW):
    made = clean_times(pl.Series("timestamp", values, dtype=dtype, strict=False), now)
    problems = {problem.check: problem.rows.arg_true().to_list() for problem in made.problems if problem.rows.any()}
    conversions = {one.check: one.rows.arg_true().to_list() for one in made.conversions}
    return made.values.to_list(), problems, conversions


class TestUnits:
    @pytest.mark.parametrize("factor", [1, 10**3, 10**6, 10**9])
    @pytest.mark.parametrize("form", [int, float, str])
    def test_all_alike(self, factor, form):
        values = [form((T + s) * factor) for s in range(4)]
        seconds, problems, conversions = cleaned(values)
        assert seconds == [T, T + 1, T + 2, T + 3]
        assert problems == {}
        assert conversions == ({} if factor == 1 else {"time_unit": [0, 1, 2, 3]})

    @pytest.mark.parametrize("factor", [10**3, 10**6, 10**9])
    def test_a_few_in_another_unit(self, factor):
        seconds, problems, conversions = cleaned([T, T + 1, T + 2, (T + 86_400) * factor])
        assert seconds == [T, T + 1, T + 2, T + 86_400]
        assert (problems, conversions) == ({}, {"mixed_time_units": [3]})

    def test_seconds_among_milliseconds(self):
        seconds, problems, conversions = cleaned([T * 1000, T * 1000 + 5_000, T, T * 10**6])
        assert seconds == [T, T + 5, T, T]
        assert (problems, conversions) == ({}, {"time_unit": [0, 1], "mixed_time_units": [2, 3]})

    def test_what_lands_far_from_the_others_is_absurd(self):
        near, far = (T + YEAR) * 1000, (T + 2 * YEAR) * 1000
        seconds, problems, _ = cleaned([T, T, T, near, far, 10**15, 10**18])
        assert seconds == [T, T, T, T + YEAR, None, None, None]
        assert problems == {"absurd_time": [4, 5, 6]}

    @pytest.mark.parametrize("odd", [0, 1, 99_999_999, 2**63, 1e300, int(NOW) + 2 * YEAR, 99_999_999_999])
    def test_absurd(self, odd):
        seconds, problems, conversions = cleaned([T, T, odd, T], pl.Float64 if odd >= 2**63 else None)
        assert seconds == [T, T, None, T]
        assert (problems, conversions) == ({"absurd_time": [2]}, {})

    def test_a_log_in_the_future_is_not_absurd(self):
        late = int(NOW) + 10 * YEAR
        assert cleaned([late, late + 1, late + 2]) == ([late, late + 1, late + 2], {}, {})
        assert cleaned([T, late, late, late])[1] == {}


class TestOrders:
    def test_stays_as_it_is(self):
        assert cleaned([2, 0, 1]) == ([2, 0, 1], {}, {})
        assert cleaned(["2", "0", " 1 "]) == ([2, 0, 1], {}, {})

    def test_moments_in_an_order_are_absurd(self):
        assert cleaned([2, 0, 1, T]) == ([2, 0, 1, None], {"absurd_time": [3]}, {})

    def test_a_long_order(self):
        values = [50_000_000, 99_999_999, 150_000_000]
        assert cleaned(values)[0][:2] == [50_000_000, 99_999_999]
        assert cleaned(values)[1] == {}

    def test_fractions_become_ranks(self):
        assert cleaned([0.75, -1.0, 0.25, 0.5, 0.5]) == (
            [2, None, 0, 1, 1],
            {"negative_time": [1]},
            {"fractional_order": [0, 2, 3, 4]},
        )


class TestDates:
    def test_types(self):
        moments = [dt.datetime(1998, 7, 9, 16, 5), None, dt.datetime(1969, 1, 1), dt.datetime(1998, 7, 10)]
        assert cleaned(moments)[:2] == ([T, None, None, 900_028_800], {"missing_time": [1], "negative_time": [2]})
        assert cleaned([dt.date(1998, 7, 9)] * 2) == ([899_942_400] * 2, {}, {})
        zoned = pl.Series([dt.datetime(1998, 7, 9, 18, 5)]).dt.replace_time_zone("Europe/Berlin")
        assert clean_times(zoned, NOW).values.to_list() == [T]

    def test_texts_numbers_and_nothing_in_one_column(self):
        seconds, problems, conversions = cleaned(
            ["1998-07-09 16:05", "900000301", "soon", "", " NaN ", None, "-5", "inf", "1998-07-09T18:05:02+02:00"]
        )
        assert seconds == [T, T + 1, None, None, None, None, None, None, T + 2]
        assert problems == {"missing_time": [3, 4, 5], "unreadable_time": [2, 7], "negative_time": [6]}
        assert conversions == {"dates_as_text": [0, 8]}

    def test_a_sentinel_is_absurd(self):
        values = [dt.date(1998, 7, 9), dt.date(1970, 1, 1), dt.date(9999, 12, 31), dt.date(1998, 7, 10)]
        assert cleaned(values)[1] == {"absurd_time": [1, 2]}
        assert cleaned([dt.date(9999, 12, 31)])[1] == {"absurd_time": [0]}

    def test_compact(self):
        assert cleaned([19980709, 19980710, 19980230]) == (
            [899_942_400, 900_028_800, None],
            {"absurd_time": [2]},
            {"dates_as_text": [0, 1]},
        )
        assert cleaned([19980709, 19989999, 19980099]) == ([19980709, 19989999, 19980099], {}, {})

    @pytest.mark.parametrize("values", [[True], [dt.timedelta(1)], [dt.time(1)], [[1]]])
    def test_what_can_be_no_time(self, values):
        with pytest.raises(Refusal, match="expected times"):
            cleaned(values)

    @pytest.mark.parametrize("values", [[], [None], [float("nan")], [-1], ["x"]])
    def test_none_at_all(self, values):
        seconds, problems, _ = cleaned(values, None if values and values[0] is not None else pl.Int64)
        assert seconds == [None] * len(values)
        assert len(problems) == len(values)


class TestTexts:
    @pytest.mark.parametrize(
        "text",
        [
            "1998-07-09T16:05:00",
            "1998-07-09 16:05",
            "1998-7-9 16:05:00.999",
            "1998/07/09 16:05",
            "1998.07.09, 4:05 PM",
            "1998-07-09T16:05:00Z",
            "1998-07-09T18:05:00+02:00",
            "1998-07-09 10:35:00-0530",
            "1998-07-09 16:05:00+00",
            "1998-07-09 16:05 UTC",
            "9 Jul 1998 16:05",
            "09-Jul-1998 4:05pm",
            "Jul 9, 1998 16:05",
            "July 9 1998, 16:05",
            "Thu, 09 Jul 1998 16:05:00 GMT",
            "09.07.1998 16:05",
        ],
    )
    def test_one_moment_written_in_many_ways(self, text):
        assert seconds_of_text(pl.Series([text, f"  {text} "])).to_list() == [T, T]

    @pytest.mark.parametrize(
        "text",
        ["", "soon", "1998", "1998-13-01", "1998-02-30", "1998-07-09 25:00", "1998-07-09 12:60", "13:05 PM", "98-7-9",
         "1998-07-09 13:05 PM", "1998-07-09x", "9 Foo 1998", "32.01.1998"],
    )  # fmt: skip
    def test_no_date(self, text):
        assert seconds_of_text(pl.Series([text])).to_list() == [None]

    def test_day_or_month(self):
        day_13 = 900_288_000
        assert seconds_of_text(pl.Series(["07/09/1998", "07/13/1998"])).to_list() == [899_942_400, day_13]
        assert seconds_of_text(pl.Series(["09/07/1998", "13/07/1998"])).to_list() == [899_942_400, day_13]
        assert seconds_of_text(pl.Series(["07/09/1998"])).to_list() == [None]
        assert seconds_of_text(pl.Series(["09/07/1998", "13/07/1998", "07/13/1998"])).to_list() == [None] * 3
        assert seconds_of_text(pl.Series(["09 13, 2009"])).to_list() == [1_252_800_000]

    @given(st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(2100, 1, 1)), st.integers(-14 * 60, 14 * 60))
    def test_what_python_writes(self, moment, minutes):
        zoned = moment.replace(microsecond=0, tzinfo=dt.timezone(dt.timedelta(minutes=minutes)))
        naive = zoned.replace(tzinfo=dt.UTC)
        texts = [zoned.isoformat(), naive.strftime("%d %B %Y %H:%M:%S"), naive.strftime("%b %d, %Y %I:%M:%S %p")]
        expected = [int(zoned.timestamp()), int(naive.timestamp()), int(naive.timestamp())]
        assert seconds_of_text(pl.Series(texts)).to_list() == expected
