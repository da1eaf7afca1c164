"""Dates and times in words: ISO 8601 and what people and spreadsheets write, as Unix seconds."""

import polars as pl

TIME = (
    r"(?:[T,\s]+(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,]\d+)?)?"
    r"\s*(?P<half>[AaPp][Mm])?\s*(?P<zone>Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?)?$"
)
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
MONTH = rf"(?P<month>(?i:{'|'.join(MONTHS)})[a-z]*)\.?"
WEEKDAY = r"^(?:(?i:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? )?"

ISO = r"^(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})" + TIME
NUMBERS = r"^(?P<first>\d{1,2})(?P<mark>[-/.]|,? )(?P<other>\d{1,2})(?:[-/.]|,? )(?P<year>\d{4})" + TIME
DAY_MONTH = WEEKDAY + rf"(?P<day>\d{{1,2}})[-/. ]{MONTH}[-/, ]+(?P<year>\d{{4}})" + TIME
MONTH_DAY = WEEKDAY + rf"{MONTH} (?P<day>\d{{1,2}}),? (?P<year>\d{{4}})" + TIME
PATTERNS = (ISO, NUMBERS, DAY_MONTH, MONTH_DAY)


def seconds_of_text(text: pl.Series) -> pl.Series:
    """Int64 Unix seconds of each text, null where it is no date; what names no zone is taken for UTC.

    In ``09/07/1998`` nobody knows what is the day; where another text of the series has a number above 12 there, all
    are read alike, otherwise none is. With points (``09.07.1998``) the day comes first. Fractions of a second are cut
    off.

    >>> texts = ["1998-07-09", "1998-07-09T18:05+02:00", "9 Jul 1998 4:05 pm", "07/13/1998", "soon"]
    >>> seconds_of_text(pl.Series(texts)).to_list()
    [899942400, 900000300, 900000300, 900288000, None]
    """
    made = pl.Series("seconds", [None], dtype=pl.Int64).new_from_index(0, len(text))
    left = text.str.strip_chars()
    for pattern in PATTERNS:
        if left.null_count() == len(left):
            break
        parts = left.str.extract_groups(pattern).struct.unnest()
        seconds = _seconds(_day_and_month(parts) if "first" in parts.columns else parts)
        made = made.fill_null(seconds)
        left = pl.select(pl.when(made.is_null()).then(left)).to_series()
    return made


def _day_and_month(parts: pl.DataFrame) -> pl.DataFrame:
    """Decide which number is the day."""
    first, other, pointed = pl.col("first"), pl.col("other"), pl.col("mark") == "."
    slashed = parts.filter(~pointed).select(first.cast(pl.Int64), other.cast(pl.Int64))
    day_first, month_first = int((slashed["first"] > 12).sum()), int((slashed["other"] > 12).sum())
    known = day_first != month_first
    by_habit = pl.when(pl.lit(day_first > month_first)).then(first).otherwise(other)
    day = pl.when(pointed).then(first).when(pl.lit(known)).then(by_habit)
    month = pl.when(day.is_not_null()).then(pl.when(day == first).then(other).otherwise(first))
    return parts.with_columns(day.alias("day"), month.alias("month"))


def _seconds(parts: pl.DataFrame) -> pl.Series:
    """Year, month (a number or a name), day and perhaps a time, all as text, as seconds; null where it is no date."""
    month = pl.col("month").str.to_lowercase().str.head(3)
    number = month.replace({name: str(number) for number, name in enumerate(MONTHS, 1)})
    date = pl.concat_str("year", number.str.zfill(2), pl.col("day").str.zfill(2), separator="-")
    days = date.str.to_date("%Y-%m-%d", strict=False).cast(pl.Int64)
    hour, minute, second = (pl.col(name).cast(pl.Int64).fill_null(0) for name in ("hour", "minute", "second"))
    half = pl.col("half").str.to_lowercase()
    clock = pl.when(half.is_null()).then(hour).otherwise(hour % 12 + 12 * (half == "pm").cast(pl.Int64))
    possible = (clock < 24) & (minute < 60) & (second <= 60) & (half.is_null() | hour.is_between(1, 12))
    seconds = days * 86_400 + clock * 3_600 + minute * 60 + second - _offset(pl.col("zone"))
    return parts.select(pl.when(possible).then(seconds)).to_series()


def _offset(zone: pl.Expr) -> pl.Expr:
    """Seconds east of Greenwich of ``+02:00``, ``-0330``, ``+00``, ``Z`` or null."""
    digits = zone.str.replace_all(r"\D", "").str.pad_end(4, "0")
    size = (
        digits.str.head(2).cast(pl.Int64, strict=False) * 3_600 + digits.str.tail(2).cast(pl.Int64, strict=False) * 60
    )
    return pl.when(zone.str.starts_with("-")).then(-size).otherwise(size).fill_null(0)
