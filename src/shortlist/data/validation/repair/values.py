"""Ids and numbers, row by row: what can be read is converted, what cannot is marked with the check that says why."""

from dataclasses import dataclass

import polars as pl

from shortlist.data.validation.findings import Refusal

NULL_WORDS = ("", "nan", "null", "none", "<na>", "nat", "na", "n/a", "#n/a", r"\n")
"""Texts that stand for null, in lower case and without the blanks around them; the last is SQL's ``\\N``."""
NO_NUMBER_WORDS = ("", "null", "none", "<na>", "na", "n/a", "#n/a", r"\n")
"""The same where a number is expected: there NaN is a value, though not a finite one."""
WHOLE = r"^(0|-?[1-9][0-9]*)(\.0+)?$"
DECIMAL_COMMA = r"^\s*[+-]?[0-9]+,[0-9]+\s*$"
THOUSANDS = r"^\s*[+-]?[0-9]{1,3},[0-9]{3}\s*$"
RARE = 0.1
"""Ids of two types are spoken of where the rarer one has less than this share: ISBNs are digits, but some end in X."""
EXACT = 2**53
"""Floats hold integers exactly below this."""


@dataclass(frozen=True)
class Problem:
    """Rows that a check sets aside.

    Attributes:
        rows: bool, one per row of the column.
        expected: the end of the sentence "expected …".
    """

    check: str
    rows: pl.Series
    expected: str


@dataclass(frozen=True)
class Conversion:
    """Values that were read as something else than they are.

    Attributes:
        rows: bool, one per row of the column.
        what: the end of the sentence "column …".
    """

    check: str
    rows: pl.Series
    what: str


@dataclass(frozen=True)
class Cleaned:
    """A column in its standard type, null where a problem says why or where null is allowed."""

    values: pl.Series
    problems: tuple[Problem, ...] = ()
    conversions: tuple[Conversion, ...] = ()


def text_of(series: pl.Series) -> pl.Series:
    """Any column as text.

    >>> text_of(pl.Series([[1, 2], None])).to_list()
    ['[1, 2]', None]
    """
    kind = series.dtype
    if kind == pl.Binary or kind == pl.Object or kind.is_nested():
        values = [None if value is None else value for value in series.to_list()]
        return pl.Series(series.name, [_decoded(value) for value in values], dtype=pl.String)
    return series.cast(pl.String)


def _decoded(value: object) -> str | None:
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="backslashreplace")
    return None if value is None else str(value)


def is_text(series: pl.Series) -> bool:
    kind = series.dtype
    return kind in (pl.String, pl.Categorical, pl.Binary, pl.Object) or isinstance(kind, pl.Enum)


def is_word(text: pl.Series, words: tuple[str, ...]) -> pl.Series:
    """bool: null, or one of these words in any case, with or without blanks around it."""
    short = text.str.len_bytes() <= 12  # most texts are neither short nor worth the work
    return text.is_null() | (short & text.str.strip_chars().str.to_lowercase().is_in(words)).fill_null(True)


def wrong_type(series: pl.Series, expected: str) -> Refusal:
    return Refusal(
        "wrong_type", f"column {series.name!r}: got the type {series.dtype}, expected {expected}", series.name
    )


def clean_ids(series: pl.Series, untyped: bool) -> Cleaned:
    """Ids as Int64 or String.

    Args:
        untyped: the column came as text because its file has no types, so integers become integers.

    Raises:
        Refusal: the type can be no id.
    """
    kind = series.dtype
    if kind == pl.Null:
        return Cleaned(series.cast(pl.Int64), (Problem("missing_id", series.is_null(), "an id in every row"),))
    if kind.is_integer():
        ids = series.cast(pl.Int64, strict=False)
        missing = (Problem("missing_id", series.is_null(), "an id in every row"),)
        large = ids.is_null() & series.is_not_null()
        if large.any():
            what = "held integers beyond 64 bits as ids; all became text"
            return Cleaned(series.cast(pl.String), missing, (Conversion("large_ids", large, what),))
        return Cleaned(ids, missing)
    if kind.is_float() or kind.is_decimal():
        return _ids_from_floats(series.cast(pl.Float64).fill_nan(None))
    if is_text(series):
        return _ids_from_text(text_of(series), untyped)
    raise wrong_type(series, "integers or strings as ids")


