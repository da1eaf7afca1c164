"""One column at the door: converted to its standard type, or refused with its row and value."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from shortlist.data.csv_files import LENIENT, MOMENT, CsvFile
from shortlist.errors import DataError, require

Frame = Any  # polars, pandas, Arrow, or a mapping of columns

STANDARD = ("user_id", "item_id", "timestamp", "rating", "weight", "event")
OTHER_NAMES = {
    "user_id": ("uid", "customer", "client", "member", "visitor", "account", "reviewer", "buyer", "person", "profile"),
    "item_id": (
        *("iid", "movie", "film", "product", "sku", "asin", "article", "book", "isbn", "song", "track", "artist"),
        *("game", "business", "video", "content", "offer"),
    ),
    "timestamp": ("ts", "time", "unixtime", "unixreviewtime", "datetime", "date", "createdat", "created", "eventtime"),
    "rating": ("score", "stars", "rate", "overall", "grade"),
}
"""What columns are called elsewhere, without case and punctuation; ``customer`` stands for ``customer_id`` too."""
FIRST_SECOND = 10**8
"""Times below this (March 1973) are not Unix seconds of anybody's log: they are an order."""
LAST_SECOND = 10**11
"""Times from here on (the year 5138) are not Unix seconds, but milliseconds or finer."""


def to_polars(frame: Frame, origin: str) -> pl.DataFrame:
    """A polars frame of anything tabular: polars (lazy too), pandas, Arrow, a mapping of columns.

    Raises:
        DataError: it is none of these, or a column mixes types.
        MissingExtraError: it is a pandas frame, and the extra ``pandas`` is not installed.

    >>> to_polars({"user_id": [1, "b"]}, "log")
    Traceback (most recent call last):
      ...
    shortlist.errors.DataError: log, row 1, column 'user_id': got 'b', expected an int as in row 0 (1); a column holds
    one type
    """
    if isinstance(frame, pl.DataFrame):
        return frame
    from_pandas = type(frame).__module__.partition(".")[0] == "pandas" and hasattr(frame, "columns")
    if from_pandas:
        require("pyarrow", "pandas", "Reading a pandas table")
    try:
        if isinstance(frame, pl.LazyFrame):
            return frame.collect()
        if from_pandas:
            return pl.from_pandas(frame)
        if isinstance(frame, Mapping):
            return pl.DataFrame({name: _plain(values) for name, values in frame.items()})
        if hasattr(frame, "__arrow_c_stream__"):
            return pl.DataFrame(frame)
    except (TypeError, ValueError, NotImplementedError, OverflowError, pl.exceptions.PolarsError) as error:
        _refuse_mixed(frame, origin)
        raise DataError(f"{origin}: not readable as a table of one type per column: {_first_line(error)}") from error
    raise DataError(f"{origin}: expected a polars, pandas or Arrow table, got {type(frame).__name__}")


def _plain(values: Any) -> Any:
    """Arrays of objects as lists, so that their types are looked at; integers among floats as floats."""
    values = values.tolist() if isinstance(values, np.ndarray) and values.dtype == object else values
    if isinstance(values, list) and {type(value) for value in values} - {type(None)} == {int, float}:
        return pl.Series(values, dtype=pl.Float64, strict=False)
    return values


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _refuse_mixed(frame: Frame, origin: str) -> None:
    """Name the first value of another type than the first in its column, if there is one."""
    for column in frame if isinstance(frame, Mapping) or hasattr(frame, "iloc") else ():
        values = frame[column]
        if isinstance(values, str) or not isinstance(values, Iterable) or getattr(values, "ndim", 1) != 1:
            continue
        known = values.notna().to_list() if hasattr(values, "notna") else [value is not None for value in values]
        first: tuple[int, Any] | None = None
        for row, (value, is_known) in enumerate(zip(values, known, strict=True)):
            if is_known and first is None:
                first = (row, value)
            elif is_known and first is not None and _family(value) != _family(first[1]):
                raise DataError(
                    f"{origin}, row {row}, column {column!r}: got {value!r}, expected {_article(_family(first[1]))} "
                    f"as in row {first[0]} ({first[1]!r}); a column holds one type"
                )


