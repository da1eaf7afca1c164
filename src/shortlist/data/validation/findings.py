"""What validation can find: the named checks, one finding, and a refusal that knows its check."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from shortlist.errors import DataError

Severity = Literal["refused", "set_aside", "converted", "warning"]
SEVERITIES: tuple[Severity, ...] = ("refused", "set_aside", "converted", "warning")

CHECKS: dict[str, tuple[Severity, str]] = {
    "no_such_file": ("refused", "there is no file of that name, or it is a folder"),
    "unknown_kind": ("refused", "the name ends neither in .csv, .tsv, .txt, .dat nor in .parquet, .pq"),
    "empty_file": ("refused", "the file holds nothing but blanks or zero bytes"),
    "binary_file": ("refused", "a file called a text is compressed, a workbook, or for the most part no text"),
    "truncated_parquet": ("refused", "the file begins as Parquet, but its end is missing"),
    "damaged_parquet": ("refused", "the file ends in .parquet and cannot be read as that"),
    "unreadable_file": ("refused", "the file, or the table, cannot be split into columns"),
    "wrong_encoding": ("refused", "the encoding asked for cannot decode the file"),
    "missing_column": ("refused", "a column that is needed, or was asked for, is not there; likely ones are named"),
    "repeated_column": ("refused", "two columns have one name"),
    "different_columns": ("refused", "several files of interactions do not have the same columns"),
    "wrong_type": ("refused", "a column's type cannot be what the column is for: a list as a rating, say"),
    "no_rows": ("refused", "no interaction is there, or none is left"),
    "mostly_bad": (
        "refused",
        "all checks together set aside more than half of the interactions, duplicates not counted",
    ),
    "nothing_joins": ("refused", "not one id of the item (user) table is in the interactions"),
    "ragged_row": ("set_aside", "a CSV row has more or fewer fields than the header, or is blank"),
    "broken_quotes": ("set_aside", "a CSV row has a quote inside a value, or one that is never closed"),
    "invalid_bytes": ("set_aside", "a CSV row has bytes that are no text in the file's encoding"),
    "missing_id": ("set_aside", "the user or item id is null, blank, or a word for null such as nan or None"),
    "bad_id": ("set_aside", "the id is a number with a fraction, or infinite"),
    "repeated_id": ("set_aside", "the item (user) table has this id in an earlier row"),
    "not_a_number": ("set_aside", "the rating or weight cannot be read as a number"),
    "not_finite": ("set_aside", "the rating or weight is NaN or infinite"),
    "missing_weight": ("set_aside", "the weight is null (a null rating is allowed)"),
    "negative_weight": ("set_aside", "the weight is below 0"),
    "missing_time": ("set_aside", "the time is null, blank, or a word for null"),
    "unreadable_time": ("set_aside", "the time is neither a finite number nor a date that can be read"),
    "negative_time": ("set_aside", "the time is below 0: before 1970"),
    "absurd_time": (
        "set_aside",
        "the time cannot belong to this log: before March 1973, or more than a year from now, where most are not; or "
        "in another unit than most and, converted, more than a year away from them",
    ),
    "duplicate_event": (
        "set_aside",
        "same user, item, time, event, rating and weight as an earlier row, which stays (only where times are usable)",
    ),
    "conflicting_duplicate": (
        "set_aside",
        "same user, item, time and event as a later row that has another rating or weight; the last row stays",
    ),
    "encoding": ("converted", "the text is latin-1, cp1252 or UTF-16; it is read as that"),
    "delimiter": ("converted", "columns are separated by something else than the file's name says; it is read so"),
    "line_ends": ("converted", "lines end in a carriage return alone"),
    "padded_columns": ("converted", "column names have blanks around them; they and their values are stripped"),
    "time_unit": ("converted", "times are in milliseconds, microseconds or nanoseconds; they become seconds"),
    "mixed_time_units": ("converted", "some times are in another unit than most; each is read in its own"),
    "dates_as_text": ("converted", "times are dates as text (or as 20240131); they become Unix seconds, UTC"),
    "fractional_order": ("converted", "times are fractions that are only an order; they become ranks"),
    "mixed_types": ("converted", "values of one column are of different types; all become text"),
    "id_kinds_differ": ("converted", "ids are integers in one table and text in another; all become text"),
    "float_ids": ("converted", "ids are whole numbers written as 7.0; they become integers"),
    "large_ids": ("converted", "integer ids do not fit 64 bits; all become text"),
    "decimal_comma": ("converted", "numbers are written as 3,5"),
    "truth_values": ("converted", "the rating or weight is true or false; it becomes 1 or 0"),
    "infinite_attribute": ("converted", "an attribute is infinite; it becomes null"),
    "empty_column": ("warning", "a column of the log that is not needed holds nothing but nulls; it is left out"),
    "unusable_column": ("warning", "an attribute's type cannot be used; the column is left out"),
    "likely_column": ("warning", "a column looks like the time or the rating, but has another name and is not used"),
    "empty_table": ("warning", "the item (user) table has no row"),
    "items_without_attributes": ("warning", "items of the interactions are not in the item table"),
    "items_without_interactions": ("warning", "items of the item table are in no interaction"),
    "users_without_attributes": ("warning", "users of the interactions are not in the user table"),
    "users_without_interactions": ("warning", "users of the user table are in no interaction"),
    "dominant_user": (
        "warning",
        "one user, perhaps a bot, has half of the log or more, or a tenth and 20 times the median",
    ),
    "dominant_item": (
        "warning",
        "one item has half of the log or more, or a tenth and 20 times the median",
    ),
    "few_users": ("warning", "fewer than 10 users"),
    "few_items": ("warning", "fewer than 10 items"),
    "padded_ids": ("warning", "ids have blanks around them"),
    "ids_differ_in_case": ("warning", "ids differ only in upper and lower case"),
    "missing_ratings": ("warning", "ratings are null; these events stay, without a rating"),
    "equal_ratings": ("warning", "all ratings are equal"),
    "equal_times": ("warning", "all times are equal, so that they say nothing"),
    "times_at_midnight": ("warning", "more than nine in ten times are at midnight: days, without an order within them"),
    "future_times": ("warning", "times are later than now"),
    "old_times": ("warning", "fewer than one in a hundred times are more than 20 years before the median"),
    "repeated_events": ("warning", "the same user and item again in a log without usable times; the rows stay"),
}
"""Name -> severity and what it finds. A check that would set aside more than half of a table's rows refuses instead
(but for the two kinds of duplicates)."""


@dataclass(frozen=True)
class Finding:
    """What one check found in one column of one table.

    Attributes:
        check: its name in `CHECKS`.
        severity: what became of the rows.
        message: a sentence with the place, what came and what was expected.
        table: ``"interactions"``, ``"items"`` or ``"users"``.
        column: standard name; ``None`` = the whole row or file.
        n_rows: how many rows (0 where the finding is not about rows).
        n_total: of how many in the table.
        file: of the first such row.
        row: of the first, counted from 0 in its file.
        line: of the first, counted from 1; CSV only.
        example: the first such value, as text.
    """

    check: str
    severity: Severity
    message: str
    table: str = "interactions"
    column: str | None = None
    n_rows: int = 0
    n_total: int = 0
    file: str | None = None
    row: int | None = None
    line: int | None = None
    example: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class Refusal(DataError):
    """A file or table that cannot be used, and the name of the check that says so."""

    def __init__(self, check: str, message: str, column: str | None = None) -> None:
        super().__init__(message)
        self.check = check
        self.column = column


def shown(value: object, most: int = 60) -> str:
    """A value as a message shows it, cut where it is long.

    >>> shown("x" * 100, 10)
    "'xxxxx...'"
    """
    text = repr(value)
    return text if len(text) <= most else f"{text[: most - 4]}...{text[-1]}"
