"""The caller's words -> queries: users, histories, moments and filters, checked and turned into row numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.data.columns import to_polars
from shortlist.data.log import Log, Mask
from shortlist.data.vocabulary import Vocabulary
from shortlist.errors import QueryError
from shortlist.stages import Queries, stored_queries

Users = Any  # one id, or any sequence of ids
History = Any  # item ids oldest first, one such list per user, or a table
Moment = int | datetime | date


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


def parse_users(users: Users) -> list[Any]:
    """A list of ids from one id or any sequence of them; ``None`` stands for somebody unknown."""
    if users is None or isinstance(users, str | int | np.generic):
        return [users.item() if isinstance(users, np.generic) else users]
    if isinstance(users, pl.Series | np.ndarray):
        return list(users.to_list() if isinstance(users, pl.Series) else users.tolist())
    try:
        return list(users)
    except TypeError as error:
        raise QueryError(f"users: expected an id or a list of ids, got {type(users).__name__}") from error


def parse_k(k: Any) -> int:
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise QueryError(f"k: expected a whole number of at least 1, got {k!r}")
    return int(k)


def parse_moments(at: Any, n: int, log: Log) -> NDArray[np.int64]:
    """int64 (n,): one moment for all, or one per user."""
    moments = [at] * n if isinstance(at, int | datetime | date | np.integer) else at
    try:
        moments = list(moments)
    except TypeError as error:
        raise QueryError(f"at: expected a moment or one per user, got {type(at).__name__}") from error
    if len(moments) != n:
        raise QueryError(f"at: expected one moment for all or one for each of {n} users, got {len(moments)}")
    return np.array([_seconds(moment, log.in_seconds) for moment in moments], dtype=np.int64)


def _seconds(moment: Any, in_seconds: bool) -> int:
    if isinstance(moment, int | np.integer) and not isinstance(moment, bool):
        if not 0 <= moment < 2**62:
            raise QueryError(f"at: expected a time from 0, got {moment!r}")
        return int(moment)
    if in_seconds and isinstance(moment, datetime):
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    if in_seconds and isinstance(moment, date):
        return int(datetime(moment.year, moment.month, moment.day, tzinfo=UTC).timestamp())
    expected = "Unix seconds or a datetime" if in_seconds else "a place in the order of the log, whose times are no dates"
    raise QueryError(f"at: expected {expected}, got {moment!r}")


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
) -> Request:
    """Queries for these users.

    Args:
        at: ``None`` = after all that is known: the end of the log, or each user's last event where ``at_last_event``.
        history: replaces the stored history as evidence.
        min_rating: events of a given history rated lower are no positives.

    Raises:
        QueryError: an argument is of the wrong kind or length.
    """
    user_ids = parse_users(users)
    n = len(user_ids)
    user_rows = user_vocabulary.rows(user_ids)
    moments = np.full(n, log.end, dtype=np.int64) if at is None else parse_moments(at, n, log)
    stored = stored_queries(log, user_rows, moments, strictly_before=at is not None)
    unknown_items = np.zeros(n, dtype=np.int64)
    queries = seen = stored
    if history is not None:
        given, unknown_items = _given_queries(history, user_ids, user_rows, moments, at, item_vocabulary, min_rating)
        queries, seen = given, _joined(stored, given)
    if at is None and at_last_event:
        last_event = np.append(queries.timestamps, 0)[queries.offsets[1:] - 1]
        queries = replace(queries, at=np.where(queries.lengths > 0, last_event, moments))
    return Request(user_ids, queries, seen, unknown_items, (moments < log.end) & (at is not None))


def _given_queries(
    history: History,
    user_ids: list[Any],
    user_rows: NDArray[np.int32],
    moments: NDArray[np.int64],
    at: Any,
    item_vocabulary: Vocabulary,
    min_rating: float | None,
) -> tuple[Queries, NDArray[np.int64]]:
    """Queries with the caller's histories, and how many of each one's items are unknown."""
    tables = [_table(one) for one in _one_per_user(history, user_ids)]
    parts: dict[str, list[NDArray[Any]]] = {"items": [], "times": [], "ratings": []}
    unknown = np.zeros(len(tables), dtype=np.int64)
    lengths = np.zeros(len(tables), dtype=np.int64)
    for q, table in enumerate(tables):
        items = item_vocabulary.rows(table["item_id"])
        times = _times(table, int(moments[q]))
        ratings = _column(table, "rating", pl.Float64, float("nan"))
        unknown[q] = (items < 0).sum()
        keep = np.flatnonzero((items >= 0) & ((times < moments[q]) if at is not None else True))
        keep = keep[np.argsort(times[keep], kind="stable")]
        lengths[q] = len(keep)
        for name, values in (("items", items), ("times", times), ("ratings", ratings)):
            parts[name].append(values[keep])
    ratings = np.concatenate(parts["ratings"] or [np.empty(0)]).astype(np.float32)
    positive = np.ones(len(ratings), bool) if min_rating is None else ~(ratings < min_rating)
    queries = Queries(
        user_rows,
        moments,
        np.concatenate([[0], np.cumsum(lengths)]),
        np.concatenate(parts["items"] or [np.empty(0)]).astype(np.int32),
        np.concatenate(parts["times"] or [np.empty(0)]).astype(np.int64),
        ratings,
        positive.astype(np.float32),
    )
    return queries, unknown


def _one_per_user(history: History, user_ids: list[Any]) -> Sequence[Any]:
    """The history of each user: a mapping, a table with user ids, a list of lists, or one history for one user."""
    if isinstance(history, Mapping) and "item_id" not in history:
        strangers = [user for user in history if user not in user_ids]
        if strangers:
            raise QueryError(f"history: {strangers[0]!r} is not among the users asked for")
        return [history.get(user, ()) for user in user_ids]
    if _is_table(history):
        table = to_polars(history, "history")
        if "user_id" in table.columns:
            return [table.filter(pl.col("user_id").cast(pl.String) == str(user)) for user in user_ids]
        return _for_one(table, user_ids)
    if isinstance(history, str | bytes) or not hasattr(history, "__iter__"):
        raise QueryError(f"history: expected item ids or a table, got {history!r}")
    entries = list(history)
    nested = [not isinstance(entry, str) and (hasattr(entry, "__iter__") or _is_table(entry)) for entry in entries]
    if not any(nested):
        return _for_one(entries, user_ids)
    if not all(nested) or len(entries) != len(user_ids):
        raise QueryError(f"history: expected one list for each of {len(user_ids)} users, got {len(entries)} entries")
    return entries


def _for_one(history: History, user_ids: list[Any]) -> list[Any]:
    if len(user_ids) != 1:
        raise QueryError(
            f"history: one history was given for {len(user_ids)} users; give one list per user, a mapping from user "
            "to list, or a table with a column 'user_id'"
        )
    return [history]


def _is_table(history: History) -> bool:
    named = isinstance(history, Mapping) and "item_id" in history
    return named or isinstance(history, pl.DataFrame | pl.LazyFrame) or hasattr(history, "__arrow_c_stream__") and not (
        isinstance(history, pl.Series) or type(history).__name__ in ("Series", "ChunkedArray")
    )


def _table(history: History) -> pl.DataFrame | dict[str, Any]:
    if not _is_table(history):
        return {"item_id": list(history)}
    table = to_polars(history, "history")
    if "item_id" not in table.columns:
        raise QueryError(f"history: column 'item_id' is missing; the table has {', '.join(map(repr, table.columns))}")
    return table


def _times(table: pl.DataFrame | dict[str, Any], moment: int) -> NDArray[np.int64]:
    """Given times; without them every event lies just before the moment of asking, in the order given."""
    if isinstance(table, dict) or "timestamp" not in table.columns:
        return np.full(len(table["item_id"]), moment - 1, dtype=np.int64)
    times = table["timestamp"]
    if isinstance(times.dtype, pl.Datetime) or times.dtype == pl.Date:
        times = times.cast(pl.Datetime("us")).dt.epoch("s")
    if not times.dtype.is_numeric() or times.null_count():
        raise QueryError(f"history: column 'timestamp' must hold a time in every row, got {times.dtype}")
    return times.cast(pl.Int64).to_numpy()


def _column(table: pl.DataFrame | dict[str, Any], name: str, dtype: Any, missing: float) -> NDArray[Any]:
    if isinstance(table, dict) or name not in table.columns:
        return np.full(len(table["item_id"]), missing)
    if not table[name].dtype.is_numeric():
        raise QueryError(f"history: column {name!r} must hold numbers, got {table[name].dtype}")
    return table[name].cast(dtype).fill_null(missing).to_numpy()


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
