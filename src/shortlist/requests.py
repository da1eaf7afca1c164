"""The caller's words -> queries: users, histories, moments and filters, checked and turned into row numbers."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.data.columns import LAST_SECOND, to_polars
from shortlist.data.log import Floats, Log, Mask, Rows, Times
from shortlist.data.vocabulary import Vocabulary
from shortlist.errors import DataError, QueryError
from shortlist.stages import Queries, stored_queries

Users = Any  # one id, or any sequence of ids
History = Any  # item ids oldest first, one such list per user, or a table
LAST_MOMENT = 2**62


@dataclass(frozen=True)
class Request:
    """Everything asked, in row numbers.

    Attributes:
        user_ids: one per query, as the caller gave them.
        queries: with the history that counts.
        seen: the stored and the given histories together: what ``filter_seen`` leaves out.
        unknown_items: int64 (n,), history items of each query that are not in the catalogue.
        in_past: bool (n,), whether the moment of asking lies before the end of the known events.
    """

    user_ids: list[Any]
    queries: Queries
    seen: Queries
    unknown_items: NDArray[np.int64]
    in_past: Mask


def parse_ids(ids: Any, argument: str) -> list[Any]:
    """A list of ids from one id or any sequence of them; an id of whatever kind, in Python's own types."""
    if ids is None or isinstance(ids, str | bytes | int | float | np.generic):
        return [_plain(ids)]
    if _is_table(ids) or isinstance(ids, Mapping) or getattr(ids, "ndim", 1) > 1:
        raise QueryError(f"{argument}: expected an id or a list of ids, got a table ({type(ids).__name__})")
    try:
        plain = [_plain(one) for one in (ids.ravel() if isinstance(ids, np.ndarray) else ids)]
    except TypeError as error:
        raise QueryError(f"{argument}: expected an id or a list of ids, got {type(ids).__name__}") from error
    for position, one in enumerate(plain):
        if isinstance(one, Iterable) and not isinstance(one, str | bytes):
            raise QueryError(f"{argument}: expected one id at position {position}, got {one!r}")
    return plain


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def parse_k(k: Any) -> int:
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise QueryError(f"k: expected a whole number of at least 1, got {k!r}")
    return int(k)


def parse_moments(at: Any, n: int, log: Log) -> Times:
    """int64 (n,): one moment for all, or one per user."""
    single = isinstance(at, int | date | np.integer | np.datetime64)
    if isinstance(at, str | bytes | Mapping) or not (single or isinstance(at, Iterable)):
        raise QueryError(f"at: expected {_moment_words(log.in_seconds)}, or one per user, got {at!r}")
    moments = [at] * n if single else list(at)
    if len(moments) != n:
        raise QueryError(f"at: expected one moment for all or one for each of {n} users, got {len(moments)}")
    return np.array([_moment(moment, log.in_seconds) for moment in moments], dtype=np.int64)


def _moment(moment: Any, in_seconds: bool) -> int:
    """A moment as a number; fractions of a second are rounded up, so that what came before it stays before it."""
    value = moment.astype("datetime64[us]").item() if isinstance(moment, np.datetime64) else moment
    if in_seconds and isinstance(value, date) and value == value:  # pandas' missing time is a date unlike itself
        known = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
        value = math.ceil((known if known.tzinfo else known.replace(tzinfo=UTC)).timestamp())
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 0 <= value < LAST_MOMENT:
        raise QueryError(f"at: expected {_moment_words(in_seconds)} from 0 on, got {moment!r}")
    if in_seconds and value >= LAST_SECOND:
        raise QueryError(f"at: expected Unix seconds, got {moment!r}, which lies beyond the year 5138; milliseconds?")
    return int(value)


def _moment_words(in_seconds: bool) -> str:
    return "Unix seconds or a datetime" if in_seconds else "a place in the order of the log, whose times are no dates"


def parse_request(
    users: Users,
    at: Any,
    history: History | None,
    *,
    log: Log,
    user_vocabulary: Vocabulary,
    item_vocabulary: Vocabulary,
    at_last_event: bool,
    min_rating: float | None,
    events: tuple[str, ...] = (),
    added: "list[Events] | None" = None,
) -> Request:
    """Queries for these users.

    Args:
        at: ``None`` = after all that is known: the end of the log (or of the given history where that is later), or
            each user's last event where ``at_last_event``.
        history: replaces the stored history as evidence.
        min_rating: events of a given history rated lower are no positives.
        events: likewise for events of other kinds than these; empty = any kind is one.
        added: for each user the events, with times and items of the catalogue, that are known besides the log's.

    Raises:
        QueryError: an argument is of the wrong kind or length.
    """
    user_ids = parse_ids(users, "users")
    n = len(user_ids)
    user_rows = user_vocabulary.rows(user_ids)
    moments = np.full(n, log.end, dtype=np.int64) if at is None else parse_moments(at, n, log)
    queries = stored_queries(log, user_rows, moments, strictly_before=at is not None)
    if added is not None:
        later = _to_queries(added, user_rows, moments, strictly_before=at is not None)
        queries = _oldest_first(_joined(queries, later))
    seen = queries
    unknown_items = np.zeros(n, dtype=np.int64)
    if history is not None:
        reader = _Reader(item_vocabulary, log.in_seconds, min_rating, events)
        given = [known_events(one) for one in reader.read_all(history, user_ids)]
        unknown_items = np.array([unknown for _, unknown in given], dtype=np.int64)
        queries = _to_queries([one for one, _ in given], user_rows, moments, strictly_before=at is not None)
        seen = _joined(seen, queries)
    if at is None:
        last_event = np.append(queries.timestamps, 0)[queries.offsets[1:] - 1]
        asked = last_event if at_last_event else np.maximum(last_event + 1, moments)
        queries = replace(queries, at=np.where(queries.lengths > 0, asked, moments))
    return Request(user_ids, queries, seen, unknown_items, (moments < log.end) & (at is not None))


