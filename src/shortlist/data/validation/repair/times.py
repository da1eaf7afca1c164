"""Times of any kind as Unix seconds, row by row: what can be read is converted, what cannot is marked."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.data.columns import FIRST_SECOND, LAST_SECOND
from shortlist.data.validation.repair.text_dates import seconds_of_text
from shortlist.data.validation.repair.values import (
    NULL_WORDS,
    Cleaned,
    Conversion,
    Problem,
    is_text,
    is_word,
    text_of,
    wrong_type,
)

YEAR = 366 * 86_400
ORDER, SECONDS = 0, 1
UNITS = ("an order", "seconds", "milliseconds", "microseconds", "nanoseconds")
DIVISORS = np.array([1, 1, 10**3, 10**6, 10**9])
EDGES = np.array([FIRST_SECOND, LAST_SECOND, LAST_SECOND * 10**3, LAST_SECOND * 10**6])
"""A number below the first is an order, below the second seconds, and so on through `UNITS`."""
ORDER_JUMP = 1_000
"""An order does not reach this many times its median."""
FIRST_DAY, LAST_DAY = 19_000_101, 21_001_231
"""Integers between these may be dates such as 20240131."""

Mask = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class _Times:
    """A column taken apart: each row is missing, a number, a moment (a date in whatever form), or none of these.

    Attributes:
        missing: bool (n,).
        numbers: int64 or float64 (n,), where ``is_number``.
        moments: int64 (n,), Unix seconds where ``is_moment``.
        written: the moments are texts (or numbers such as 20240131).
    """

    missing: Mask
    numbers: NDArray[np.int64] | NDArray[np.float64]
    is_number: Mask
    moments: Ints
    is_moment: Mask
    written: bool


def clean_times(series: pl.Series, now: float) -> Cleaned:
    """Times as Int64 Unix seconds, or an order, null where a problem says why.

    The unit of the log is the one that most times have, by their size. A time of another unit is converted where
    that brings it to within a year of the others; otherwise it is absurd. So is one before March 1973, or more than a
    year after ``now``, where most are not.

    Args:
        now: Unix seconds.

    Raises:
        Refusal: the type can be no time.
    """
    times = _compact_dates(_taken_apart(series))
    values = np.where(times.is_moment, times.moments, np.floor(times.numbers))
    known = (times.is_number & np.isfinite(times.numbers)) | times.is_moment
    negative = known & np.where(times.is_number, times.numbers < 0, times.moments < 0)
    beyond = known & ~negative & (values >= 2.0**63)
    usable = known & ~negative & ~beyond
    whole = np.where(usable, values, 0).astype(np.int64)
    whole[times.is_number & usable] = np.floor(times.numbers[times.is_number & usable]).astype(np.int64)
    unit = np.where(times.is_moment & (whole >= FIRST_SECOND), SECONDS, np.digitize(whole, EDGES))
    most = int(np.bincount(unit[usable], minlength=len(UNITS)).argmax())
    judge = _as_order if most == ORDER else _as_seconds
    seconds, absurd, expected, conversions = judge(times, whole, usable, unit, most, now)
    absurd |= beyond
    expected_time = "a time: Unix seconds, a datetime, a date as text such as 2024-01-31T18:30:00, or an order"
    problems = (
        _problem("missing_time", times.missing, f"{expected_time}, in every row"),
        _problem("unreadable_time", ~times.missing & ~known, expected_time),
        _problem("negative_time", negative, "a time from 1970 on"),
        _problem("absurd_time", absurd, expected),
    )
    made = pl.select(pl.when(pl.Series(usable & ~absurd)).then(pl.Series(seconds)).alias(series.name)).to_series()
    if times.written:
        conversions.append(
            Conversion(
                "dates_as_text",
                pl.Series(times.is_moment),
                "held dates; they became seconds (UTC where no zone stands)",
            )
        )
    return Cleaned(made, problems, tuple(conversions))


def _problem(check: str, rows: Mask, expected: str) -> Problem:
    return Problem(check, pl.Series(rows), expected)


def _taken_apart(series: pl.Series) -> _Times:
    kind, n = series.dtype, len(series)
    nothing = pl.Series([None], dtype=pl.Int64).new_from_index(0, n)
    missing, numbers, moments, written = series.is_null(), nothing, nothing, False
    if kind == pl.Date or isinstance(kind, pl.Datetime):
        moments = (series.cast(pl.Datetime("us")) if kind == pl.Date else series).dt.epoch("s")
    elif kind.is_numeric():
        numbers = _numbers(series)
    elif is_text(series):
        text = text_of(series)
        missing = is_word(text, NULL_WORDS)
        numbers = _numbers(text)
        rest = pl.select(pl.when(numbers.is_null() & ~missing).then(text)).to_series()
        if rest.null_count() < n:
            moments, written = seconds_of_text(rest), True
    else:
        raise wrong_type(series, "times: Unix seconds, datetimes, dates as text, or an order")
    return _Times(
        missing.to_numpy(),
        numbers.fill_null(0).to_numpy(),
        numbers.is_not_null().to_numpy(),
        moments.fill_null(0).to_numpy(),
        moments.is_not_null().to_numpy(),
        written and moments.null_count() < n,
    )


def _numbers(series: pl.Series) -> pl.Series:
    """Int64 where every number is one, else Float64; null where there is none."""
    if series.dtype.is_integer() or series.dtype == pl.String:
        whole = series.cast(pl.Int64, strict=False)
        if whole.null_count() == series.null_count():
            return whole
    text = series.str.strip_chars() if series.dtype == pl.String else series
    return text.cast(pl.Float64, strict=False)


def _compact_dates(times: _Times) -> _Times:
    """Numbers such as 20240131 as moments, where most numbers are such dates (by chance one in 27 would be)."""
    between = times.is_number & (times.numbers >= FIRST_DAY) & (times.numbers <= LAST_DAY)
    if not between.any():
        return times
    digits = pl.Series(np.where(between, times.numbers, 0).astype(np.int64)).cast(pl.String)
    dates = digits.str.to_date("%Y%m%d", strict=False)
    is_date = dates.is_not_null().to_numpy() & between
    if 2 * is_date.sum() <= times.is_number.sum():
        return times
    seconds = np.where(is_date, dates.cast(pl.Int64).fill_null(0).to_numpy() * 86_400, times.moments)
    return _Times(
        times.missing, times.numbers, times.is_number & ~is_date, seconds, times.is_moment | is_date, written=True
    )


def _as_order(
    times: _Times, values: Ints, usable: Mask, unit: Ints, most: int, now: float
) -> tuple[Ints, Mask, str, list[Conversion]]:
    """The values as they are; those far above the others are absurd."""
    middle = float(np.median(values[usable])) if usable.any() else 0.0
    absurd = usable & (values >= max(FIRST_SECOND, ORDER_JUMP * middle))
    kept = usable & ~absurd
    fractions = kept & times.is_number & (times.numbers != np.floor(times.numbers))
    if not fractions.any():
        return values, absurd, "an order, below 100,000,000, as in most rows", []
    ranks = np.zeros(len(values), dtype=np.int64)
    ranks[kept] = np.unique(times.numbers[kept], return_inverse=True)[1]
    what = "held fractions that are only an order; they became ranks"
    return ranks, absurd, "an order as in most rows", [Conversion("fractional_order", pl.Series(kept), what)]


def _as_seconds(
    times: _Times, values: Ints, usable: Mask, unit: Ints, most: int, now: float
) -> tuple[Ints, Mask, str, list[Conversion]]:
    """The values divided by what their own unit asks for; those that then lie far from the others are absurd."""
    seconds = values // DIVISORS[unit]
    usual = usable & (unit == most)
    late = usable & (seconds >= LAST_SECOND)
    if (seconds[usual] <= now).mean() >= 0.5:
        late |= usable & (seconds > now + YEAR)
    believed = seconds[usual & ~late]
    first, last = (int(believed.min()), int(believed.max())) if len(believed) else (FIRST_SECOND, int(now))
    other = usable & (unit != most) & (unit != ORDER) & ~times.is_moment
    near = (seconds >= first - YEAR) & (seconds <= last + YEAR)
    absurd = late | (usable & (unit == ORDER)) | (other & ~near)
    conversions = []
    if most > SECONDS:
        what = f"was in {UNITS[most]}; it was converted to seconds"
        conversions.append(Conversion("time_unit", pl.Series(usual & ~absurd), what))
    converted = other & ~absurd
    if converted.any():
        units = " and ".join(UNITS[number] for number in np.unique(unit[converted]))
        what = f"held times in {units} among {UNITS[most]}; all were converted to seconds"
        conversions.append(Conversion("mixed_time_units", pl.Series(converted), what))
    expected = f"{UNITS[most]} between {_said(first)} and {_said(last)}, or not far from that, as in most rows"
    return seconds, absurd, expected, conversions


def _said(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
