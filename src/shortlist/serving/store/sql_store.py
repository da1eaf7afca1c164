"""The store on a database, by SQLAlchemy Core."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from itertools import groupby
from typing import Any

from sqlalchemy import distinct, func, select

from shortlist.errors import StoreError
from shortlist.serving.store.changes import Changes, Identity
from shortlist.serving.store.contract import (
    MAX_HISTORY,
    Counts,
    Event,
    Exposure,
    History,
    Id,
    IdKind,
    ItemOverlay,
    Outcome,
    Progress,
    Store,
    StoredEvent,
    Unavailable,
)
from shortlist.serving.store.history_cache import HistoryCache
from shortlist.serving.store.migrations import migrate, refuse_newer, refuse_older, schema_version
from shortlist.serving.store.rows import (
    exposure_fault,
    id_fault,
    item_json,
    item_overlay,
    kind_fault,
    stored_event,
    stored_exposure,
)
from shortlist.serving.store.sqlite import ROW_NUMBER, SqliteDatabase
from shortlist.serving.store.tables import COUNTERS, DELETIONS, EVENTS, EXPOSURES, ITEMS
from shortlist.serving.store.writer import Writer

CHECK_S = 5
Change = Callable[[Changes], Any]


class SqlStore(Store):
    """See `Store`.

    Args:
        database: taken over, and closed with the store.
        queue_size: writes that may wait for their commit; ``None`` = for reading only.
    """

    def __init__(self, database: SqliteDatabase, queue_size: int | None) -> None:
        self._database = database
        self._writer: Writer | None = None
        self._cache: HistoryCache | None = None
        self._closed = False
        self._deleted = True  # perhaps, by a process that was killed before the log was emptied
        try:
            if queue_size is not None:
                with database.read() as connection:
                    refuse_newer(schema_version(connection))
                migrate(database.write, ROW_NUMBER)
            with database.read() as connection:
                refuse_newer(schema_version(connection))
                refuse_older(schema_version(connection))
                self._identity = Identity.read(connection)
        except BaseException:
            database.close()
            raise
        if queue_size is not None:
            self._cache = HistoryCache()
            self._writer = Writer(self._commit, self._tidy, queue_size)

    def submit(self, events: Sequence[Event]) -> "Future[list[Outcome]]":
        return self._write(tuple(events), len(events))

    def history(self, user_id: Id) -> History:
        self._require_open()
        if id_fault("user_id", user_id) or kind_fault("user_id", user_id, self._identity.users):
            return History()
        if self._cache is None:
            return self._read_history(user_id)
        return self._cache.get(user_id, lambda: self._read_history(user_id))

    def _read_history(self, user_id: Id) -> History:
        own = EVENTS.c.user_id == str(user_id)
        latest = select(EVENTS).where(own).order_by(EVENTS.c.timestamp.desc(), EVENTS.c.seq.desc()).limit(MAX_HISTORY)
        deletion = select(DELETIONS.c.seq).where(DELETIONS.c.user_hash == self._identity.hash_of(user_id))
        with self._database.read() as connection:
            rows = connection.execute(latest).all()
            deleted_seq = connection.scalar(deletion) or 0
            version = max([deleted_seq, *(row.seq for row in rows)])
            if len(rows) == MAX_HISTORY:  # there may be others, with earlier times but stored later
                version = connection.scalar(select(func.max(EVENTS.c.seq)).where(own)) or version
        return History(self._events(rows[::-1]), version, deleted_seq)

    def read_events(self, after_seq: int = 0, n: int = 10_000) -> list[StoredEvent]:
        self._require_open()
        statement = select(EVENTS).where(EVENTS.c.seq > after_seq).order_by(EVENTS.c.seq).limit(n)
        with self._database.read() as connection:
            return list(self._events(connection.execute(statement).all()))

    def _events(self, rows: Sequence[Any]) -> tuple[StoredEvent, ...]:
        users, items = self.id_kinds() if rows else (None, None)
        return tuple(stored_event(row, users, items) for row in rows)

    def delete_user(self, user_id: Id) -> int:
        if id_fault("user_id", user_id):
            return 0
        n_rows = self._now(lambda changes: changes.delete_user(user_id))
        return int(n_rows)

    def deletion_times(self, user_ids: Sequence[Id]) -> dict[Id, int]:
        return {user_id: row.deleted_at for user_id, row in self._deletions(0, user_ids)}

    def deleted_since(self, seq: int, user_ids: Sequence[Id]) -> list[Id]:
        return [user_id for user_id, _ in self._deletions(seq, user_ids)]

    def _deletions(self, seq: int, user_ids: Sequence[Id]) -> list[tuple[Id, Any]]:
        self._require_open()
        with self._database.read() as connection:
            rows = connection.execute(select(DELETIONS).where(DELETIONS.c.seq > seq)).all()
        hashes = {self._identity.hash_of(user_id): user_id for user_id in user_ids} if rows else {}
        return [(hashes[row.user_hash], row) for row in rows if row.user_hash in hashes]

    def put_item(self, item_id: Id, attributes: dict[str, Any]) -> ItemOverlay:
        if fault := id_fault("item_id", item_id):
            raise StoreError(fault)
        json = item_json(attributes)
        overlay: ItemOverlay = self._now(lambda changes: changes.put_item(item_id, attributes, json))
        return overlay

    def items_since(self, version: int = 0) -> list[ItemOverlay]:
        self._require_open()
        statement = select(ITEMS).where(ITEMS.c.version > version).order_by(ITEMS.c.version)
        with self._database.read() as connection:
            rows = connection.execute(statement).all()
        kind = self.id_kinds()[1] if rows else None
        return [item_overlay(row, kind) for row in rows]

    def log_exposures(self, exposures: Sequence[Exposure]) -> "Future[int]":
        if fault := next((fault for exposure in exposures if (fault := exposure_fault(exposure))), None):
            raise StoreError(fault)
        taken = tuple(exposures)
        return self._write(lambda changes: changes.log_exposures(taken), len(taken))

    def read_exposures(self, after: str = "", n: int = 10_000) -> list[Exposure]:
        self._require_open()
        place = EXPOSURES.c.request_id
        statement = select(EXPOSURES).where(place > after).order_by(place).limit(n)
        with self._database.read() as connection:
            rows = connection.execute(statement).all()
        kind = self.id_kinds()[0] if rows else None
        return [stored_exposure(row, kind) for row in rows]

    def progress(self) -> Progress:
        self._require_open()
        with self._database.read() as connection:
            last_seq = connection.scalar(select(COUNTERS.c.value).where(COUNTERS.c.name == "seq")) or 0
            deleted_seq = connection.scalar(select(func.max(DELETIONS.c.seq))) or 0
        return Progress(last_seq, deleted_seq)

    def counts(self) -> Counts:
        self._require_open()
        with self._database.read() as connection:
            users = connection.scalar(select(func.count(distinct(EVENTS.c.user_id)))) or 0
            events, items, exposures = (
                connection.scalar(select(func.count()).select_from(table)) or 0 for table in (EVENTS, ITEMS, EXPOSURES)
            )
            last_seq = connection.scalar(select(COUNTERS.c.value).where(COUNTERS.c.name == "seq")) or 0
        return Counts(events, users, items, exposures, last_seq)

    def id_kinds(self) -> tuple[IdKind | None, IdKind | None]:
        self._require_open()
        if None in (self._identity.users, self._identity.items):
            with self._database.read() as connection:
                self._identity = Identity.read(connection)
        return self._identity.users, self._identity.items

    def require_id_kinds(self, users: IdKind, items: IdKind) -> None:
        self._now(lambda changes: changes.require_id_kinds(users, items))

    @property
    def store_id(self) -> str:
        return self._identity.store_id

    @property
    def n_queued(self) -> int:
        return self._writer.n_queued if self._writer else 0

    def check(self) -> None:
        try:
            self._write(Changes.touch, 0).result(CHECK_S)
        except TimeoutError as error:
            raise Unavailable(f"the store cannot write: no commit came back within {CHECK_S} s") from error

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._writer:
            self._writer.close()
        self._database.close()

    def _require_open(self) -> None:
        if self._closed:
            raise Unavailable("the store is closed")

    def _now(self, change: Change) -> Any:
        """Write one change and wait for it."""
        return self._write(change, 1).result()

    def _write(self, work: tuple[Event, ...] | Change, n: int) -> "Future[Any]":
        self._require_open()
        if self._writer is None:
            raise StoreError("the store was opened for reading only")
        return self._writer.submit(work, n)

    def _commit(self, works: Sequence[tuple[Event, ...] | Change]) -> list[Any]:
        """One transaction, on the writer's thread."""
        with ExitStack() as after_commit:
            with self._database.write() as connection:
                changes = Changes(connection, self._identity)
                results = [result for _, group in groupby(works, type) for result in _results(changes, list(group))]
                changes.finish()
                if self._cache is not None:
                    after_commit.enter_context(self._cache.changing(changes.users))
            self._identity = changes.identity
        self._deleted |= changes.deleted
        return results

    def _tidy(self) -> bool:
        done = self._database.checkpoint(now=self._deleted)
        self._deleted &= not done
        return done


def _results(changes: Changes, works: Sequence[Any]) -> list[Any]:
    """The results of works of one kind; all their events are stored at once."""
    if not isinstance(works[0], tuple):
        return [_result(changes, work) for work in works]
    outcomes = iter(changes.store_events([event for events in works for event in events]))
    return [[next(outcomes) for _ in events] for events in works]


def _result(changes: Changes, change: Change) -> Any:
    try:
        return change(changes)
    except StoreError as error:  # decided before it wrote anything: the others of the group go on
        return error