def is_null(value: Any) -> bool:
    """``None``, NaN, and what pandas takes for missing: NA and NaT.

    >>> is_null(None), is_null(float("nan")), is_null("nan")
    (True, True, False)
    """
    is_nan = isinstance(value, float) and value != value
    return value is None or is_nan or type(value).__name__ in ("NAType", "NaTType")


def _family(value: Any) -> str:
    plain = value.item() if isinstance(value, np.generic) else value
    return "int" if type(plain) is float else type(plain).__name__


def _article(word: str) -> str:
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def rename_columns(tables: Mapping[str, pl.DataFrame | None], columns: Mapping[str, str]) -> dict[str, Any]:
    """Tables with the standard names in place of the caller's.

    A column of a table that had the standard name already gives way to the one named. Where ``theirs`` exists
    nowhere, ``{theirs: standard}`` is understood too.

    Args:
        tables: ``interactions``, ``items`` and ``users``. In ``items`` and ``users`` only the id and attributes
            are renamed: a film's ``date`` is not the time of an event.
        columns: standard name -> the caller's.

    Raises:
        DataError: a column exists in no table that it could be in, or the direction is not clear.
    """
    mapping = dict(_direction(tables, *entry) for entry in columns.items())
    if len(mapping) < len(columns):
        raise DataError(f"columns: expected each standard name once, got {dict(columns)!r}")
    return {kind: frame if frame is None else _rename(frame, kind, mapping) for kind, frame in tables.items()}


def _applies(kind: str, standard: str) -> bool:
    return kind == "interactions" or standard == f"{kind[:-1]}_id" or standard not in STANDARD


def _direction(tables: Mapping[str, pl.DataFrame | None], key: str, value: str) -> tuple[str, str]:
    """``(standard, theirs)`` of an entry of ``columns``, whichever way round it was given."""

    def exists(standard: str, theirs: str) -> bool:
        return any(
            frame is not None and theirs in frame.columns and _applies(kind, standard) for kind, frame in tables.items()
        )

    straight = exists(key, value)
    reversed_ = key not in STANDARD and value in STANDARD and exists(value, key)
    if straight and reversed_:
        raise DataError(
            f"columns: {key!r} and {value!r} are both columns; write {{{value!r}: {key!r}}} and rename the present "
            f"{value!r} first"
        )
    if straight or reversed_:
        return (value, key) if reversed_ else (key, value)
    wanted = key if value in STANDARD and key not in STANDARD else value
    have = [name for frame in tables.values() if frame is not None for name in frame.columns]
    raise DataError(f"columns: expected {wanted!r} to be a column, found none of that name; {suggest(wanted, have)}")


def suggest(wanted: str, have: Sequence[str]) -> str:
    """What to write instead of a column name, as half a sentence.

    >>> suggest("user_id", ["userId", "film"]), suggest("item_id", ["userId", "movieId"])
    ("did you mean 'userId'?", "did you mean 'movieId'?")
    """
    likely = likely_column(wanted, have)
    folded = {_folded(name): name for name in have}
    close = difflib.get_close_matches(_folded(wanted), folded, n=1)
    if likely or close:
        return f"did you mean {likely or folded[close[0]]!r}?"
    return f"the columns are {', '.join(map(repr, have[:20])) or 'none'}{' and more' if len(have) > 20 else ''}"


def likely_column(standard: str, have: Sequence[str]) -> str | None:
    """The column that is commonly called otherwise, if there is one.

    >>> likely_column("timestamp", ["customer", "created_at"])
    'created_at'
    """
    words = (standard.removesuffix("_id"), *OTHER_NAMES.get(standard, ()))
    forms = [word + ending for word in words for ending in ("", "id", "s", "no", "number", "code", "key")]
    folded = {_folded(name): name for name in reversed(have)}
    return next((folded[form] for form in forms if form in folded), None)


