"""The body of a request -> a query in row numbers, with what the store knows of the user."""

from dataclasses import dataclass
from typing import Any

from shortlist.cascade import Cascade
from shortlist.data.log import Mask
from shortlist.errors import QueryError
from shortlist.explaining.sentences import Language, language_of
from shortlist.filters import allowed_masks
from shortlist.ranking.rerank import LastWord
from shortlist.requests import Request
from shortlist.rules.acting import Acting, moment_of
from shortlist.rules.parsing import Rules
from shortlist.serving.live import Bundle
from shortlist.serving.live_counts import later_events
from shortlist.serving.schemas import Asked, HistoryEvent, Rank, Recommend
from shortlist.serving.store.contract import History, Store, Unavailable


@dataclass(frozen=True)
class Question:
    """One query, ready to be answered.

    Attributes:
        request: of one query.
        allowed: bool (1, n_items).
        k: how many are wanted.
        n: how many are ranked.
        history_failed: the store could not be read: only what the model knows counts.
        word: what is to act after the score; ``None`` = nothing.
        language: to explain the answer in; ``None`` = it need not be explained.
    """

    request: Request
    allowed: Mask
    k: int
    n: int
    history_failed: bool
    word: LastWord | None = None
    language: Language | None = None


def question_of(bundle: Bundle, store: Store | None, body: Recommend | Rank, rules: Rules | None = None) -> Question:
    """Check a body against the model, and read the user's history from the store.

    Args:
        rules: the server's; those of a body take their place. The caller's own candidates are only put in order.

    Raises:
        QueryError: see `Cascade.recommend`.
    """
    model = bundle.model
    language = language_of(body.explain) if body.explain else None
    stored, failed = stored_history(store, body.user_id)
    request = request_of(bundle, stored, body)
    if isinstance(body, Rank):
        allowed = model.filters.allowed(include_items=body.items)
        k = max(1, int(allowed.sum()))
        n = max(k, model.config.retrieval.candidates)
        return Question(request, allowed[None], k, n, failed, language=language)
    allowed = model.filters.allowed(body.include_items, body.exclude_items, body.where)
    filter_seen = model.filter_seen if body.filter_seen is None else body.filter_seen
    masks = allowed_masks(allowed, 1, request.seen if filter_seen else None)
    live = body.rules is None
    acting = live_rules(model, rules, request, body.at) if live else model.acting_rules(body.rules, request, body.at)
    word = model.last_word(
        request, body.at, diversity=body.diversity, caps=body.caps, explore=body.explore, rules=acting
    )
    masks = masks if word is None else word.allowed(request.queries, masks)
    return Question(request, masks, body.k, model.config.retrieval.candidates, failed, word, language)


def live_rules(model: Cascade, rules: Rules | None, request: Request, at: Any) -> Acting | None:
    """The server's rules, without those that the model cannot follow."""
    bound = model.bound_rules(rules) if rules else None
    if bound is None or not bound.bound:
        return None
    return Acting(bound, moment_of(at, model.log.in_seconds), request.user_ids)


def stored_history(store: Store | None, user_id: Any) -> tuple[History, bool]:
    """What the store knows of a user, and whether it could not be read."""
    if store is None or user_id is None:
        return History(), False
    try:
        return store.history(user_id), False
    except Unavailable:
        return History(), True


def request_of(bundle: Bundle, stored: History, body: Asked) -> Request:
    """The queries of a body: as the library would ask them, had the log held the stored events."""
    model = bundle.model
    forgotten = stored.deleted_seq > bundle.known_seq  # what the model knows of the user must not be used
    users = [None if forgotten else body.user_id]
    later = [event for event in stored.events if event.seq > bundle.known_seq]
    history = None if body.history is None else given_history(body.history)
    return model.request(users, body.at, history, [later_events(model, later)] if later else None)


def given_history(history: list[Any]) -> Any:
    """A history as `Cascade.recommend` takes it: ids, or a table of events.

    >>> given_history([1, HistoryEvent(2, 5)])
    Traceback (most recent call last):
      ...
    shortlist.errors.QueryError: history: expected ids only, or objects with an item_id only
    """
    n_events = sum(isinstance(entry, HistoryEvent) for entry in history)
    if n_events not in (0, len(history)):
        raise QueryError("history: expected ids only, or objects with an item_id only")
    if not n_events:
        return history
    table: dict[str, list[Any]] = {"item_id": [entry.item_id for entry in history]}
    if len({type(item) for item in table["item_id"]}) > 1:
        raise QueryError("history: the item ids must all be integers or all be texts")
    for name in ("timestamp", "rating", "weight", "event"):
        values = [getattr(entry, name) for entry in history]
        if any(value is not None for value in values):
            table[name] = values
    if len({type(time) for time in table.get("timestamp", [])}) > 1:
        raise QueryError("history: the times must be given for all events or for none, and in the same way")
    return table
