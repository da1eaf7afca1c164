"""What is strange in a log whose rows are all readable: nobody is set aside for it, but everybody is told."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from shortlist.data.columns import FIRST_SECOND

DAY, YEAR = 86_400, 366 * 86_400
FEW = 10
MOST_OF_THE_LOG = 0.5
MUCH_OF_THE_LOG, TIMES_MEDIAN = 0.1, 20
MIDNIGHT_SHARE = 0.9
OLD_YEARS, OLD_SHARE = 20, 0.01


@dataclass(frozen=True)
class Suspicion:
    """A warning: the check's name, the end of a sentence, the column, and which rows (``None`` = all)."""

    check: str
    what: str
    column: str
    rows: pl.Series | None = None


def suspicions(log: pl.DataFrame, now: float) -> Iterator[Suspicion]:
    """Look at clean interactions.

    Args:
        log: standard columns; at least one row.
        now: Unix seconds.
    """
    for column in ("user_id", "item_id"):
        yield from _counts(log, column)
        yield from _spelling(log, column)
    if "rating" in log.columns:
        yield from _ratings(log["rating"])
    if "timestamp" in log.columns:
        yield from _times(log, now)
    if not times_are_usable(log):
        again = ~log.select("user_id", "item_id").to_struct("pair").is_first_distinct()
        if again.any():
            what = (
                "user and item are those of an earlier row; without usable times nothing tells repeats from duplicates"
            )
            yield Suspicion("repeated_events", what, "item_id", again)


def times_are_usable(log: pl.DataFrame) -> bool:
    return "timestamp" in log.columns and log["timestamp"].n_unique() > 1


def _counts(log: pl.DataFrame, column: str) -> Iterator[Suspicion]:
    """Few users or items; one that has most of the log."""
    kind: Literal["user", "item"] = "user" if column == "user_id" else "item"
    counts = log[column].value_counts().sort("count", column, descending=[True, False])
    if len(counts) < FEW:
        yield Suspicion(f"few_{kind}s", f"only {_number(len(counts), kind)}", column)
    if len(counts) < 3:
        return
    name, most = counts.row(0)
    share, median = most / len(log), float(np.median(counts["count"].to_numpy()))
    if share >= MOST_OF_THE_LOG or (share >= MUCH_OF_THE_LOG and most >= TIMES_MEDIAN * median):
        what = f"one {kind}, {name!r}, has {share:.0%} of the log (the median is {median:g})"
        yield Suspicion(f"dominant_{kind}", what + (": a bot?" if kind == "user" else ""), column, log[column] == name)


def _spelling(log: pl.DataFrame, column: str) -> Iterator[Suspicion]:
    if log[column].dtype != pl.String:
        return
    ids = log[column].unique()
    padded = ids.filter(ids != ids.str.strip_chars())
    if len(padded):
        what = f"{_number(len(padded), 'id')} with blanks around, such as {sorted(padded.head(20))[0]!r}"
        yield Suspicion("padded_ids", what, column, log[column].is_in(padded.implode()))
    folded = pl.DataFrame({"id": ids, "folded": ids.str.to_lowercase()})
    alike = folded.filter(pl.col("folded").is_duplicated())
    if len(alike):
        first = sorted(alike.filter(pl.col("folded") == alike["folded"].min())["id"])
        what = (
            f"{_number(len(alike), 'id')} that differ from others only in case, such as {first[0]!r} and {first[1]!r}"
        )
        yield Suspicion("ids_differ_in_case", what, column, log[column].is_in(alike["id"].implode()))


def _ratings(ratings: pl.Series) -> Iterator[Suspicion]:
    if ratings.null_count():
        yield Suspicion("missing_ratings", "events without a rating; they stay", "rating", ratings.is_null())
    known = ratings.drop_nulls()
    if len(known) > 1 and known.n_unique() == 1:
        yield Suspicion("equal_ratings", f"every rating is {known[0]:g}, so that ratings say nothing", "rating")


def _times(log: pl.DataFrame, now: float) -> Iterator[Suspicion]:
    times = log["timestamp"]
    if times.n_unique() == 1:
        if len(log) > 1:
            yield Suspicion("equal_times", f"every time is {times[0]}, so that times say nothing", "timestamp")
        return
    if float(times.max()) < FIRST_SECOND:  # type: ignore[arg-type]
        return
    midnight = times % DAY == 0
    if midnight.sum() > MIDNIGHT_SHARE * len(log):
        what = "times are days: what came first within a day is taken from the order of the file"
        yield Suspicion("times_at_midnight", what, "timestamp", midnight)
    future = times > now + DAY
    if future.any():
        yield Suspicion("future_times", "times after today", "timestamp", future)
    old = times < float(times.median()) - OLD_YEARS * YEAR  # type: ignore[arg-type]
    if 0 < old.sum() < OLD_SHARE * len(log):
        yield Suspicion("old_times", f"times more than {OLD_YEARS} years before the median", "timestamp", old)


def _number(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
