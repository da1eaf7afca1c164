"""What is checked in a log and in an item or user table, in which order."""

import re
from collections.abc import Sequence

import polars as pl

from shortlist.data import csv_files
from shortlist.data.columns import STANDARD, likely_column, suggest
from shortlist.data.dataset import check_attribute
from shortlist.data.validation.checking import CheckedTable
from shortlist.data.validation.findings import Refusal
from shortlist.data.validation.joins import check_joins, unify_ids
from shortlist.data.validation.repair.duplicates import duplicate_rows
from shortlist.data.validation.repair.times import clean_times
from shortlist.data.validation.repair.values import Cleaned, clean_events, clean_ids, clean_numbers
from shortlist.data.validation.suspicions import suspicions, times_are_usable
from shortlist.errors import DataError

IDS = ("user_id", "item_id")
VALUE = r"[0-9.:/ -]+"
"""A column name that is rather a value: the first row of a file without a header."""
KEYS = {"items": "item_id", "users": "user_id"}


def check_log(log: CheckedTable, now: float) -> None:
    """Clean the standard columns of the interactions, one after the other.

    Ids come last: a row that is set aside for something else, such as a line of totals, has no say in what ids are.
    """
    if not _has(log, IDS):
        return
    if not log.n_read:
        log.refuse("no_rows", "expected at least one interaction, got an empty table")
        return
    for column in (*(name for name in STANDARD if name not in IDS), *IDS):
        if column not in log.raw.columns:
            _name_likely(log, column)
        elif column not in IDS and log.raw[column].null_count() == len(log.raw):
            log.note("empty_column", f"column {column!r} holds nothing and is left out", column)
        else:
            try:
                log.take(column, _cleaned(log, column, now))
            except Refusal as refusal:
                log.refuse(refusal.check, str(refusal), column)
    if not log.n_kept and not log.refused:
        log.refuse("no_rows", "every interaction was set aside")
    elif 2 * log.n_kept < log.n_read and not log.refused:
        log.refuse("mostly_bad", f"only {log.n_kept:,} of {log.n_read:,} rows are left; more than half were set aside")


def check_attributes(table: CheckedTable, key: str, list_separator: str) -> None:
    """Clean the ids of an item or user table, and make its attributes what a data set takes."""
    if not _has(table, (key,)):
        return
    if not table.n_read:
        table.note("empty_table", "the table has no rows")
    try:
        table.take(key, clean_ids(table.raw[key], table.untyped))
    except Refusal as refusal:
        table.refuse(refusal.check, str(refusal), key)
        return
    again = ~table.clean[key].is_first_distinct()
    table.set_aside("repeated_id", key, again, "expected each id once, but it is in an earlier row too")
    if not table.refused:
        rest = [column for column in table.raw.columns if column != key]
        table.extras = [made for column in rest if (made := _attribute(table, column, list_separator)) is not None]


def relate(log: CheckedTable, tables: dict[str, CheckedTable], now: float) -> None:
    """What needs whole tables: ids of one kind, duplicates, joins, and what is strange in the log.

    Args:
        tables: the item table, the user table, both or none.
    """
    for table in tables.values():
        unify_ids(log, table, KEYS[table.kind])
    kept = log.frame()
    if times_are_usable(kept):
        exact, conflicting = map(log.among_all, duplicate_rows(kept))
        log.set_aside("duplicate_event", None, exact, "the event is in another row too, which stays")
        log.set_aside(
            "conflicting_duplicate", None, conflicting, "a later row has the event otherwise; the last one stays"
        )
        kept = log.frame()
    for table in tables.values():
        check_joins(log, table, KEYS[table.kind])
    for found in suspicions(kept, now):
        rows = None if found.rows is None else log.among_all(found.rows)
        log.note(found.check, found.what, found.column, rows)
    extras = [log.raw[column].filter(log.kept) for column in log.raw.columns if column not in STANDARD]
    log.extras = [csv_files.typed(series) if log.untyped else series for series in extras]


def _has(table: CheckedTable, needed: Sequence[str]) -> bool:
    """Whether the columns are there; all that are not are named at once."""
    have = table.raw.columns
    missing = [name for name in needed if name not in have]
    likely = {name: likely_column(name, have) or "…" for name in missing}
    mapping = ", ".join(f'"{standard}": "{theirs}"' for standard, theirs in likely.items())
    options = " ".join(f"--column {standard}={theirs}" for standard, theirs in likely.items())
    headless = all(re.fullmatch(VALUE, name) for name in have)
    for name in missing:
        hint = suggest(name, [column for column in have if column not in needed])
        how = "has the file no header?" if headless else f"say columns={{{mapping}}} or {options}"
        table.refuse(
            "missing_column", f"column {name!r} is missing; {hint}{' ' if hint[-1] == '?' else '; '}{how}", name
        )
    return not missing


def _name_likely(log: CheckedTable, column: str) -> None:
    likely = likely_column(column, log.raw.columns)
    if likely and column in ("timestamp", "rating"):
        how = f'columns={{"{column}": "{likely}"}} or --column {column}={likely}'
        log.note(
            "likely_column", f"column {likely!r} may be the {column}, but is not used; if it is, say {how}", likely
        )


def _cleaned(log: CheckedTable, column: str, now: float) -> Cleaned:
    series = log.raw[column]
    if column in IDS:
        return clean_ids(series if log.n_kept == len(series) else without(series, log.kept), log.untyped)
    if column == "timestamp":
        return clean_times(series, now)
    return clean_events(series) if column == "event" else clean_numbers(series)


def without(series: pl.Series, kept: pl.Series) -> pl.Series:
    """Null where a row is not kept."""
    return pl.select(pl.when(kept).then(series).alias(series.name)).to_series()


def _attribute(table: CheckedTable, column: str, list_separator: str) -> pl.Series | None:
    """An attribute of the rows that are kept, as a data set takes it; ``None`` where it cannot be one."""
    series = table.raw[column].filter(table.kept)
    if table.untyped:
        series = csv_files.split_lists(series, list_separator)
        return csv_files.typed(series) if series.dtype == pl.String else series
    if series.dtype.is_float() or series.dtype.is_decimal():
        numbers = series.cast(pl.Float64).fill_nan(None)
        infinite = numbers.is_infinite().fill_null(False)
        if infinite.any():
            what = f"column {column!r} held infinite numbers; they became null"
            table.note("infinite_attribute", what, column, table.among_all(infinite))
        return pl.select(pl.when(~infinite).then(numbers).alias(column)).to_series()
    try:
        return check_attribute(series, table.origin)
    except DataError:
        what = f"column {column!r} has the type {series.dtype}, which no attribute can have; it is left out"
        table.note("unusable_column", what, column)
        return None
