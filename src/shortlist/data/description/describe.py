"""Look at a log before training: sizes, long tail, times, repeats, ratings, attributes, cold start, the target."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.data.columns import STANDARD
from shortlist.data.dataset import REPEATS, Dataset, attribute_kind
from shortlist.data.description.figures import (
    Attribute,
    ColdStart,
    Description,
    LongTail,
    Moment,
    Numbers,
    Period,
    Repeats,
    Sessions,
    Sizes,
    Spread,
    Times,
)
from shortlist.data.split import DAY, split_time

Counts = NDArray[np.int64]
PERIODS = ("1d", "1w", "1mo", "1q", "1y", "10y", "100y")
MOST_PERIODS = 40
SESSION_SECONDS = 1_800
MOST_VALUES = 12


def describe(dataset: Dataset) -> Description:
    """What is in a data set, and what it is good for.

    Everything is counted on all rows, a million of them in seconds. Nothing is changed or left out.

    >>> log = {"user_id": [1, 1, 2], "item_id": ["a", "b", "a"], "rating": [3, 5, 4]}
    >>> found = describe(Dataset.from_frames(log))
    >>> found.sizes.density, found.long_tail.top_item, found.ratings.mean, found.suggestion.target
    (0.75, ('a', 0.6666666666666666), 4.0, 'random')
    """
    interactions = dataset.interactions
    per_user, per_item = (_counts(interactions, key) for key in ("user_id", "item_id"))
    return Description(
        name=dataset.name,
        notes=dataset.notes,
        sizes=_sizes(dataset, per_user["len"].to_numpy(), per_item["len"].to_numpy()),
        long_tail=_long_tail(per_user, per_item),
        times=_times(dataset),
        repeats=_repeats(dataset),
        ratings=_numbers(interactions, "rating"),
        weights=_numbers(interactions, "weight"),
        events=_events(interactions),
        other_columns=tuple(name for name in interactions.columns if name not in STANDARD),
        attributes=(*_attributes("items", dataset.items), *_attributes("users", dataset.users)),
        cold_start=_cold_start(dataset),
        validation=dataset.validation,
    )


def _counts(interactions: pl.DataFrame, key: str) -> pl.DataFrame:
    """``key`` and ``len``, the most frequent first; among equals by id."""
    counts = interactions.group_by(key).len().with_columns(pl.col("len").cast(pl.Int64))
    return counts.sort("len", key, descending=[True, False])


def _sizes(dataset: Dataset, per_user: Counts, per_item: Counts) -> Sizes:
    pairs = round(len(dataset) * (1 - dataset.repeat_share))
    return Sizes(
        len(dataset),
        len(per_user),
        len(per_item),
        pairs / (len(per_user) * len(per_item)),
        int((per_user == 1).sum()),
        len(dataset.users) - len(per_user),
        len(dataset.items) - len(per_item),
        Spread.of(per_user),
        Spread.of(per_item),
    )


def _long_tail(per_user: pl.DataFrame, per_item: pl.DataFrame) -> LongTail:
    counts = per_item["len"].to_numpy()
    n, total = len(counts), int(counts.sum())
    ranks = np.arange(n, 0, -1)  # 1 = the rarest

    def share_of_top(percent: int) -> float:
        return float(counts[: -(-n * percent // 100)].sum() / total)

    def top(frame: pl.DataFrame) -> tuple[Any, float]:
        return frame.row(0)[0], frame.row(0)[1] / total

    return LongTail(
        share_of_top(1),
        share_of_top(10),
        float(2 * (ranks * counts).sum() / (n * total) - (n + 1) / n),
        int((counts == 1).sum()),
        top(per_item),
        top(per_user),
    )


def _times(dataset: Dataset) -> Times:
    kind = dataset.time_kind
    if kind == "none":
        return Times(kind)
    events = dataset.interactions.select("user_id", "timestamp")
    first, last = (int(value) for value in events.select(pl.min("timestamp"), pl.max("timestamp").alias("last")).row(0))
    together = events.group_by("user_id", "timestamp").len()["len"]
    tied_share = int(together.filter(together > 1).sum()) / len(events)
    if kind == "order":
        return Times(kind, first, last, tied_share=tied_share)
    moments = events["timestamp"].unique().sort()
    gaps = moments.diff().fill_null(0)
    widest = int(gaps.arg_max() or 0)
    period, periods = _periods(events)
    return Times(
        kind,
        said(first),
        said(last),
        (last - first) / DAY,
        tied_share,
        period,
        periods,
        int(gaps[widest]) / DAY,
        said(int(moments[max(widest - 1, 0)])),
        _sessions(events),
    )


def said(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _periods(events: pl.DataFrame) -> tuple[str, tuple[Period, ...]]:
    """The shortest periods of which at most forty cover the log."""
    dated = events.select("user_id", pl.from_epoch("timestamp", "s").alias("date"))
    first, last = dated.select(pl.min("date"), pl.max("date").alias("last")).row(0)
    for period in PERIODS:
        ends = pl.Series([first, last]).dt.truncate(period)
        starts = pl.datetime_range(ends[0], ends[1], period, eager=True)
        if len(starts) <= MOST_PERIODS:
            break
    counted = (
        dated.group_by(pl.col("date").dt.truncate(period))
        .agg(pl.len(), pl.col("user_id").n_unique().alias("users"))
        .join(starts.alias("date").to_frame(), on="date", how="right")
        .select("date", pl.col("len", "users").fill_null(0))
        .sort("date")
    )
    return period, tuple(Period(f"{start:%Y-%m-%d}", n, users) for start, n, users in counted.iter_rows())


def _sessions(events: pl.DataFrame) -> Sessions:
    ordered = events.sort("user_id", "timestamp").with_columns(
        ((pl.col("timestamp") - pl.col("timestamp").shift(1)) >= SESSION_SECONDS).fill_null(True).alias("pause"),
        (pl.col("user_id") != pl.col("user_id").shift(1)).fill_null(True).alias("other"),
    )
    begun = ordered.filter(pl.col("pause") | pl.col("other"))
    per_user = begun.group_by("user_id").len()["len"].to_numpy()
    return Sessions(len(begun), Spread.of(per_user), float((per_user == 1).mean()))


def _repeats(dataset: Dataset) -> Repeats:
    key = ["user_id", "item_id", *(["timestamp"] if dataset.time_kind != "none" else [])]
    exact = 1 - dataset.interactions.select(key).n_unique() / len(dataset)
    return Repeats(dataset.repeat_share, exact, dataset.repeat_share < REPEATS)


def _numbers(interactions: pl.DataFrame, column: str) -> Numbers | None:
    values = interactions[column].drop_nulls() if column in interactions.columns else pl.Series(dtype=pl.Float64)
    if not len(values):
        return None
    array = values.to_numpy()
    by_value = values.value_counts().sort(column)
    if len(by_value) <= MOST_VALUES:
        counts = [{"least": value, "most": value, "events": n} for value, n in by_value.iter_rows()]
    else:
        numbers, edges = np.histogram(array, bins=10)
        bins = zip(edges[:-1].tolist(), edges[1:].tolist(), numbers.tolist(), strict=True)
        counts = [{"least": least, "most": most, "events": n} for least, most, n in bins]
    return Numbers(
        1 - len(values) / len(interactions),
        float(array.min()),
        float(array.max()),
        float(array.mean()),
        float(array.std()),
        len(by_value),
        tuple(counts),
    )


def _events(interactions: pl.DataFrame) -> dict[str | None, int] | None:
    if "event" not in interactions.columns:
        return None
    counts = interactions.group_by("event").len().sort("len", "event", descending=[True, False], nulls_last=True)
    return dict(counts.head(MOST_VALUES).iter_rows())


def _attributes(table: Literal["items", "users"], frame: pl.DataFrame) -> Iterator[Attribute]:
    yield from (_attribute(table, series) for series in frame.drop(f"{table[:-1]}_id"))


def _attribute(table: Literal["items", "users"], series: pl.Series) -> Attribute:
    kind = attribute_kind(series)
    empty = series.is_null() | (series.list.len() == 0) if kind == "list" else series.is_null()
    values = series.filter(~empty)
    given = len(values) / len(series)
    if kind == "list":
        values = values.explode().drop_nulls()
    bounds: tuple[Any, Any] = (values.min(), values.max()) if kind in ("number", "date") else (None, None)
    if kind == "date":
        bounds = tuple(None if one is None else one.isoformat() for one in bounds)  # type: ignore[assignment]
    return Attribute(table, series.name, kind, given, values.n_unique(), *bounds)


def _cold_start(dataset: Dataset) -> ColdStart | None:
    if dataset.time_kind == "none" or dataset.interactions["timestamp"].n_unique() < 2:
        return None
    before, after = (part.interactions for part in split_time(dataset))
    cut = int(after["timestamp"].min())  # type: ignore[arg-type]
    warm = after.join(before, on="user_id", how="semi")
    known_items = after.join(before, on="item_id", how="semi")
    moment: Moment = said(cut) if dataset.time_kind == "seconds" else cut
    return ColdStart(
        moment,
        len(after),
        after["user_id"].n_unique(),
        warm["user_id"].n_unique(),
        1 - len(warm) / len(after),
        1 - len(known_items) / len(after),
    )