class Events(NamedTuple):
    """One given history, in the order given.

    Attributes:
        item_rows: int32 (n,), -1 = not in the catalogue.
        timestamps: int64 (n,) or ``None`` = not given.
        ratings: float32 (n,), ``nan`` where there is none.
        weights: float32 (n,), 0 = not a positive.
    """

    item_rows: Rows
    timestamps: Times | None
    ratings: Floats
    weights: Floats

    def take(self, rows: NDArray[np.integer]) -> "Events":
        times = None if self.timestamps is None else self.timestamps[rows]
        return Events(self.item_rows[rows], times, self.ratings[rows], self.weights[rows])


def known_events(events: Events) -> tuple[Events, int]:
    """The events with items of the catalogue, and how many others there were."""
    known = np.flatnonzero(events.item_rows >= 0)
    return events.take(known), len(events.item_rows) - len(known)


def _to_queries(histories: list[Events], user_rows: Rows, moments: Times, *, strictly_before: bool) -> Queries:
    """Oldest first; events without times lie just before the moment of asking, in the order given."""
    parts: list[Events] = []
    for events, moment in zip(histories, moments.tolist(), strict=True):
        times = np.full(len(events.item_rows), moment - 1) if events.timestamps is None else events.timestamps
        order = np.argsort(times, kind="stable")
        if strictly_before:
            order = order[times[order] < moment]
        parts.append(events._replace(timestamps=times).take(order))
    lengths = [len(part.item_rows) for part in parts]
    dtypes = (np.int32, np.int64, np.float32, np.float32)
    columns = [
        np.concatenate([np.empty(0, dtype), *(part[column] for part in parts)]).astype(dtype)
        for column, dtype in enumerate(dtypes)
    ]
    return Queries(user_rows, moments, np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]), *columns)


@dataclass(frozen=True)
class _Reader:
    """Reads given histories against what the model knows; see `parse_request`."""

    item_vocabulary: Vocabulary
    in_seconds: bool
    min_rating: float | None
    events: tuple[str, ...]

    def read_all(self, history: History, user_ids: list[Any]) -> list[Events]:
        """The history of each user: from a mapping, a table with user ids, a list of lists, or one for one user."""
        if _is_table(history):
            table = _table(history)
            return self._by_user(table, user_ids) if "user_id" in table.columns else self._for_one(table, user_ids)
        if isinstance(history, Mapping):
            given = {_typed(_plain(user)): one for user, one in history.items()}
            _refuse_strangers([user for _, user in given], user_ids)
            return [self._read(given.get(_typed(user), ())) for user in user_ids]
        if isinstance(history, str | bytes) or not isinstance(history, Iterable):
            raise QueryError(f"history: expected item ids or a table, got {history!r}")
        entries = list(history)
        nested = [not isinstance(entry, str | bytes) and isinstance(entry, Iterable) for entry in entries]
        if not any(nested) and (entries or user_ids):
            return self._for_one(entries, user_ids)
        if not all(nested) or len(entries) != len(user_ids):
            raise QueryError(
                f"history: expected one list for each of {len(user_ids)} users, got {len(entries)} entries"
            )
        return [self._read(entry) for entry in entries]

    def _for_one(self, history: History, user_ids: list[Any]) -> list[Events]:
        if len(user_ids) != 1:
            raise QueryError(
                f"history: one history was given for {len(user_ids)} users; give one list per user, a mapping from "
                "user to list, or a table with a column 'user_id'"
            )
        return [self._read(history)]

    def _by_user(self, table: pl.DataFrame, user_ids: list[Any]) -> list[Events]:
        """The rows of each user of a long table."""
        distinct = Vocabulary(table["user_id"].unique(maintain_order=True))
        _refuse_strangers(distinct.ids.to_list(), user_ids)
        codes = distinct.rows(table["user_id"])
        order = np.argsort(codes, kind="stable")
        bounds = np.searchsorted(codes[order], np.arange(len(distinct) + 1))
        events = self._read(table)
        rows = distinct.rows(user_ids).tolist()
        return [events.take(order[bounds[row] : bounds[row + 1]] if row >= 0 else order[:0]) for row in rows]

    def _read(self, history: History) -> Events:
        if not _is_table(history):
            if isinstance(history, str | bytes) or not isinstance(history, Iterable):
                raise QueryError(f"history: expected a list of item ids, got {history!r}")
            items = self.item_vocabulary.rows(history if isinstance(history, np.ndarray | pl.Series) else list(history))
            return Events(items, None, np.full(len(items), np.nan, np.float32), np.ones(len(items), np.float32))
        table = _table(history)
        items = self.item_vocabulary.rows(table["item_id"])
        times = parse_times(table["timestamp"], self.in_seconds, "history") if "timestamp" in table.columns else None
        ratings, weights = _numbers(table, "rating", math.nan), _numbers(table, "weight", 1.0)
        if (weights < 0).any():
            raise QueryError("history: column 'weight' must hold numbers from 0 on")
        positive = np.ones(len(items), dtype=bool)
        if self.min_rating is not None:
            positive &= ~(ratings < self.min_rating)
        if self.events and "event" in table.columns:
            positive &= table["event"].cast(pl.String).is_in(list(self.events)).fill_null(False).to_numpy()
        return Events(items, times, ratings, np.where(positive, weights, 0).astype(np.float32))


