"""Rows set aside as a file that never takes the place of another kind of file."""

import os
import tempfile
from pathlib import Path

import polars as pl

from shortlist.data.validation.checking import ASIDE
from shortlist.data.validation.repair.values import text_of
from shortlist.errors import ConfigError


def place_beside(path: Path) -> Path:
    """Where the rows set aside of a log, or of a model's log, go if nobody says where.

    >>> place_beside(Path("logs/2024.csv")).as_posix()
    'logs/2024.csv.set-aside.parquet'
    """
    named = path if path.name else path.absolute()
    return named.with_name(f"{named.name}.set-aside.parquet")


def holds_set_aside(path: Path) -> bool:
    """Whether a file begins with the columns of rows set aside."""
    try:
        frame = pl.scan_csv(path) if path.suffix.lower() == ".csv" else pl.scan_parquet(path, glob=False)
        return frame.collect_schema().names()[: len(ASIDE)] == list(ASIDE)
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return False


def write_set_aside(table: pl.DataFrame, path: Path) -> None:
    """Write rows set aside, in place of what an earlier validation wrote there.

    Args:
        path: its ending says the format: ``.csv``, otherwise Parquet.

    Raises:
        ConfigError: something else is there.
    """
    if path.exists() and not holds_set_aside(path):
        raise ConfigError(
            f"{path}: expected nothing there, or rows set aside before; move the file, or name another place"
        )
    write_table(table, path)


def write_table(table: pl.DataFrame, path: Path) -> None:
    """Write a file that appears only when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        partial = Path(folder) / path.name
        if path.suffix.lower() == ".csv":
            nested = [series for series in table if series.dtype.is_nested()]
            table.with_columns([text_of(series) for series in nested]).write_csv(partial)
        else:
            table.write_parquet(partial)
        os.replace(partial, path)
