"""Parquet at the door: whole, or refused with what is wrong with it."""

from pathlib import Path

import polars as pl

from shortlist.data.validation.findings import Refusal

MAGIC = b"PAR1"


def read_parquet(path: Path) -> pl.DataFrame:
    """The table in a Parquet file.

    Raises:
        Refusal: there is no such file (``no_such_file``), its end is missing (``truncated_parquet``), or it is empty,
            damaged or something else (``damaged_parquet``).
    """
    if not path.is_file():
        raise Refusal("no_such_file", f"{path}: no such file")
    n_bytes = path.stat().st_size
    with path.open("rb") as file:
        begin = file.read(4)
        file.seek(max(n_bytes - 4, 0))
        end = file.read(4)
    if begin == MAGIC and (end != MAGIC or n_bytes < 12):
        raise Refusal(
            "truncated_parquet",
            f"{path}: not readable as Parquet: it begins as such a file, but its end is missing: it was cut off after "
            f"{n_bytes:,} bytes",
        )
    if begin != MAGIC:
        what = f"it begins with {begin!r} and not with {MAGIC!r}" if n_bytes else "the file is empty"
        raise Refusal("damaged_parquet", f"{path}: not readable as Parquet: {what}")
    try:
        return pl.read_parquet(path, glob=False)
    except (pl.exceptions.PolarsError, OSError, pl.exceptions.PanicException) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise Refusal("damaged_parquet", f"{path}: not readable as Parquet: {reason}") from error