def _folded(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _rename(frame: pl.DataFrame, kind: str, mapping: Mapping[str, str]) -> pl.DataFrame:
    wanted = {standard: theirs for standard, theirs in mapping.items() if theirs in frame.columns}
    wanted = {standard: theirs for standard, theirs in wanted.items() if _applies(kind, standard)}
    doubled = [theirs for theirs in wanted.values() if list(wanted.values()).count(theirs) > 1]
    if doubled:
        raise DataError(f"columns: {doubled[0]!r} of the {kind} is asked for twice: {dict(mapping)!r}")
    given_way = [name for name in wanted if name in frame.columns and name not in wanted.values()]
    return frame.drop(given_way).rename({theirs: standard for standard, theirs in wanted.items()})


def place(origin: str, row: int) -> str:
    """Where a row is: counted from 0 and, in a CSV file, its line counted from 1."""
    line = f" (line {origin.line(row)})" if isinstance(origin, CsvFile) else ""
    return f"{origin}, row {row}{line}"


def refuse(origin: str, column: str, series: pl.Series, bad: pl.Series, expected: str) -> None:
    """Raise for the first bad row, if any; the message counts them all.

    Args:
        bad: boolean, one per row of ``series``.
        expected: what the column should hold, as the end of the sentence "expected …".

    >>> refuse("log.csv", "user_id", pl.Series([1, None]), pl.Series([False, True]), "an id in every row")
    Traceback (most recent call last):
      ...
    shortlist.errors.DataError: log.csv, row 1, column 'user_id': got None, expected an id in every row (1 of 2 rows);
    shortlist.validate sets such rows aside
    """
    if bad.any():
        row = int(bad.arg_true()[0])
        raise DataError(
            f"{place(origin, row)}, column {column!r}: got {series[row]!r}, expected {expected} "
            f"({bad.sum():,} of {len(series):,} rows){LENIENT}"
        )


def _refuse_type(origin: str, column: str, series: pl.Series, expected: str) -> DataError:
    first = f"{series[0]!r} ({series.dtype})" if len(series) else f"type {series.dtype}"
    where = place(origin, 0) if len(series) else origin
    return DataError(f"{where}, column {column!r}: got {first}, expected {expected}")


def _is_text(kind: pl.DataType) -> bool:
    return kind in (pl.String, pl.Categorical) or isinstance(kind, pl.Enum)


def as_ids(series: pl.Series, origin: str, column: str) -> pl.Series:
    """Int64 or String without nulls; an empty text is no id either."""
    kind = series.dtype
    refuse(origin, column, series, series.is_null(), "an id in every row")
    if kind.is_integer():
        ids = series.cast(pl.Int64, strict=False)
        refuse(origin, column, series, ids.is_null(), "integers below 2**63 as ids")
        return ids
    if _is_text(kind):
        ids = series.cast(pl.String)
        refuse(origin, column, ids, ids == "", "an id in every row")
        return ids
    hint = "; integers become floats where some are missing: convert them back" if kind.is_float() else ""
    raise _refuse_type(origin, column, series, f"integers or strings as ids{hint}")


def as_numbers(series: pl.Series, origin: str, column: str, *, nulls: bool, least: float = -float("inf")) -> pl.Series:
    """Float64, finite; nulls stay where they are allowed."""
    expected = "a finite number" if least == -float("inf") else f"a finite number of at least {least:g}"
    expected += " or null" if nulls else ""
    if not nulls:
        refuse(origin, column, series, series.is_null(), f"{expected} in every row")
    if not (series.dtype.is_numeric() or series.dtype in (pl.String, pl.Null)):
        raise _refuse_type(origin, column, series, expected)
    numbers = series.cast(pl.Float64, strict=False)
    refuse(origin, column, series, numbers.is_null() & series.is_not_null(), expected)
    refuse(origin, column, series, (~numbers.is_finite() | (numbers < least)).fill_null(False), expected)
    return numbers


def as_events(series: pl.Series, origin: str, column: str) -> pl.Series:
    """String; nulls stay."""
    if not (_is_text(series.dtype) or series.dtype.is_integer() or series.dtype in (pl.Boolean, pl.Null)):
        raise _refuse_type(origin, column, series, "the kind of the event as text")
    return series.cast(pl.String)


def as_timestamps(series: pl.Series, origin: str, column: str) -> tuple[pl.Series, str | None]:
    """Int64 Unix seconds (or an order) and a notice where a conversion was not plain.

    Datetimes (naive ones are taken for UTC), dates and ISO 8601 texts are converted. Milliseconds, microseconds and
    nanoseconds are recognised by their size: as seconds they would lie beyond the year 5138. Fractions of a second
    are cut off; fractional times that are only an order become their ranks.
    """
    expected = (
        "a time in every row: Unix seconds, a datetime, an ISO 8601 text such as '2024-01-31T18:30:00' or an order"
    )
    refuse(origin, column, series, series.is_null(), expected)
    kind = series.dtype
    if _is_text(kind):
        text = series.cast(pl.String)
        if len(text) and text.head(1).cast(pl.Float64, strict=False).null_count():
            return _from_text(text, origin, column, expected)
        numbers = text.cast(pl.Int64, strict=False)
        numbers = text.cast(pl.Float64, strict=False) if numbers.null_count() else numbers
        refuse(origin, column, text, numbers.is_null(), expected)
        return _as_seconds(numbers, series, origin, column)
    if kind == pl.Date or isinstance(kind, pl.Datetime):
        seconds = (series.cast(pl.Datetime("us")) if kind == pl.Date else series).dt.epoch("s")
        refuse(origin, column, series, seconds < 0, "a time from 1970 on")
        return seconds, None
    if kind.is_float() or kind.is_integer() or kind.is_decimal():
        return _as_seconds(series, series, origin, column)
    raise _refuse_type(origin, column, series, expected)


def _from_text(text: pl.Series, origin: str, column: str, expected: str) -> tuple[pl.Series, str]:
    refuse(origin, column, text, ~text.str.contains(MOMENT), expected)
    parsed = text.str.to_datetime(strict=False, time_zone="UTC")
    refuse(origin, column, text, parsed.is_null(), f"{expected}, written alike in every row")
    refuse(origin, column, text, parsed.dt.epoch("s") < 0, "a time from 1970 on")
    return parsed.dt.epoch("s"), f"{origin}: column {column!r} held dates as text; they were read as UTC"


def _as_seconds(numbers: pl.Series, shown: pl.Series, origin: str, column: str) -> tuple[pl.Series, str | None]:
    """Numbers as Int64 seconds or an order; ``shown`` is what the caller had."""
    if not numbers.dtype.is_integer():
        numbers = numbers.cast(pl.Float64)
        refuse(origin, column, shown, ~numbers.is_finite(), "a time that is a finite number")
        if bool((numbers != numbers.floor()).any()) and float(numbers.max()) < FIRST_SECOND:  # type: ignore[arg-type]
            refuse(origin, column, shown, numbers < 0, "a time that is not negative")
            ranks = (numbers.rank("dense") - 1).cast(pl.Int64)
            return ranks, f"{origin}: column {column!r} held fractions that are only an order; they became ranks"
        numbers = numbers.floor()
    whole = numbers.cast(pl.Int64, strict=False)
    refuse(origin, column, shown, whole.is_null(), "a time below 2**63")
    refuse(origin, column, shown, whole < 0, "a time that is not negative")
    middle = whole.median()
    assert isinstance(middle, float)
    unit, divisor = "seconds", 1
    for unit_name, parts in (("milliseconds", 10**3), ("microseconds", 10**6), ("nanoseconds", 10**9)):
        if middle > FIRST_SECOND * parts:
            unit, divisor = unit_name, parts
    seconds = whole // divisor
    refuse(origin, column, shown, seconds >= LAST_SECOND, f"{unit} before the year 5138 as in most rows")
    return seconds, _time_notice(seconds, origin, column, unit)


def _time_notice(seconds: pl.Series, origin: str, column: str, unit: str) -> str | None:
    notices = [] if unit == "seconds" else [f"{origin}: column {column!r} was in {unit}; it was converted to seconds"]
    early = seconds < FIRST_SECOND
    if early.any() and not early.all():
        row = int(early.arg_true()[0])
        notices.append(
            f"{place(origin, row)}, column {column!r}: {early.sum():,} of {len(seconds):,} times lie before March 1973 "
            "and the others do not: are they missing, or in another unit?"
        )
    return "; ".join(notices) or None
