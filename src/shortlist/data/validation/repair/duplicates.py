"""The same event twice."""

import polars as pl

EVENT = ("user_id", "item_id", "timestamp", "event")
"""What makes an event the same event."""
SAYS = ("rating", "weight")
"""In what two rows of one event can contradict each other."""


def duplicate_rows(log: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    """Which rows repeat an event: bool ``(exact, conflicting)``; of every event one row is in neither.

    Where all rows of an event say the same, the first stays and the others are exact. Where they do not, the last
    stays: those that say the same as it are exact, the others conflicting.

    Args:
        log: clean interactions with usable times.

    >>> log = pl.DataFrame({"user_id": [1] * 4, "item_id": [7, 7, 8, 8], "timestamp": [5] * 4, "rating": [3, 3, 1, 2]})
    >>> [rows.to_list() for rows in duplicate_rows(log)]
    [[False, True, False, False], [False, False, True, False]]
    """
    key = [name for name in EVENT if name in log.columns]
    says = [name for name in SAYS if name in log.columns]
    doubled = log.select(key).is_duplicated()
    rows = log.select(*key, *says).with_row_index("n").filter(doubled)
    if not len(rows):
        return doubled, doubled
    alike = pl.all_horizontal(pl.lit(True), *(pl.col(name).eq_missing(pl.col(name).last().over(key)) for name in says))
    rows = rows.with_columns(alike.alias("alike"), pl.col("n").first().over(key).alias("first"))
    rows = rows.with_columns(pl.col("alike").all().over(key).alias("agree"), pl.col("n").last().over(key).alias("last"))
    stays = pl.col("n") == pl.when(pl.col("agree")).then(pl.col("first")).otherwise(pl.col("last"))
    exact = rows.filter(~stays & pl.col("alike"))["n"]
    conflicting = rows.filter(~stays & ~pl.col("alike"))["n"]
    return _at(exact, len(log)), _at(conflicting, len(log))


def _at(rows: pl.Series, n: int) -> pl.Series:
    """bool (n,): true at these rows."""
    return pl.Series([False]).new_from_index(0, n).scatter(rows, True)