def _ids_from_floats(numbers: pl.Series) -> Cleaned:
    whole = ((numbers == numbers.floor()) & (numbers.abs() < EXACT)).fill_null(False)
    problems = (
        Problem("missing_id", numbers.is_null(), "an id in every row"),
        Problem("bad_id", numbers.is_not_null() & ~whole, "an integer or a string as id"),
    )
    ids = pl.select(pl.when(whole).then(numbers).cast(pl.Int64).alias(numbers.name)).to_series()
    what = "held ids as 7.0; they became integers (integers become floats where some are missing)"
    return Cleaned(ids, problems, (Conversion("float_ids", whole, what),))


def _ids_from_text(text: pl.Series, untyped: bool) -> Cleaned:
    missing = is_word(text, NULL_WORDS)
    problems = (Problem("missing_id", missing, "an id in every row"),)
    ids = pl.select(pl.when(~missing).then(text).alias(text.name)).to_series()
    known = ids.drop_nulls()
    if not untyped or not len(known):
        return Cleaned(ids, problems)
    if known.str.contains(WHOLE).all():
        numbers = ids.str.replace(r"\.0+$", "").cast(pl.Int64, strict=False)
        if numbers.null_count() == ids.null_count():
            pointed = ids.str.contains(".", literal=True).fill_null(False)
            return Cleaned(
                numbers, problems, (Conversion("float_ids", pointed, "held ids as 7.0; they became integers"),)
            )
        return Cleaned(ids, problems)  # beyond 64 bits
    digits = ids.str.contains(r"^-?[0-9]+$")
    rarer = digits if digits.sum() * 2 < len(known) else ~digits
    if rarer.sum() >= RARE * len(known):
        return Cleaned(ids, problems)
    what = f"held {'integers among texts' if rarer is digits else 'texts among integers'} as ids; all became text"
    return Cleaned(ids, problems, (Conversion("mixed_types", rarer.fill_null(False), what),))


def clean_numbers(series: pl.Series) -> Cleaned:
    """A rating or a weight as Float64; a missing or negative weight is a problem, a missing rating is none.

    Raises:
        Refusal: the type can be no number.
    """
    conversions: tuple[Conversion, ...] = ()
    kind = series.dtype
    if is_text(series):
        text = text_of(series)
        known = ~is_word(text, NO_NUMBER_WORDS)
        numbers, conversions = _numbers_from_text(text)
    elif kind.is_numeric() or kind in (pl.Null, pl.Boolean):
        known = series.is_not_null()
        numbers = series.cast(pl.Float64)
        if kind == pl.Boolean:
            conversions = (Conversion("truth_values", known, "held true and false; they became 1 and 0"),)
    else:
        raise wrong_type(series, "numbers")
    problems = [
        Problem("not_a_number", known & numbers.is_null(), "a finite number"),
        Problem("not_finite", (~numbers.is_finite()).fill_null(False), "a finite number"),
    ]
    if series.name == "weight":
        problems.append(Problem("missing_weight", ~known, "a number in every row"))
        problems.append(Problem("negative_weight", (numbers < 0).fill_null(False), "a number of at least 0"))
    finite = pl.select(pl.when(numbers.is_finite()).then(numbers).alias(series.name)).to_series()
    return Cleaned(finite, tuple(problems), conversions)


def _numbers_from_text(text: pl.Series) -> tuple[pl.Series, tuple[Conversion, ...]]:
    """Numbers where the text is one; decimal commas only where they cannot be thousands and no text has a point."""
    numbers = text.cast(pl.Float64, strict=False)
    if numbers.null_count() == text.null_count():
        return numbers, ()
    numbers = text.str.strip_chars().cast(pl.Float64, strict=False)
    commas = text.str.contains(DECIMAL_COMMA).fill_null(False)
    points = text.str.contains(".", literal=True).any()
    if not commas.any() or points or text.filter(commas).str.contains(THOUSANDS).all():
        return numbers, ()
    pointed = text.str.strip_chars().str.replace(",", ".").cast(pl.Float64, strict=False)
    what = "held numbers with a decimal comma; they were read as such"
    return pointed, (Conversion("decimal_comma", commas, what),)


def clean_events(series: pl.Series) -> Cleaned:
    """The kind of event as text.

    Raises:
        Refusal: the type can be no kind of event.
    """
    if series.dtype.is_nested() or series.dtype.is_temporal():
        raise wrong_type(series, "the kind of the event as text")
    return Cleaned(text_of(series))