def _typed(user: Any) -> tuple[type, Any]:
    """1 and True, equal to Python, are different ids."""
    return type(user), user


def _refuse_strangers(given: list[Any], user_ids: list[Any]) -> None:
    asked = {_typed(user) for user in user_ids}
    strangers = [user for user in given if _typed(user) not in asked]
    if strangers:
        raise QueryError(f"history: {strangers[0]!r} is not among the users asked for ({len(strangers)} such)")


def _is_table(value: Any) -> bool:
    if isinstance(value, Mapping):
        return "item_id" in value
    if isinstance(value, pl.DataFrame | pl.LazyFrame):
        return True
    single = isinstance(value, pl.Series) or type(value).__name__ in ("Series", "ChunkedArray", "Index")
    return hasattr(value, "__arrow_c_stream__") and not single


def _table(history: Any) -> pl.DataFrame:
    try:
        table = to_polars(history, "history")
    except DataError as error:
        raise QueryError(str(error)) from error
    if "item_id" not in table.columns:
        raise QueryError(f"history: column 'item_id' is missing; the table has {', '.join(map(repr, table.columns))}")
    return table


def parse_times(times: pl.Series, in_seconds: bool, where: str) -> Times:
    """int64 (n,): a column of times in the unit of the log.

    Raises:
        QueryError: a row without a time, a time before 0, or dates where the log only knows an order.
    """
    kind, values = times.dtype, times
    if in_seconds and (kind == pl.Date or isinstance(kind, pl.Datetime)):
        values = (times.cast(pl.Datetime("us")) if kind == pl.Date else times).dt.epoch("s")
    if len(values) and not values.dtype.is_numeric():
        raise QueryError(f"{where}: column {times.name!r}: expected {_moment_words(in_seconds)}, got {kind}")
    numbers = values.cast(pl.Int64, strict=False)
    bad = (numbers.is_null() | (numbers < 0) | (numbers >= LAST_MOMENT)).arg_true()
    if len(bad):
        raise QueryError(
            f"{where}, row {bad[0]}, column {times.name!r}: expected a time from 0 on, got {times[bad[0]]!r}"
        )
    return numbers.to_numpy().astype(np.int64)


def _numbers(table: pl.DataFrame, name: str, missing: float) -> Floats:
    """float32 (n,): a column of numbers, ``missing`` where there is none."""
    if name not in table.columns or table[name].dtype == pl.Null:
        return np.full(len(table), missing, dtype=np.float32)
    if not table[name].dtype.is_numeric():
        raise QueryError(f"history: column {name!r} must hold numbers, got {table[name].dtype}")
    numbers = table[name].cast(pl.Float64).fill_nan(None).fill_null(missing).to_numpy().astype(np.float32)
    if np.isinf(numbers).any():
        raise QueryError(f"history, row {np.flatnonzero(np.isinf(numbers))[0]}: column {name!r} is not finite")
    return numbers


def _joined(first: Queries, second: Queries) -> Queries:
    """The events of both, query by query."""
    query_rows = np.concatenate([first.event_queries, second.event_queries])
    order = np.argsort(query_rows, kind="stable")
    counts = first.lengths + second.lengths

    def both(name: str) -> NDArray[Any]:
        joined: NDArray[Any] = np.concatenate([getattr(first, name), getattr(second, name)])[order]
        return joined

    return Queries(
        first.user_rows,
        first.at,
        np.concatenate([[0], np.cumsum(counts)]),
        *(both(name) for name in ("item_rows", "timestamps", "ratings", "weights")),
    )


def _oldest_first(queries: Queries) -> Queries:
    order = np.lexsort((queries.timestamps, queries.event_queries))
    columns = {name: getattr(queries, name)[order] for name in ("item_rows", "timestamps", "ratings", "weights")}
    return replace(queries, **columns)
