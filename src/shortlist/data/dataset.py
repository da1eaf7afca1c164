"""Dataset: interactions, items and users as validated polars frames."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from shortlist.data import columns as door
from shortlist.data.log import Log
from shortlist.data.vocabulary import Vocabulary
from shortlist.errors import DataError

STANDARD = ("user_id", "item_id", "timestamp", "rating", "weight", "event")
FIRST_SECOND = 10**8
"""Times below this (March 1973) are not Unix seconds of anybody's log: they are an order."""

TimeKind = Literal["seconds", "order", "none"]
AttributeKind = Literal["category", "list", "number", "text", "date"]
Table = pl.DataFrame | None


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

    @classmethod
    def from_frames(
        cls,
        interactions: door.Frame,
        items: door.Frame | None = None,
        users: door.Frame | None = None,
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
            columns: standard name -> the name in your tables, for example ``{"user_id": "customer"}``; it holds for
                all three tables.
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
        """Read CSV files with a header, UTF-8.

        Args:
            columns: as in `from_frames`.
            separator: between columns.
            list_separator: an item or user attribute in which any value holds it becomes a list of categories.

        Raises:
            DataError: as `from_frames`, or a file is missing, empty, ragged or not UTF-8.
        """

        def read(path: Path) -> pl.DataFrame:
            return pl.read_csv(path, separator=separator, infer_schema_length=None)

        files = _read_all({"interactions": interactions, "items": items, "users": users}, read)
        for kind in ("items", "users"):
            if files[kind] is not None:
                files[kind] = _split_lists(files[kind], list_separator)
        return cls._checked(files, _origins(interactions, items, users), columns or {}, (), name)

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
        """Read Parquet files; arguments and errors as in `from_csv`."""
        files = _read_all({"interactions": interactions, "items": items, "users": users}, pl.read_parquet)
        return cls._checked(files, _origins(interactions, items, users), columns or {}, (), name)

    @classmethod
    def _checked(
        cls,
        tables: Mapping[str, door.Frame | None],
        origins: Mapping[str, str],
        columns: Mapping[str, str],
        notes: Sequence[str],
        name: str,
    ) -> "Dataset":
        frames = {
            kind: None if table is None else _rename(door.to_polars(table, origins[kind]), columns)
            for kind, table in tables.items()
        }
        if frames["interactions"] is None:
            raise DataError("interactions: expected a table, got None")
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
        """The same items and users as given, with some of these interactions."""
        return self.assemble(
            interactions, self.given_items, self.given_users, notes=self.notes, name=self.name
        )

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
        if "timestamp" not in self.interactions.columns or self.interactions["timestamp"].n_unique() == 1:
            return "none"
        return "seconds" if float(self.interactions["timestamp"].max()) >= FIRST_SECOND else "order"  # type: ignore[arg-type]

    @cached_property
    def repeat_share(self) -> float:
        """The share of events in which a user takes up an item again, in [0, 1)."""
        return 1 - self.interactions.select("user_id", "item_id").n_unique() / len(self)

    def log(self, min_rating: float | None = None, events: Sequence[str] = ()) -> Log:
        """The interactions in row numbers, in order of time (file order among equal times).

        Args:
            min_rating: an event with a lower rating is not a positive (its weight becomes 0); events without a
                rating stay.
            events: only these values of ``event`` are positives; empty = all.
        """
        frame = self.interactions
        n = len(frame)
        times = frame["timestamp"].to_numpy() if self.time_kind != "none" else np.arange(n)
        order = np.argsort(times, kind="stable")
        weights = frame["weight"].to_numpy() if "weight" in frame.columns else np.ones(n)
        ratings = frame["rating"].fill_null(float("nan")).to_numpy() if self.has_ratings else np.full(n, np.nan)
        positive = ~(ratings < min_rating) if min_rating is not None else np.ones(n, dtype=bool)
        if events:
            positive &= frame["event"].is_in(list(events)).fill_null(False).to_numpy()
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

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the interactions and the ids, in order: the same for the same data in the same order."""
        digest = hashlib.sha256()
        log = self.log()
        for array in (log.user_rows, log.item_rows, log.timestamps, log.ratings, log.weights):
            digest.update(array.tobytes())
        for ids in (self.users["user_id"], self.items["item_id"]):
            digest.update("\n".join(map(str, ids.to_list())).encode())
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
    present = [name for name in STANDARD if name in frame.columns]
    made: dict[str, pl.Series] = {}
    notices: list[str] = []
    for name in present:
        series = frame[name]
        if name in ("user_id", "item_id"):
            made[name] = door.as_ids(series, origin, name)
        elif name == "timestamp":
            made[name], notice = door.as_timestamps(series, origin, name)
            notices += [notice] if notice else []
        elif name == "event":
            made[name] = series.cast(pl.String)
        else:
            made[name] = door.as_numbers(
                series, origin, name, nulls=name == "rating", least=0 if name == "weight" else -float("inf")
            )
    extras = [column for column in frame.columns if column not in STANDARD]
    return pl.DataFrame(made).hstack(frame.select(extras)), notices


def _check_attributes(frame: pl.DataFrame, key: str, interactions: pl.DataFrame, origin: str) -> pl.DataFrame:
    _need(frame, (key,), origin)
    ids = door.as_ids(frame[key], origin, key)
    door.refuse(origin, key, ids, ids.is_duplicated(), "each id once")
    if len(ids) and ids.dtype != interactions[key].dtype:
        raise DataError(
            f"{origin}, row 0, column {key!r}: got {ids[0]!r} ({ids.dtype}), expected {interactions[key].dtype} "
            f"as in the interactions ({interactions[key][0]!r}): ids of another kind join with nothing"
        )
    attributes = [_check_attribute(frame[column], origin) for column in frame.columns if column != key]
    return pl.DataFrame([ids.cast(interactions[key].dtype).alias(key), *attributes])


def _check_attribute(series: pl.Series, origin: str) -> pl.Series:
    kind = series.dtype
    if kind == pl.Categorical or isinstance(kind, pl.Enum):
        return series.cast(pl.String)
    if isinstance(kind, pl.Array):
        return _check_attribute(series.arr.to_list(), origin)
    if isinstance(kind, pl.List) and kind.inner != pl.String:
        inner = series.explode()
        if inner.dtype.is_nested():
            raise DataError(f"{origin}, column {series.name!r}: got {kind}, expected a list of categories")
        return series.cast(pl.List(pl.String))
    plain = kind.is_numeric() or kind in (pl.String, pl.Boolean, pl.Date, pl.Null)
    if plain or isinstance(kind, pl.List | pl.Datetime):
        return series.cast(pl.String) if kind == pl.Null else series
    raise DataError(
        f"{origin}, column {series.name!r}: got type {kind}, expected a category, a list of categories, a number, "
        "a text or a date"
    )


def _complete(given: Table, interactions: pl.DataFrame, key: str) -> pl.DataFrame:
    """The rows given, then the ids found only in the interactions, sorted, without attributes."""
    found = interactions.select(pl.col(key).unique().sort())
    if given is None:
        return found
    return pl.concat([given, found.join(given, on=key, how="anti")], how="diagonal")


def _need(frame: pl.DataFrame, names: Sequence[str], origin: str) -> None:
    for name in names:
        if name not in frame.columns:
            raise DataError(
                f"{origin}: column {name!r} is missing; the table has {', '.join(map(repr, frame.columns)) or 'none'}. "
                f'If it has another name there, say columns={{"{name}": "…"}}'
            )


def _rename(frame: pl.DataFrame, columns: Mapping[str, str]) -> pl.DataFrame:
    mapping = {theirs: standard for standard, theirs in columns.items() if theirs in frame.columns}
    taken = [name for theirs, name in mapping.items() if name in frame.columns and name != theirs]
    frame = frame.drop([name for name in taken if name not in mapping])
    return frame.rename(mapping)


def _origins(*paths: str | Path | None) -> dict[str, str]:
    return dict(zip(("interactions", "items", "users"), map(str, paths), strict=True))


def _read_all(paths: Mapping[str, str | Path | None], read: object) -> dict[str, pl.DataFrame | None]:
    return {kind: None if path is None else _read(Path(path), read) for kind, path in paths.items()}


def _read(path: Path, read: object) -> pl.DataFrame:
    assert callable(read)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        frame: pl.DataFrame = read(path)
    except pl.exceptions.NoDataError as error:
        raise DataError(f"{path}: the file is empty") from error
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not readable: {str(error).splitlines()[0]}") from error
    return frame


def _split_lists(frame: pl.DataFrame | None, separator: str) -> pl.DataFrame | None:
    assert frame is not None
    lists = [
        series.name
        for series in frame
        if series.dtype == pl.String and series.str.contains(separator, literal=True).any()
    ]
    return frame.with_columns(pl.col(lists).str.split(separator)) if lists else frame
