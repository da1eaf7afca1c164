"""Item attributes as arrays."""

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.data.dataset import attribute_kind
from shortlist.data.log import Floats


def encode_attributes(items: pl.DataFrame, most_values: int = 256) -> tuple[Floats, Floats, tuple[str, ...]]:
    """Attributes as arrays.

    Args:
        items: the catalogue.
        most_values: the most frequent values kept per category or list.

    Returns:
        Indicators of categories and lists, float32 (n_items, n_values), rows of length one (or zero); standardised
        numbers and dates, float32 (n_items, n_numbers), ``nan`` = not given; the names of the latter.
    """
    indicators: list[NDArray[np.float32]] = []
    numbers: list[NDArray[np.float32]] = []
    names: list[str] = []
    for series in items.drop("item_id"):
        kind = attribute_kind(series)
        if kind in ("category", "list"):
            indicators += _indicators(series, most_values)
        elif kind in ("number", "date"):
            values = series.cast(pl.Datetime("us")).dt.epoch("s") if kind == "date" else series
            column = values.cast(pl.Float64).fill_null(np.nan).to_numpy()
            if np.isfinite(column).any() and np.nanstd(column) > 0:
                numbers.append(((column - np.nanmean(column)) / np.nanstd(column)).astype(np.float32))
                names.append(series.name)
    table = np.stack(indicators, axis=1) if indicators else np.zeros((len(items), 0), dtype=np.float32)
    table /= np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-12)
    stacked = np.stack(numbers, axis=1) if numbers else np.zeros((len(items), 0), dtype=np.float32)
    return table.astype(np.float32), stacked, tuple(names)


def _indicators(series: pl.Series, most_values: int) -> Iterator[NDArray[np.float32]]:
    """One column per frequent value."""
    nested = isinstance(series.dtype, pl.List)
    rows = pl.DataFrame({"row": np.arange(len(series)), "value": series if nested else series.cast(pl.String)})
    pairs = (rows.explode("value") if nested else rows).drop_nulls()
    frequent = pairs.group_by("value").len().sort("len", "value", descending=[True, False]).head(most_values)
    for value in frequent["value"].to_list():
        column = np.zeros(len(series), dtype=np.float32)
        column[pairs.filter(pl.col("value") == value)["row"].to_numpy()] = 1
        yield column
