"""Files and frames, however dirty, as tables to be checked."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from shortlist.data.columns import Frame, is_null, to_polars
from shortlist.data.parquet_files import read_parquet
from shortlist.data.validation.checking import EMPTY_ASIDE, CheckedTable
from shortlist.data.validation.findings import Finding, Refusal, Severity, shown
from shortlist.data.validation.repair.csv_text import read_repaired
from shortlist.data.validation.repair.values import text_of
from shortlist.errors import DataError

CSV_ENDINGS = (".csv", ".tsv", ".txt", ".dat")
PARQUET_ENDINGS = (".parquet", ".pq")
EXPECTED = {
    "ragged_row": "",
    "broken_quotes": "expected quotes around a whole value, and doubled within it",
    "invalid_bytes": "expected text",
}


@dataclass(frozen=True)
class Reading:
    """How CSV files are to be read.

    Attributes:
        separator: between columns; ``None`` = look.
        encoding: ``None`` = look.
    """

    separator: str | None = None
    encoding: str | None = None


def read_files(kind: str, paths: list[Path], reading: Reading) -> CheckedTable:
    """One table of one or several files with the same columns.

    Raises:
        Refusal: a file cannot be used, or their columns differ.
    """
    tables = [_read_file(kind, path, reading) for path in paths]
    first = tables[0]
    if len(tables) == 1:
        return first
    for table in tables[1:]:
        different = sorted(set(first.raw.columns) ^ set(table.raw.columns))
        if different:
            raise Refusal(
                "different_columns",
                f"{table.origin}: expected the columns of {first.origin}, which are {', '.join(first.raw.columns)}; "
                f"different: {', '.join(different)}",
            )
    untyped = any(table.untyped for table in tables)
    raw = _stacked([table.raw.select(first.raw.columns) for table in tables])
    numbered = [table.places.with_columns(pl.lit(n, pl.UInt16).alias("file")) for n, table in enumerate(tables)]
    broken = pl.concat([table.broken for table in tables], how="diagonal")
    files = tuple(table.files[0] for table in tables)
    findings = [finding for table in tables for finding in table.findings]
    return CheckedTable(kind, raw, pl.concat(numbered), files, untyped, broken, findings=findings)


def read_frame(kind: str, frame: Frame) -> CheckedTable:
    """One table of a polars, pandas or Arrow table, or of a mapping of columns; columns of mixed types become text.

    Raises:
        DataError: it is none of these.
    """
    table, mixed = _as_polars(frame, kind)
    checked = _typed_table(kind, table, kind)
    for column, odd in mixed.items():
        checked.note("mixed_types", f"column {column!r} held values of different types; all became text", column, odd)
    return checked


def _as_polars(frame: Frame, kind: str) -> tuple[pl.DataFrame, dict[str, pl.Series]]:
    """A polars frame, and per column of mixed types the rows whose type is not the first one's."""
    try:
        table = to_polars(frame, kind)
        if pl.Object not in table.dtypes:
            return table, {}
        columns: dict[str, Any] = {series.name: {series.name: series.to_list()} for series in table}
    except DataError:
        if hasattr(frame, "iloc") and frame.columns.is_unique:
            columns = {str(name): frame[[name]].rename(columns=str) for name in frame.columns}
        elif isinstance(frame, Mapping):
            columns = {str(name): {str(name): values} for name, values in frame.items()}
        else:
            raise
    made, mixed = {}, {}
    for name, column in columns.items():
        try:
            made[name] = to_polars(column, kind)[name]
        except DataError:
            values = [None if is_null(value) else value for value in column[name]]
            made[name], mixed[name] = _mixed_as_text(name, values)
    try:
        return pl.DataFrame(made), mixed
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{kind}: not readable as a table: {str(error).splitlines()[0]}") from error


def _mixed_as_text(name: str, values: list[Any]) -> tuple[pl.Series, pl.Series]:
    known = [type(value) for value in values if value is not None]
    odd = [value is not None and type(value) is not known[0] for value in values]
    return pl.Series(name, [_text(value) for value in values], dtype=pl.String), pl.Series(odd, dtype=pl.Boolean)


def _text(value: Any) -> str | None:
    whole = isinstance(value, float) and value.is_integer()  # 7.0 among texts was an integer before some were missing
    return None if value is None else str(int(value) if whole else value)


def _stacked(frames: list[pl.DataFrame]) -> pl.DataFrame:
    """Frames one below the other; a column of different types becomes text, integers among floats become floats."""
    try:
        return pl.concat(frames, how="vertical_relaxed")
    except pl.exceptions.PolarsError:
        differ = [name for name in frames[0].columns if len({frame[name].dtype for frame in frames}) > 1]
        return pl.concat([frame.with_columns([text_of(frame[name]) for name in differ]) for frame in frames])


def _read_file(kind: str, path: Path, reading: Reading) -> CheckedTable:
    ending = path.suffix.lower()
    if path.is_dir():
        raise Refusal("no_such_file", f"{path}: expected a file, got a folder; name the files in it")
    if ending in PARQUET_ENDINGS:
        return _typed_table(kind, read_parquet(path), str(path))
    if ending not in CSV_ENDINGS:
        endings = f"{', '.join(CSV_ENDINGS)} or {' or '.join(PARQUET_ENDINGS)}"
        raise Refusal("unknown_kind", f"{str(path)!r}: expected a file ending in {endings}")
    read = read_repaired(path, reading.separator, reading.encoding)
    places = read.places.select(pl.lit(0, pl.UInt16).alias("file"), "row", "line")
    broken = read.broken.select(
        pl.col("check").alias("reason"),
        pl.lit(kind).alias("table"),
        pl.lit(str(path)).alias("file"),
        *("row", "line", "raw"),
    )
    table = CheckedTable(kind, read.frame, places, (str(path),), True, pl.concat([EMPTY_ASIDE, broken], how="diagonal"))
    for note in read.notes:
        counts = (note.n_rows, table.n_read, str(path), note.row, note.line)
        table.findings.append(Finding(note.check, "converted", note.message, kind, None, *counts))
    table.findings += _broken_findings(table, read.broken, len(read.frame.columns))
    return table


def _typed_table(kind: str, frame: pl.DataFrame, origin: str) -> CheckedTable:
    places = pl.DataFrame({"file": np.zeros(len(frame), np.uint16), "row": np.arange(len(frame))})
    return CheckedTable(kind, frame, places.with_columns(pl.lit(None, pl.Int64).alias("line")), (origin,))


def _broken_findings(table: CheckedTable, broken: pl.DataFrame, n_fields: int) -> Iterator[Finding]:
    """One finding per check that found rows of a CSV file unreadable."""
    for check, expected in EXPECTED.items():
        rows = broken.filter(pl.col("check") == check)
        if not len(rows):
            continue
        first = rows.row(0, named=True)
        place = {"file": table.origin, "row": first["row"], "line": first["line"]}
        refused = 2 * len(rows) > table.n_read
        if check == "ragged_row":
            got = "a blank line" if not first["raw"] else f"{first['n_fields']} fields"
            sentence = f"expected {n_fields} fields as in the header, got {got}"
        else:
            sentence = f"{expected}, got {shown(first['raw'])}"
        rest = "; that is more than half of the rows" if refused else ""
        message = f"{table.said(place)}: {sentence} ({table.share(len(rows))}{rest})"
        severity: Severity = "refused" if refused else "set_aside"
        yield Finding(
            check, severity, message, table.kind, None, len(rows), table.n_read, **place, example=first["raw"]
        )
