"""Text files with one record per line and a separator that never occurs in a value: no quotes, no escapes."""

from pathlib import Path

import polars as pl

from shortlist.errors import DataError

Schema = dict[str, type[pl.DataType]]


def read_numbers(file: Path, separator: str, schema: Schema, header: list[str] | None = None) -> pl.DataFrame:
    """A table of numbers from a file that may have tens of millions of lines, in the order of the lines.

    Args:
        file: the file; blank lines at its end do not count.
        separator: one character, or one character written twice.
        schema: names and types of the columns; a finite number must be there in every line.
        header: the names that the first line must hold; ``None`` = there is no such line.

    Raises:
        DataError: as `read_table`, or the first line is not the header.
    """
    if header is not None and file.is_file():
        with file.open(encoding="utf-8-sig", errors="replace") as lines:
            check_header(file, lines.readline().rstrip("\r\n").split(separator), header)
    numbers = _read_quickly(file, separator, schema, n_skipped=0 if header is None else 1)
    # Whatever is wrong is found, and named with its line, by the slower reader.
    return read_table(file, separator, schema, header=header is not None) if numbers is None else numbers


def _read_quickly(file: Path, separator: str, schema: Schema, n_skipped: int) -> pl.DataFrame | None:
    """The table by polars' own reader, or ``None`` where the file holds anything but numbers."""
    columns: Schema = {}
    for name, dtype in schema.items():
        if columns and len(separator) == 2:  # to polars "::" is two separators with an empty column between them
            columns[f"before {name}"] = pl.UInt8
        columns[name] = dtype
    options = {"has_header": False, "skip_rows": n_skipped, "quote_char": None, "schema": columns, "glob": False}
    try:
        read = pl.read_csv(file, separator=separator[0], **options)  # type: ignore[arg-type]
    except (pl.exceptions.PolarsError, OSError):
        return None
    filled = all(read[name].null_count() == (0 if name in schema else len(read)) for name in columns)
    finite = all(bool(series.is_finite().all()) for series in read.select(*schema))
    return read.select(*schema) if len(read) and filled and finite else None


def read_table(
    file: Path, separator: str, schema: Schema, *, encoding: str = "latin-1", header: bool = False
) -> pl.DataFrame:
    """A table of texts and numbers.

    Args:
        file: the file; blank lines at its end do not count.
        separator: one or more characters.
        schema: names and types of the columns; numbers must be there in every line, blanks may stand around them.
        encoding: of the text.
        header: whether the first line names the columns (the names are not read).

    Raises:
        DataError: the file is missing or empty, a line has another number of columns, a number cannot be read.
    """
    first_line = 2 if header else 1
    fields = read_lines(file, encoding)[first_line - 1 :].str.split(separator)
    if fields.is_empty():
        raise DataError(f"{file}: expected one record per line, got none")
    wrong = (fields.list.len() != len(schema)).arg_true()
    if len(wrong):
        raise DataError(
            f"{file}, line {first_line + wrong[0]}: expected {len(schema)} columns separated by {separator!r} "
            f"({', '.join(schema)}), got {len(fields[wrong[0]])}; the file is cut off or not in this layout"
        )
    return pl.DataFrame(
        {
            name: _typed(file, name, fields.list.get(position), dtype, first_line)
            for position, (name, dtype) in enumerate(schema.items())
        }
    )


def read_lines(file: Path, encoding: str) -> pl.Series:
    """The lines as String, without blank ones at the end; none of a blank file.

    Raises:
        DataError: the file is missing or in another encoding.
    """
    try:
        text = file.read_bytes().decode(encoding)
    except FileNotFoundError as error:
        raise DataError(f"{file} is missing; the data set cannot be read without it") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: expected text in {encoding}, got something else ({error})") from error
    # Not splitlines(): in latin-1 that also splits at characters inside titles.
    lines = text.replace("\r\n", "\n").rstrip("\n")
    return pl.Series([lines] if lines.strip() else [], dtype=pl.String).str.split("\n").explode()


def _typed(file: Path, name: str, texts: pl.Series, dtype: type[pl.DataType], first_line: int) -> pl.Series:
    if dtype == pl.String:
        return texts
    values = texts.str.strip_chars(" ").cast(dtype, strict=False)
    if dtype.is_float():
        values = values.set(~values.is_finite(), None)
    refuse_unread(file, values, texts, first_line, f"{name!r} as a number")
    return values


def refuse_unread(file: Path, values: pl.Series, texts: pl.Series, first_line: int, expected: str) -> None:
    """Refuse a column in which a text did not become a value."""
    unread = (values.is_null() & texts.is_not_null()).arg_true()
    if len(unread):
        raise DataError(
            f"{file}, line {first_line + unread[0]}: expected {expected}, got {texts[unread[0]]!r} "
            f"({len(unread):,} of {len(values):,} lines)"
        )


def check_header(file: Path, found: list[str], expected: list[str]) -> None:
    """Refuse a file whose first line names other columns."""
    if found != expected:
        raise DataError(f"{file}, line 1: expected the header {','.join(expected)}, got {','.join(found)[:200]}")
