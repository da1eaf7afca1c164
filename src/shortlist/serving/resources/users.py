"""Users: their history, and its end."""

import asyncio
from typing import Annotated, Any

import polars as pl
from msgspec import Meta, Struct

from shortlist.serving.calls import Call
from shortlist.serving.live import Bundle
from shortlist.serving.live_counts import later_events
from shortlist.serving.resources.items import plain
from shortlist.serving.routes import Route
from shortlist.serving.schemas import Deleted, KnownUser, KnownUsers, PastEvent, UserHistory
from shortlist.serving.service import Service, user_id_of
from shortlist.serving.store.contract import History, Store


class HistoryQuery(Struct, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 100


class UsersQuery(Struct, forbid_unknown_fields=True):
    search: Annotated[str, Meta(max_length=200)] = ""
    limit: Annotated[int, Meta(ge=1, le=200)] = 20


async def users(service: Service, call: Call, query: UsersQuery) -> KnownUsers:
    """Users of the model's log whose id begins with the text searched for, in the order of the model.

    Those whose data were deleted since are left out.
    """
    bundle = service.bundle
    call.version = bundle.version
    return await asyncio.to_thread(_search, bundle, service.store, query)


def _search(bundle: Bundle, store: Store | None, query: UsersQuery) -> KnownUsers:
    found = bundle.model.users.with_row_index("row")
    if query.search:
        found = found.filter(pl.col("user_id").cast(pl.String).str.starts_with(query.search))
    shown = found.head(query.limit)
    deleted = store.deleted_since(bundle.known_seq, shown["user_id"].to_list()) if store is not None else []
    shown = shown.filter(~pl.col("user_id").is_in(deleted))
    counts = bundle.events_per_user[shown["row"].to_numpy()].tolist()
    rows = shown.drop("row").to_dicts()
    known = [
        KnownUser(row.pop("user_id"), n, {name: plain(value) for name, value in row.items()})
        for row, n in zip(rows, counts, strict=True)
    ]
    return KnownUsers(bundle.version, len(found) - len(deleted), known)


async def user_history(service: Service, call: Call, user_id: str, query: HistoryQuery) -> UserHistory:
    """The events that count as a user's history: those of the model's log, then those stored since."""
    bundle = service.bundle
    call.version = bundle.version
    wanted = user_id_of(bundle, user_id)
    stored = await asyncio.to_thread(service.store.history, wanted) if service.store is not None else History()
    return await asyncio.to_thread(history_of, bundle, stored, wanted, query.limit)


def history_of(bundle: Bundle, stored: History, user_id: Any, limit: int) -> UserHistory:
    model = bundle.model
    forgotten = stored.deleted_seq > bundle.known_seq
    queries = model.request([None if forgotten else user_id]).queries
    ids = bundle.item_ids
    known = [
        PastEvent(ids[row], time, None if rating != rating else rating, weight, None, True)
        for row, time, rating, weight in zip(
            queries.item_rows.tolist(),
            queries.timestamps.tolist(),
            queries.ratings.tolist(),
            queries.weights.tolist(),
            strict=True,
        )
    ]
    later = [event for event in stored.events if event.seq > bundle.known_seq]
    weights = [
        float(later_events(model, [event]).weights.sum()) for event in later
    ]  # 0 = not in the catalogue, or no positive
    new = [
        PastEvent(event.item_id, event.timestamp, event.rating, weight, event.event, False)
        for event, weight in zip(later, weights, strict=True)
    ]
    events = sorted([*known, *new], key=lambda event: event.timestamp) if model.log.in_seconds else [*known, *new]
    return UserHistory(user_id, bool(queries.user_rows[0] >= 0), len(events), events[-limit:])


async def delete_user(service: Service, call: Call, user_id: str) -> Deleted:
    """Remove all that is stored of a user. What the model knows of them is not used any more from now on."""
    store, bundle = service.need_store(), service.bundle
    wanted = user_id_of(bundle, user_id)
    return Deleted(wanted, await asyncio.to_thread(store.delete_user, wanted))


ROUTES = (
    Route("GET", "/v1/users", users, "Users of the model's log", KnownUsers, query=UsersQuery),
    Route("GET", "/v1/users/{user_id}/history", user_history, "A user's history", UserHistory, query=HistoryQuery),
    Route("DELETE", "/v1/users/{user_id}", delete_user, "Remove all of a user's data", Deleted, scope="admin"),
)
