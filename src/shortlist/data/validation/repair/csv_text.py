"""CSV with mistakes: rows that cannot be split or decoded are put aside with their lines, the others are read."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.data.csv_files import SEPARATORS
from shortlist.data.validation.findings import Refusal, shown
from shortlist.data.validation.repair.encodings import FROM_CP1252, BrokenBytes, broken_bytes, to_utf8
from shortlist.data.validation.repair.records import Records, find_records

DOUBLE_COLON, STAND_IN = "::", "\x1f"
"""What '::' becomes while a file is read, because the reader wants one byte between columns."""
SAMPLE_BYTES, SAMPLE_LINES = 1 << 16, 200
PROBLEMS = ("", "ragged_row", "broken_quotes", "invalid_bytes")


@dataclass(frozen=True)
class Note:
    """Something converted while a file was read.

    Attributes:
        n_rows, row, line: how many rows it concerned and where the first was, if it was about rows.
    """

    check: str
    message: str
    n_rows: int = 0
    row: int | None = None
    line: int | None = None


@dataclass(frozen=True)
class RepairedCsv:
    """What could be read of a file, and what could not.

    Attributes:
        frame: every column as text, empty fields as null.
        places: ``row`` (from 0) and ``line`` (from 1) of each row of ``frame``.
        broken: the rows that could not be read: ``row``, ``line``, ``check``, ``n_fields`` and ``raw``, the text.
        notes: what was converted.
    """

    frame: pl.DataFrame
    places: pl.DataFrame
    broken: pl.DataFrame
    notes: tuple[Note, ...]


def read_repaired(path: Path, separator: str | None = None, encoding: str | None = None) -> RepairedCsv:
    """Read what can be read of a CSV file.

    Args:
        separator: between columns: one ASCII character or ``"::"``; ``None`` = look at the first lines.
        encoding: ``None`` = look.

    Raises:
        Refusal: there is no such file, it is empty or no text, or it has a column name twice.
        ConfigError: there is no such encoding.
    """
    if not path.is_file():
        raise Refusal("no_such_file", f"{path}: no such file")
    data, found = to_utf8(path.read_bytes(), str(path), encoding)
    notes = (
        [Note("encoding", f"{path}: expected UTF-8; the text is {found} and was read as that")]
        if found and not encoding
        else []
    )
    if b"\r" in data and b"\n" not in data:
        data = data.replace(b"\r", b"\n")
        notes.append(Note("line_ends", f"{path}: lines end in a carriage return alone; each was read as a line's end"))
    lead = len(data) - len(data.lstrip(b"\r\n"))
    lines_before = data[:lead].count(b"\n")
    data = data[lead:].rstrip(b"\r\n")
    if not data.strip(b"\0 \t\r\n"):
        raise Refusal("empty_file", f"{path}: the file is empty")
    separator, note = _separator(data, path, separator)
    if separator == DOUBLE_COLON:
        data, separator = data.replace(DOUBLE_COLON.encode(), STAND_IN.encode()), STAND_IN
    records = find_records(data, separator)
    text = broken_bytes(data, records.starts)
    notes += [*note, *_encoding_note(path, records, text, lines_before)]
    header = _decoded(data[: records.ends[0]], text.encoding).encode()
    if records.misquoted[0]:
        expected = "expected quotes in the header only around whole names"
        raise Refusal("unreadable_file", f"{path}: {expected}, got {shown(header.decode().strip())}")
    fields = _parse(header, separator, [str(number) for number in range(records.n_fields[0])], str(path))
    names, stripped = _names(["" if name is None else name for name in fields.row(0)], path)
    problems = _problems(records, text)
    good = np.flatnonzero(problems == 0)[1:]
    frame = _parse(_decoded(_cut(data, records, good), text.encoding).encode(), separator, names, str(path))
    if len(frame) != len(good):
        raise Refusal("unreadable_file", f"{path}: expected {len(good):,} rows, but {len(frame):,} could be split")
    if stripped:
        frame = frame.with_columns(pl.col(stripped).str.strip_chars())
        named = ", ".join(map(repr, stripped))
        notes.append(Note("padded_columns", f"{path}: blanks stood around the columns {named}; they were stripped"))
    places = pl.DataFrame({"row": good - 1, "line": records.lines[good] + lines_before + 1})
    broken = _broken(data, records, problems, lines_before)
    if separator == STAND_IN:
        broken = broken.with_columns(pl.col("raw").str.replace_all(STAND_IN, DOUBLE_COLON))
    return RepairedCsv(frame, places, broken, tuple(notes))


def _separator(data: bytes, path: Path, asked: str | None) -> tuple[str, list[Note]]:
    """The separator: in the header and, as often as there, in the most of the first lines."""
    if asked is not None:
        if asked != DOUBLE_COLON and (len(asked.encode()) != 1 or asked in '"\r\n'):
            raise Refusal("unreadable_file", f"{path}: expected an ASCII character or '::' as separator, got {asked!r}")
        return asked, []
    usual = "\t" if path.suffix.lower() == ".tsv" else ","
    sample = data[:SAMPLE_BYTES].decode(errors="replace").split("\n")[:SAMPLE_LINES]
    lines = ["".join(line.split('"')[::2]) for line in sample]  # what stands outside quotes
    scores = {}
    for separator in dict.fromkeys([usual, *SEPARATORS, DOUBLE_COLON]):
        in_header = lines[0].count(separator)
        alike = sum(line.count(separator) == in_header for line in lines) / len(lines)
        scores[separator] = (in_header > 0, round(alike, 1), in_header)
    best = max(scores, key=lambda separator: scores[separator])
    if best == usual or not scores[best][0]:
        return usual, []
    name = SEPARATORS.get(best, repr(best))
    return best, [Note("delimiter", f"{path}: columns are separated by {name} and not by {SEPARATORS[usual]}")]


def _encoding_note(path: Path, records: Records, text: BrokenBytes, lines_before: int) -> list[Note]:
    if text.encoding is None:
        return []
    record = text.first_foreign
    line = int(records.lines[record]) + lines_before + 1
    message = f"{path}, line {line}: expected UTF-8; the text is {text.encoding} and was read as that"
    return [Note("encoding", message, text.n_foreign, max(record - 1, 0), line)]


def _names(header: list[str], path: Path) -> tuple[list[str], list[str]]:
    """The column names, and which of them were stripped of blanks."""
    names = [name.strip() or f"column_{number}" for number, name in enumerate(header, 1)]
    doubled = next((name for name in names if names.count(name) > 1), None)
    if doubled is not None:
        raise Refusal("repeated_column", f"{path}: expected each column name once, got {shown(doubled)} twice", doubled)
    return names, [name for name, given in zip(names, header, strict=True) if given and given != name]


def _problems(records: Records, text: BrokenBytes) -> NDArray[np.int8]:
    """int8 (n,): 0 = none, otherwise a number in `PROBLEMS`; the header is never bad."""
    problems = np.zeros(len(records.starts), dtype=np.int8)
    problems[(records.n_fields != records.n_fields[0]) | records.blank] = 1
    problems[records.misquoted] = 2
    problems[text.records] = 3
    problems[0] = 0
    return problems


def _cut(data: bytes, records: Records, good: NDArray[np.int64]) -> bytes:
    """The text of some records."""
    if not len(good):
        return b""
    if len(good) == len(records.starts) - 1:
        return data[records.ends[0] :]
    breaks = np.flatnonzero(np.diff(good) != 1)
    begins, ends = records.starts[good[np.append(0, breaks + 1)]], records.ends[good[np.append(breaks, -1)]]
    return b"".join(data[begin:end] for begin, end in zip(begins, ends, strict=True))


def _decoded(data: bytes, encoding: str | None) -> str:
    """Text that is UTF-8, and latin-1 or cp1252 where it is not."""
    return data.decode("utf-8", errors=FROM_CP1252 if encoding else "replace")


def _parse(body: bytes, separator: str, names: list[str], origin: str) -> pl.DataFrame:
    schema = dict.fromkeys(names, pl.String)
    if not body:
        return pl.DataFrame(schema=schema)
    quote = '"' if b'"' in body else None
    try:
        return pl.read_csv(body, separator=separator, has_header=False, schema=schema, quote_char=quote)
    except pl.exceptions.PolarsError as error:
        raise Refusal("unreadable_file", f"{origin}: not readable: {str(error).splitlines()[0]}") from error


def _broken(data: bytes, records: Records, problems: NDArray[np.int8], lines_before: int) -> pl.DataFrame:
    bad = np.flatnonzero(problems)
    raw = [data[records.starts[record] : records.ends[record]].rstrip(b"\r\n") for record in bad]
    return pl.DataFrame(
        {
            "row": bad - 1,
            "line": records.lines[bad] + lines_before + 1,
            "check": pl.Series([PROBLEMS[problem] for problem in problems[bad]], dtype=pl.String),
            "n_fields": records.n_fields[bad],
            "raw": pl.Series([text.decode("utf-8", errors="backslashreplace") for text in raw], dtype=pl.String),
        }
    )
