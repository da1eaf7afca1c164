"""One column at the door: converted to its standard type, or refused with its row and value."""

from typing import Any

import polars as pl

from shortlist.errors import DataError

Frame = Any  # polars, pandas, Arrow, or a mapping of columns


def to_polars(frame: Frame, origin: str) -> pl.DataFrame:
    """A polars frame of anything tabular: polars (lazy too), pandas, Arrow, a mapping of columns.

    Raises:
        DataError: it is none of these, or a column mixes types.
    """
    if isinstance(frame, pl.LazyFrame):
        return frame.collect()
    if isinstance(frame, pl.DataFrame):
        return frame
    try:
        if type(frame).__module__.partition(".")[0] == "pandas":
            return _from_pandas(frame, origin)
        if isinstance(frame, dict) or hasattr(frame, "__arrow_c_stream__"):
            return pl.DataFrame(frame)
    except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{origin}: not readable as a table of one type per column: {error}") from error
    raise DataError(f"{origin}: expected a polars, pandas or Arrow table, got {type(frame).__name__}")


def _from_pandas(frame: Frame, origin: str) -> pl.DataFrame:
    for column in frame.columns:
        if frame[column].dtype != object:
            continue
        kinds = frame[column].dropna().map(type)
        if len(kinds) and kinds.nunique() > 1:
            odd = int((kinds != kinds.iloc[0]).to_numpy().argmax())
            values = frame[column].dropna()
            raise DataError(
                f"{origin}, row {odd}, column {column!r}: {values.iloc[odd]!r} is of another type than "
                f"{values.iloc[0]!r} in the first row; a column holds one type"
            )
    return pl.from_pandas(frame)


def refuse(origin: str, column: str, series: pl.Series, bad: pl.Series, expected: str) -> None:
    """Raise for the first bad row, if any; the message counts them all.

    Args:
        bad: boolean, one per row of ``series``.
        expected: what the column should hold, as the end of the sentence "expected …".

    >>> refuse("log.csv", "user_id", pl.Series([1, None]), pl.Series([False, True]), "an id in every row")
    Traceback (most recent call last):
      ...
    shortlist.errors.DataError: log.csv, row 1, column 'user_id': got None, expected an id in every row (1 of 2 rows)
    """
    if bad.any():
        row = int(bad.arg_true()[0])
        raise DataError(
            f"{origin}, row {row}, column {column!r}: got {series[row]!r}, expected {expected} "
            f"({bad.sum():,} of {len(series):,} rows)"
        )


def as_ids(series: pl.Series, origin: str, column: str) -> pl.Series:
    """Int64 or String without nulls."""
    kind = series.dtype
    refuse(origin, column, series, series.is_null(), "an id in every row")
    if kind.is_integer():
        if kind == pl.UInt64 and len(series):
            refuse(origin, column, series, series > 2**63 - 1, "integers below 2**63")
        return series.cast(pl.Int64)
    if kind in (pl.String, pl.Categorical) or isinstance(kind, pl.Enum):
        return series.cast(pl.String)
    row = series[0] if len(series) else None
    raise DataError(f"{origin}, row 0, column {column!r}: got {row!r} ({kind}), expected integers or strings as ids")


def as_numbers(series: pl.Series, origin: str, column: str, *, nulls: bool, least: float = -float("inf")) -> pl.Series:
    """Float64, finite; nulls stay where they are allowed."""
    expected = "a finite number" if least == -float("inf") else f"a finite number of at least {least:g}"
    if not nulls:
        refuse(origin, column, series, series.is_null(), f"{expected} in every row")
    if not (series.dtype.is_numeric() or series.dtype in (pl.String, pl.Null)):
        raise DataError(f"{origin}, column {column!r}: got type {series.dtype}, expected {expected}")
    numbers = series.cast(pl.Float64, strict=False)
    refuse(origin, column, series, numbers.is_null() & series.is_not_null(), expected)
    refuse(origin, column, series, (~numbers.is_finite() | (numbers < least)).fill_null(False), expected)
    return numbers


def as_timestamps(series: pl.Series, origin: str, column: str) -> tuple[pl.Series, str | None]:
    """Int64 Unix seconds (or an order) and a notice where a conversion was not plain.

    Datetimes (naive ones are taken for UTC), dates and ISO texts are converted. Milliseconds, microseconds and
    nanoseconds are recognised by their size: as seconds they would lie beyond the year 5000.
    """
    expected = "a time in every row: Unix seconds, a datetime or an order"
    refuse(origin, column, series, series.is_null(), expected)
    if series.dtype == pl.String:
        parsed = series.str.to_datetime(strict=False, time_zone="UTC")
        numbers = series.cast(pl.Int64, strict=False)
        if numbers.null_count() == 0:
            return _as_seconds(numbers, origin, column)
        refuse(origin, column, series, parsed.is_null(), expected)
        return parsed.dt.epoch("s"), f"{origin}: column {column!r} held dates as text; they were read as UTC"
    if series.dtype == pl.Date or isinstance(series.dtype, pl.Datetime):
        seconds = series.cast(pl.Datetime("us")) if series.dtype == pl.Date else series
        return seconds.dt.epoch("s"), None
    if series.dtype.is_float():
        refuse(origin, column, series, ~series.is_finite(), expected)
        return _as_seconds(series.floor().cast(pl.Int64), origin, column)
    if series.dtype.is_integer():
        return _as_seconds(series.cast(pl.Int64), origin, column)
    raise DataError(f"{origin}, row 0, column {column!r}: got {series[0]!r} ({series.dtype}), expected {expected}")


def _as_seconds(numbers: pl.Series, origin: str, column: str) -> tuple[pl.Series, str | None]:
    refuse(origin, column, numbers, numbers < 0, "a time that is not negative")
    middle = numbers.median()
    assert isinstance(middle, float)
    for unit, divisor in (("nanoseconds", 10**9), ("microseconds", 10**6), ("milliseconds", 10**3)):
        if middle > 10**8 * divisor:
            return numbers // divisor, f"{origin}: column {column!r} was in {unit}; it was converted to seconds"
    return numbers, None
