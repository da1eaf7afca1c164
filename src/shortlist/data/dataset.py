"""Dataset: interactions, items and users as validated polars frames."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from shortlist.data import columns as door
from shortlist.data import csv_files
from shortlist.data.columns import FIRST_SECOND, STANDARD, Frame, place, refuse, rename_columns, suggest
from shortlist.data.log import Log, Mask
from shortlist.data.parquet_files import read_parquet
from shortlist.data.vocabulary import Vocabulary
from shortlist.errors import DataError

TimeKind = Literal["seconds", "order", "none"]
AttributeKind = Literal["category", "list", "number", "text", "date"]
Table = pl.DataFrame | None
REPEATS = 0.1
"""From this share of repeated (user, item) pairs on, the data are of the kind in which people come back to things, and
answers do not leave seen items out by default."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """What happened, and to what.

    Build it with `from_frames`, `from_csv` or `from_parquet`.

    Attributes:
        interactions: one row per event in file order: ``user_id`` and ``item_id`` (Int64 or String) and, where given,
            ``timestamp`` (Int64 Unix seconds, UTC), ``rating`` (Float64), ``weight`` (Float64), ``event`` (String),
            then any other column as it came.
        items: the catalogue: ``item_id`` and attributes; the rows given, then items found only in the interactions.
        users: ``user_id`` and attributes; likewise.
        notes: what was noticed or converted while reading, one sentence each.
        name: how reports call it.
        given_items: the item table as given, without the items found only in the interactions; ``None`` = none.
        given_users: likewise.
        whole_time_kind: the `time_kind` of the data set that these interactions were taken from, if they were.
        validation: the `summary` of the validation that the data went through, JSON; ``None`` = through none.

    >>> log = pl.DataFrame({"user_id": [1, 1], "item_id": ["a", "b"], "rating": [4, 5]})
    >>> dataset = Dataset.from_frames(log)
    >>> dataset.items["item_id"].to_list(), dataset.time_kind
    (['a', 'b'], 'none')
    """

    interactions: pl.DataFrame
    items: pl.DataFrame
    users: pl.DataFrame
    notes: tuple[str, ...] = ()
    name: str = ""
    given_items: Table = None
    given_users: Table = None
    whole_time_kind: TimeKind | None = None
    validation: dict[str, Any] | None = None

    @classmethod
    def from_frames(
        cls,
        interactions: Frame,
        items: Frame | None = None,
        users: Frame | None = None,
        columns: Mapping[str, str] | None = None,
        *,
        notes: Sequence[str] = (),
        name: str = "",
    ) -> "Dataset":
        """Check and convert tables: polars, pandas, Arrow, or mappings of columns.

        Args:
            interactions: one row per event; needs a user and an item, the rest is optional.
            items: one row per item: its id and attributes of any number (category, list of categories, number,
                text, date).
            users: one row per user, likewise.
            columns: standard name -> the name in your tables, for example ``{"user_id": "customer"}``. It holds for
                all three tables, but in ``items`` and ``users`` only for the id and the attributes. A column that
                had the standard name gives way. ``{"customer": "user_id"}`` is understood where it is unambiguous.
            notes: sentences to carry along.
            name: how reports call the data.

        Raises:
            DataError: a column is missing or of a wrong type, an id is null or given twice, or there is no row; the
                message names table, row (counted from 0), column and value.
        """
        sources = {"interactions": interactions, "items": items, "users": users}
        return cls._checked(sources, {kind: kind for kind in sources}, columns or {}, notes, name)

    @classmethod
    def from_csv(
        cls,
        interactions: str | Path,
        items: str | Path | None = None,
        users: str | Path | None = None,
        columns: Mapping[str, str] | None = None,
        *,
        separator: str = ",",
        list_separator: str = "|",
        name: str = "",
    ) -> "Dataset":
        """Read CSV files (UTF-8, a header, ``"`` around values that need it).

        Columns become integers, numbers, truth values or dates where every value is one; ids only where they are
        integers in all the tables. What has a leading zero stays text.

        Args:
            columns: as in `from_frames`.
            separator: between columns, one character.
            list_separator: an item or user attribute in which any value holds it becomes a list of categories;
                ``""`` = none does.

        Raises:
            DataError: as `from_frames`, or a file is missing, empty, ragged or not UTF-8, or seems to have another
                separator; the message names file, row (from 0) and line (from 1).
        """
        paths = {"interactions": interactions, "items": items, "users": users}
        origins = {kind: csv_files.CsvFile(path, separator) for kind, path in paths.items() if path is not None}
        text = {kind: csv_files.read_text(origins[kind]) if kind in origins else None for kind in paths}
        frames = rename_columns(text, columns or {})
        return cls._checked(_typed(frames, list_separator), origins, {}, (), name)

    @classmethod
    def from_parquet(
        cls,
        interactions: str | Path,
        items: str | Path | None = None,
        users: str | Path | None = None,
        columns: Mapping[str, str] | None = None,
        *,
        name: str = "",
    ) -> "Dataset":
        """Read Parquet files; arguments and errors as in `from_frames`, or a file is missing or damaged."""
        paths = {"interactions": interactions, "items": items, "users": users}
        frames = {kind: None if path is None else read_parquet(Path(path)) for kind, path in paths.items()}
        return cls._checked(frames, {kind: str(path) for kind, path in paths.items()}, columns or {}, (), name)

    @classmethod
    def _checked(
        cls,
        tables: Mapping[str, Frame | None],
        origins: Mapping[str, str],
        columns: Mapping[str, str],
        notes: Sequence[str],
        name: str,
    ) -> "Dataset":
        if tables["interactions"] is None:
            raise DataError("interactions: expected a table, got None")
        read = {kind: None if table is None else door.to_polars(table, origins[kind]) for kind, table in tables.items()}
        frames = rename_columns(read, columns)
        interactions, notices = _check_interactions(frames["interactions"], origins["interactions"])
        items, users = (
            None if (table := frames[kind]) is None else _check_attributes(table, key, interactions, origins[kind])
            for kind, key in (("items", "item_id"), ("users", "user_id"))
        )
        return cls.assemble(interactions, items, users, notes=(*notes, *notices), name=name)

    @classmethod
    def assemble(
        cls, interactions: pl.DataFrame, items: Table, users: Table, *, notes: Sequence[str] = (), name: str = ""
    ) -> "Dataset":
        """Join tables that have already been checked."""
        return cls(
            interactions,
            _complete(items, interactions, "item_id"),
            _complete(users, interactions, "user_id"),
            tuple(notes),
            name,
            items,
            users,
        )

    def with_interactions(self, interactions: pl.DataFrame) -> "Dataset":
        """The same items and users as given, with some of these interactions; their times stay of the same kind."""
        part = self.assemble(interactions, self.given_items, self.given_users, notes=self.notes, name=self.name)
        return replace(part, whole_time_kind=self.time_kind, validation=self.validation)

    def __len__(self) -> int:
        return len(self.interactions)

    def __repr__(self) -> str:
        label = f" {self.name!r}" if self.name else ""
        return (
            f"<Dataset{label}: {len(self):,} interactions, {len(self.users):,} users, {len(self.items):,} items, "
            f"time: {self.time_kind}>"
        )

    @cached_property
    def user_vocabulary(self) -> Vocabulary:
        return Vocabulary(self.users["user_id"])

    @cached_property
    def item_vocabulary(self) -> Vocabulary:
        return Vocabulary(self.items["item_id"])

    @property
    def has_ratings(self) -> bool:
        return "rating" in self.interactions.columns and self.interactions["rating"].null_count() < len(self)

    @cached_property
    def time_kind(self) -> TimeKind:
        """``seconds``; ``order`` where times only say what came first; ``none`` where there are none or all equal."""
        if self.whole_time_kind is not None:
            return self.whole_time_kind
        if "timestamp" not in self.interactions.columns or self.interactions["timestamp"].n_unique() < 2:
            return "none"
        return "seconds" if float(self.interactions["timestamp"].max()) >= FIRST_SECOND else "order"  # type: ignore[arg-type]

    @cached_property
    def repeat_share(self) -> float:
        """The share of events in which a user takes up an item again, in [0, 1)."""
        taken = self.interactions.group_by("user_id").agg(pl.col("item_id").n_unique())["item_id"]
        return 1 - int(taken.sum()) / len(self) if len(self) else 0.0

    def log(self, min_rating: float | None = None, events: Sequence[str] = ()) -> Log:
        """The interactions in row numbers, in order of time (file order among equal times).

        Args:
            min_rating: an event with a lower rating is not a positive (its weight becomes 0); events without a
                rating stay.
            events: only these values of ``event`` are positives; empty = all.

        Raises:
            DataError: there is no column to decide by, or no event of the kinds asked for.
        """
        frame = self.interactions
        n = len(frame)
        times = frame["timestamp"].to_numpy() if self.time_kind != "none" else np.arange(n)
        order = np.argsort(times, kind="stable")
        weights = frame["weight"].to_numpy() if "weight" in frame.columns else np.ones(n)
        positive = self._positive(min_rating, events)
        ratings = frame["rating"].fill_null(float("nan")).to_numpy() if self.has_ratings else np.full(n, np.nan)
        return Log(
            self.user_vocabulary.rows(frame["user_id"])[order],
            self.item_vocabulary.rows(frame["item_id"])[order],
            times[order].astype(np.int64),
            ratings[order].astype(np.float32),
            np.where(positive, weights, 0)[order].astype(np.float32),
            len(self.users),
            len(self.items),
            self.time_kind == "seconds",
        )

    def _positive(self, min_rating: float | None, events: Sequence[str]) -> Mask:
        """bool (n,), in file order: which events count as positive."""
        frame = self.interactions
        positive = np.ones(len(frame), dtype=bool)
        if min_rating is not None:
            if "rating" not in frame.columns:
                raise DataError(f"min_rating = {min_rating:g}: expected a column 'rating', but there is none")
            positive &= (frame["rating"] >= min_rating).fill_null(True).to_numpy()
        if events:
            if "event" not in frame.columns:
                raise DataError(f"events = {events!r}: expected a column 'event', but there is none")
            kinds = [events] if isinstance(events, str) else list(events)
            chosen = frame["event"].is_in(kinds).fill_null(False).to_numpy()
            if len(chosen) and not chosen.any():
                have = frame["event"].drop_nulls().unique().sort().head(10).to_list()
                raise DataError(f"events = {events!r}: expected at least one such event, found only {have}")
            positive &= chosen
        return positive

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the interactions (standard columns, in file order), items and users.

        The same for the same data in the same order, whatever types they came in; the name and notes do not count.
        """
        digest = hashlib.sha256()
        standard = [name for name in STANDARD if name in self.interactions.columns]
        for frame in (self.interactions.select(standard), self.items, self.users):
            for series in frame:
                digest.update(f"{series.name}\0{series.dtype}\0{len(series)}\0".encode())
                digest.update(_bytes_of(series))
        return digest.hexdigest()

    def renamed(self, name: str) -> "Dataset":
        return replace(self, name=name)


def attribute_kind(series: pl.Series) -> AttributeKind:
    """What an attribute is: a text column with few distinct short values is a category.

    >>> attribute_kind(pl.Series(["Drama", "Comedy", "Drama"]))
    'category'
    """
    if isinstance(series.dtype, pl.List):
        return "list"
    if series.dtype == pl.Date or isinstance(series.dtype, pl.Datetime):
        return "date"
    if series.dtype.is_numeric():
        return "number"
    if series.dtype == pl.Boolean:
        return "category"
    return "category" if series.n_unique() <= max(2, len(series) // 2) else "text"


def _check_interactions(frame: pl.DataFrame, origin: str) -> tuple[pl.DataFrame, list[str]]:
    _need(frame, ("user_id", "item_id"), origin)
    if not len(frame):
        raise DataError(f"{origin}: expected at least one interaction, got an empty table")
    made: dict[str, pl.Series] = {}
    notices: list[str] = []
    for name in (name for name in STANDARD if name in frame.columns):
        series = frame[name]
        if name in ("user_id", "item_id"):
            made[name] = door.as_ids(series, origin, name)
        elif name == "timestamp":
            made[name], notice = door.as_timestamps(series, origin, name)
            notices += [notice] if notice else []
        elif name == "event":
            made[name] = door.as_events(series, origin, name)
        elif name == "rating":
            made[name] = door.as_numbers(series, origin, name, nulls=True)
        else:
            made[name] = door.as_numbers(series, origin, name, nulls=False, least=0)
    extras = [column for column in frame.columns if column not in STANDARD]
    return pl.DataFrame(made).hstack(frame.select(extras)), notices


def _check_attributes(frame: pl.DataFrame, key: str, interactions: pl.DataFrame, origin: str) -> pl.DataFrame:
    _need(frame, (key,), origin)
    kind = interactions[key].dtype
    ids = door.as_ids(frame[key], origin, key) if len(frame) else pl.Series(key, [], dtype=kind)
    refuse(origin, key, ids, ~ids.is_first_distinct(), "each id once, but it was in a row above")
    if ids.dtype != kind:
        raise DataError(
            f"{place(origin, 0)}, column {key!r}: got {ids[0]!r} ({ids.dtype}), expected {kind} "
            f"as in the interactions ({interactions[key][0]!r}): ids of another kind join with nothing"
        )
    attributes = [check_attribute(frame[column], origin) for column in frame.columns if column != key]
    return pl.DataFrame([ids.alias(key), *attributes])


def check_attribute(series: pl.Series, origin: str) -> pl.Series:
    """An attribute in the type in which it is kept."""
    kind = series.dtype
    if kind in (pl.Null, pl.Categorical) or isinstance(kind, pl.Enum):
        return series.cast(pl.String)
    if isinstance(kind, pl.Array):
        return check_attribute(series.arr.to_list(), origin)
    if isinstance(kind, pl.List) and not kind.inner.is_nested():
        return series.cast(pl.List(pl.String))
    if kind.is_decimal() or kind.is_float():
        numbers = series.cast(pl.Float64).fill_nan(None)
        refuse(origin, series.name, series, numbers.is_infinite().fill_null(False), "a finite number or null")
        return numbers
    if kind.is_numeric() or kind in (pl.String, pl.Boolean, pl.Date) or isinstance(kind, pl.Datetime):
        return series
    raise DataError(
        f"{origin}, column {series.name!r}: got type {kind}, expected a category, a list of categories, a number, "
        "a text or a date"
    )


def _complete(given: Table, interactions: pl.DataFrame, key: str) -> pl.DataFrame:
    """The rows given, then the ids found only in the interactions, sorted, without attributes."""
    found = interactions.select(pl.col(key).unique().sort())
    if given is None:
        return found
    missing = found.join(given, on=key, how="anti").sort(key)
    return pl.concat([given, missing], how="diagonal")


def _need(frame: pl.DataFrame, names: Sequence[str], origin: str) -> None:
    for name in names:
        if name not in frame.columns:
            raise DataError(
                f"{origin}: column {name!r} is missing; {suggest(name, frame.columns)} "
                f'If it has another name there, say columns={{"{name}": "…"}}'
            )


def _typed(frames: Mapping[str, Table], list_separator: str) -> dict[str, Table]:
    """Text from CSV as types: ids alike in all tables; times, ratings and the like are left to their own checks."""
    typed = dict(frames)
    for kind, frame in frames.items():
        if frame is None:
            continue
        left = STANDARD if kind == "interactions" else (f"{kind[:-1]}_id",)
        free = [frame[column] for column in frame.columns if column not in left]
        if kind != "interactions":
            free = [csv_files.split_lists(series, list_separator) for series in free]
        typed[kind] = frame.with_columns([csv_files.typed(s) if s.dtype == pl.String else s for s in free])
    for key, kind in (("user_id", "users"), ("item_id", "items")):
        having = [k for k in ("interactions", kind) if (table := typed[k]) is not None and key in table.columns]
        ids = csv_files.typed_ids([typed[k][key] for k in having])  # type: ignore[index]
        for k, series in zip(having, ids, strict=True):
            typed[k] = typed[k].with_columns(series)  # type: ignore[union-attr]
    return typed


def _bytes_of(series: pl.Series) -> bytes:
    """The values as bytes that do not depend on how they are stored."""
    if series.dtype.is_numeric():
        nulls = series.is_null().to_numpy().tobytes()
        return nulls + series.fill_null(0).to_numpy().tobytes()
    return series.to_frame().write_ndjson().encode()
