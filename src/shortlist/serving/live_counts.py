"""Popularity as of now: the store's events counted with those of the model's log, where that is wanted.

The weights of the model stay; its item counts, the age of its items and the moment that is taken for now are those that
its log would have given, had it held the events.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from shortlist.cascade import Cascade
from shortlist.data.log import Log
from shortlist.first_stage import FirstStage
from shortlist.requests import Events, known_events
from shortlist.retrieval.popularity import ItemCounts, Popularity
from shortlist.serving.store.contract import Store, StoredEvent

AT_ONCE = 20_000


class Collected:
    """The store's events that a model does not know, as far as they have been read.

    Args:
        known_seq: events of the store up to here are in the model's log.
    """

    def __init__(self, store: Store, model: Cascade, known_seq: int) -> None:
        self._store, self._model, self._known_seq = store, model, known_seq
        self._begin()

    def _begin(self) -> None:
        self.seq = self._known_seq
        self._parts: list[Events] = []

    def read_on(self) -> bool:
        """Read what came since the last time, or all anew where a user was deleted; whether anything changed."""
        progress = self._store.progress()
        if progress.last_seq <= self.seq:
            return False
        if progress.deleted_seq > self.seq:
            self._begin()
        while part := self._store.read_events(self.seq, AT_ONCE):
            self._add(part)
            self.seq = part[-1].seq
        self.seq = max(self.seq, progress.last_seq)
        return True

    def _add(self, part: list[StoredEvent]) -> None:
        self._parts.append(later_events(self._model, part))

    def counted(self) -> Cascade:
        """The model with these events counted."""
        return with_events(self._model, self._parts) if sum(len(one.item_rows) for one in self._parts) else self._model


def later_events(model: Cascade, events: list[StoredEvent]) -> Events:
    """Stored events of items of the catalogue, oldest first; after all others where the log's times are no dates."""
    rows = model.item_vocabulary.rows([event.item_id for event in events])
    positive = model.config.positive
    times = [event.timestamp for event in events]
    if not model.log.in_seconds:
        times = list(range(model.log.end, model.log.end + len(events)))
    ratings = [np.nan if event.rating is None else event.rating for event in events]
    weights = []
    for event in events:
        low = positive.min_rating is not None and event.rating is not None and event.rating < positive.min_rating
        other = bool(positive.events) and event.event not in positive.events
        weights.append(0.0 if low or other else 1.0 if event.weight is None else event.weight)
    known, _ = known_events(
        Events(
            rows,
            np.array(times, dtype=np.int64),
            np.array(ratings, dtype=np.float32),
            np.array(weights, dtype=np.float32),
        )
    )
    return known


def with_events(model: Cascade, parts: list[Events]) -> Cascade:
    """A model whose item counts know these events too, and that takes the moment after them for now."""
    log, first = model.log, model.first
    items = np.concatenate([one.item_rows for one in parts]).astype(np.int32)
    weights = np.concatenate([one.weights for one in parts]).astype(np.float32)
    given = [np.empty(0) if one.timestamps is None else one.timestamps for one in parts]
    times = np.concatenate(given).astype(np.int64) if log.in_seconds else log.end + np.arange(len(items))
    order = np.argsort(times, kind="stable")
    nobody = np.full(len(items), log.n_users, dtype=np.int32)
    events = replace(
        log,
        user_rows=nobody,
        item_rows=items[order],
        timestamps=times[order].astype(np.int64),
        ratings=np.full(len(items), np.nan, dtype=np.float32),
        weights=weights[order],
    )
    counts = ItemCounts.of(log.followed_by(events), first.fallback.item_counts.tick_length)
    moved = _until(log, counts.end)
    made = replace(model, log=moved, first=_counting(first, counts))
    for name in ("user_vocabulary", "item_vocabulary"):  # cached properties: the ids are the same
        made.__dict__[name] = getattr(model, name)
    return made


def _counting(first: FirstStage, counts: ItemCounts) -> FirstStage:
    """A first stage whose popularity lists and features go by these counts."""
    sources = tuple(replace(one, item_counts=counts) if isinstance(one, Popularity) else one for one in first.sources)
    facts = replace(first.features.item_facts, first_ticks=_first_ticks(counts))
    return replace(
        first,
        sources=sources,
        fallback=replace(first.fallback, item_counts=counts),
        features=replace(first.features, item_counts=counts, item_facts=facts),
    )


def _first_ticks(counts: ItemCounts) -> NDArray[np.int32]:
    """See `ItemFacts`."""
    first = np.zeros(counts.n_items, dtype=np.int32)
    np.minimum.at(first, counts.item_rows, counts.ticks)
    return first


def _until(log: Log, end: int) -> Log:
    """The log with its end moved: an event of nobody in particular stands there, which counts for nothing."""
    if end <= log.end:
        return log
    order, offsets = log.by_user
    n = len(log)
    moved = replace(
        log,
        user_rows=np.append(log.user_rows, np.int32(log.n_users)),
        item_rows=np.append(log.item_rows, np.int32(0)),
        timestamps=np.append(log.timestamps, np.int64(end - 1)),
        ratings=np.append(log.ratings, np.float32(np.nan)),
        weights=np.append(log.weights, np.float32(0)),
        n_users=log.n_users + 1,
    )
    moved.__dict__["by_user"] = np.append(order, n), np.append(offsets, n + 1)  # a cached property
    return moved
