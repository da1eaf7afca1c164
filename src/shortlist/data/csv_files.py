"""CSV at the door: read as text without losing a character, then typed; every complaint has its line."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from shortlist.errors import DataError

SEPARATORS = {",": "','", ";": "';'", "\t": "'\\t'", "|": "'|'"}
CHUNK_BYTES = 1 << 24
ELSEWHERE = (
    "quotes inside a value must be doubled and the value quoted; a file of other habits can be read by other means and "
    "given to from_frames"
)
LENIENT = "; shortlist.validate sets such rows aside"

INTEGER = r"^(0|-?[1-9][0-9]*)$"
NUMBER = r"^[+-]?(0|[1-9][0-9]*|[0-9]?\.[0-9]+|[1-9][0-9]*\.[0-9]*|0\.)([eE][+-]?[0-9]+)?$"
TRUTH = r"^([Tt]rue|[Ff]alse|TRUE|FALSE)$"
DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}.*)?$"


class CsvFile(str):
    """The path of a CSV file as the origin of a table; it finds the line of a row.

    Args:
        path: the file.
        separator: between columns.
    """

    separator: str

    def __new__(cls, path: str | Path, separator: str) -> "CsvFile":
        origin = super().__new__(cls, path)
        origin.separator = separator
        return origin

    def line(self, row: int) -> int:
        """The line (from 1) at which a row (from 0) starts; quoted values may have taken several lines before it."""
        for n, (line, _) in enumerate(self._records()):
            if n == row + 1:
                return line
        return row + 2

    def header(self) -> list[str]:
        return next((fields for _, fields in self._records()), [])

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """The lines at which records start and their fields, the header first."""
        with open(self, encoding="utf-8-sig", errors="replace", newline="") as file:
            reader = csv.reader(file, delimiter=self.separator)
            line, started = 1, False
            try:
                for fields in reader:
                    started = started or bool(fields)
                    if started:
                        yield line, fields
                    line = reader.line_num + 1
            except csv.Error:  # a field beyond the module's limit
                return


def read_text(origin: CsvFile) -> pl.DataFrame:
    """Every column as text, empty fields as null; blank lines at the end do not count.

    Raises:
        DataError: the file is missing, empty, not UTF-8, has rows of different lengths, a column name twice or
            another separator.
    """
    if len(origin.separator.encode()) != 1 or origin.separator in '"\r\n':
        raise DataError(f"{origin}: expected one ASCII character as separator, got {origin.separator!r}")
    if not Path(origin).is_file():
        raise DataError(f"{origin}: no such file")
    data = Path(origin).read_bytes().rstrip(b"\r\n")
    if not data.strip():
        raise DataError(f"{origin}: the file is empty")
    _check_encoding(data, origin)
    _check_header(origin)
    _check_lengths(data, origin)
    try:
        return pl.read_csv(data, separator=origin.separator, infer_schema=False)
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{origin}: not readable: {str(error).splitlines()[0]}; {ELSEWHERE}") from error


def typed(series: pl.Series) -> pl.Series:
    """Integers, numbers, truth values, dates or moments (UTC) where every value is one; else the text as it is.

    A number with a leading zero is text, because the zero would be lost (``00123`` is a zip code).

    >>> typed(pl.Series(["1", None, "3"])).to_list(), typed(pl.Series(["1", "03"])).to_list()
    ([1, None, 3], ['1', '03'])
    """
    text = series.drop_nulls()
    made = series
    if _all_match(text, INTEGER):
        made = series.cast(pl.Int64, strict=False)
    elif _all_match(text, NUMBER):
        made = series.cast(pl.Float64, strict=False)
    elif _all_match(text, TRUTH):
        made = series.str.to_lowercase() == "true"
    elif _all_match(text, DATE):
        made = series.str.to_date("%Y-%m-%d", strict=False)
    elif _all_match(text, MOMENT):
        made = series.str.to_datetime(strict=False, time_zone="UTC")
    return made if made.null_count() == series.null_count() else series


def typed_ids(columns: list[pl.Series]) -> list[pl.Series]:
    """The same ids in several tables: text in all of them where it is text in one."""
    made = [typed(column) for column in columns]
    plain = all(series.dtype == pl.Int64 or series.dtype == pl.Float64 or not len(series) for series in made)
    return made if plain else columns


def split_lists(series: pl.Series, separator: str) -> pl.Series:
    """A text column in which any value holds the separator, as lists.

    >>> split_lists(pl.Series(["a|b", "c"]), "|").to_list()
    [['a', 'b'], ['c']]
    """
    holds = bool(separator) and series.dtype == pl.String and series.str.contains(separator, literal=True).any()
    return series.str.split(separator) if holds else series


def _all_match(text: pl.Series, pattern: str) -> bool:
    return bool(len(text)) and bool(re.match(pattern, text[0])) and bool(text.str.contains(pattern).all())


def _check_encoding(data: bytes, origin: CsvFile) -> None:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{origin}, line {line}: expected UTF-8, got the byte 0x{data[error.start]:02x}; save it as UTF-8, or "
            "read it by shortlist.validate"
        ) from error


def _check_header(origin: CsvFile) -> None:
    header = origin.header()
    doubled = sorted({name for name in header if header.count(name) > 1})
    if doubled:
        raise DataError(f"{origin}: expected each column name once, got {doubled[0]!r} twice")
    if len(header) > 1 or not header:
        return
    counts = {separator: header[0].count(separator) for separator in SEPARATORS}
    likely = max(counts, key=lambda separator: counts[separator])
    if "::" in header[0]:
        raise DataError(f"{origin}: the columns seem to be separated by '::'; expected one character, for example ','")
    if counts[likely]:
        raise DataError(
            f"{origin}: found one column, {header[0]!r}; the separator seems to be {SEPARATORS[likely]}: "
            f"pass separator={SEPARATORS[likely]}"
        )


def _check_lengths(data: bytes, origin: CsvFile) -> None:
    """Refuse a row with fewer or more fields than the header: short rows would be filled up with nulls."""
    data_start = len(data) - len(data.lstrip(b"\r\n"))
    counts: list[np.ndarray] = []
    ends: list[np.ndarray] = []
    parity = total = 0
    for start in range(data_start, len(data), CHUNK_BYTES):
        part = np.frombuffer(data, np.uint8, count=min(CHUNK_BYTES, len(data) - start), offset=start)
        separates, ends_record = part == ord(origin.separator), part == ord("\n")
        quotes = part == ord('"')
        if parity or quotes.any():
            opened = np.cumsum(quotes, dtype=np.int64) + parity
            separates &= opened % 2 == 0
            ends_record &= opened % 2 == 0
            parity = int(opened[-1]) % 2
        separators = np.cumsum(separates, dtype=np.int64) + total
        newlines = np.flatnonzero(ends_record)
        counts.append(separators[newlines])
        ends.append(newlines + start)
        total = int(separators[-1])
    if parity:
        raise DataError(f"{origin}: a quoted value is never closed; {ELSEWHERE}")
    fields = np.diff(np.concatenate([*counts, [total]]), prepend=0) + 1
    ragged = np.flatnonzero(fields != fields[0])
    if len(ragged):
        record = int(ragged[0])
        begin = int(np.concatenate(ends)[record - 1]) + 1
        line = data.count(b"\n", 0, begin) + 1
        raise DataError(
            f"{origin}, row {record - 1} (line {line}): expected {fields[0]} fields as in the header, got "
            f"{fields[record]} ({len(ragged):,} of {len(fields) - 1:,} rows){LENIENT}"
        )
