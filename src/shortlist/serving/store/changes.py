"""What one transaction changes: here every event is made to count once."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Column, Connection, Table, bindparam, delete, insert, select, update

from shortlist.errors import StoreError
from shortlist.serving.store.contract import Event, Exposure, Id, IdKind, ItemOverlay, Outcome
from shortlist.serving.store.rows import event_fault, event_row, exposure_row, kind_fault, kind_of
from shortlist.serving.store.tables import COUNTERS, DELETIONS, EVENTS, EXPOSURES, ITEMS, SETTINGS

IDS_AT_ONCE = 1_000
"""Ids looked up by one statement: below every database's limit of parameters."""
CONTENT = [column for column in EVENTS.columns if column.name != "seq"]


@dataclass(frozen=True)
class Identity:
    """What a store knows of itself.

    Attributes:
        store_id: see `Store.store_id`.
        users: the kind of user ids; ``None`` = not known yet.
        items: likewise.
    """

    store_id: str
    users: IdKind | None = None
    items: IdKind | None = None

    @classmethod
    def read(cls, connection: Connection) -> "Identity":
        settings: dict[str, Any] = {row.name: row.value for row in connection.execute(select(SETTINGS))}
        return cls(settings["store_id"], settings.get("user_id_kind"), settings.get("item_id_kind"))

    def hash_of(self, user_id: Id) -> str:
        """By what a deletion is remembered: nobody can tell the user from it without the store."""
        return hashlib.sha256(f"{self.store_id} {kind_of(user_id)} {user_id}".encode()).hexdigest()


class Changes:
    """The changes of one transaction. The writer's lock is taken with the counter, before anything is decided.

    Attributes:
        identity: as it will be after the commit.
        users: whose histories change.
        deleted: whether something was deleted.
    """

    def __init__(self, connection: Connection, identity: Identity) -> None:
        self._connection = connection
        self._known_before = identity
        self.identity = identity
        self.users: set[Id] = set()
        self.deleted = False
        self._seq = self._seq_before = self._counter("seq")
        if None in (identity.users, identity.items):  # another server may have learnt them meanwhile
            self._known_before = self.identity = Identity.read(connection)

    def finish(self) -> None:
        """Write down what was given out; call it last."""
        if self._seq != self._seq_before:
            self._set_counter("seq", self._seq)
        for name in ("users", "items"):
            kind = getattr(self.identity, name)
            if kind != getattr(self._known_before, name):
                row = {"name": f"{name[:-1]}_id_kind", "value": kind}
                self._connection.execute(insert(SETTINGS), row)

    def touch(self) -> None:
        """A change that changes nothing, but reaches the disk."""
        self._set_counter("seq", self._seq)

    def store_events(self, events: Sequence[Event]) -> list[Outcome]:
        """One outcome per event, in the order given."""
        now = int(time.time())
        faults = [event_fault(event, now) or self._kinds_fault(event.user_id, event.item_id) for event in events]
        fine = [event.id for event, fault in zip(events, faults, strict=True) if fault is None]
        known = {row["id"]: row for row in self._rows(EVENTS, CONTENT, "id", fine)}
        new: list[dict[str, Any]] = []
        outcomes = []
        for event, fault in zip(events, faults, strict=True):
            if fault is not None:
                outcomes.append(Outcome(event.id, "rejected", fault))
                continue
            row = event_row(event, now)
            if event.id in known:
                outcomes.append(_compared(event, row, known[event.id]))
                continue
            self._seq += 1
            known[event.id] = row
            new.append({"seq": self._seq, **row})
            self.users.add(event.user_id)
            outcomes.append(Outcome(event.id, "stored"))
        if new:
            self._connection.execute(insert(EVENTS), new)
        return outcomes

    def delete_user(self, user_id: Id) -> int:
        if kind_fault("user_id", user_id, self.identity.users):
            return 0
        n_rows = 0
        for table in (EVENTS, EXPOSURES):
            n_rows += self._connection.execute(delete(table).where(table.c.user_id == str(user_id))).rowcount
        self._seq += 1
        self.deleted = True
        self.users.add(user_id)
        row = {"user_hash": self.identity.hash_of(user_id), "seq": self._seq, "deleted_at": int(time.time())}
        self._connection.execute(delete(DELETIONS).where(DELETIONS.c.user_hash == row["user_hash"]))
        self._connection.execute(insert(DELETIONS), row)
        return n_rows

    def put_item(self, item_id: Id, attributes: dict[str, Any], json: str) -> ItemOverlay:
        if fault := self._kinds_fault(None, item_id):
            raise StoreError(fault)
        version = self._counter("item_version") + 1
        self._set_counter("item_version", version)
        updated_at = int(time.time())
        row = {"item_id": str(item_id), "attributes": json, "updated_at": updated_at, "version": version}
        self._connection.execute(delete(ITEMS).where(ITEMS.c.item_id == row["item_id"]))
        self._connection.execute(insert(ITEMS), row)
        return ItemOverlay(item_id=item_id, attributes=attributes, updated_at=updated_at, version=version)

    def log_exposures(self, exposures: Sequence[Exposure]) -> int:
        before = self.identity
        for exposure in exposures:
            for item_id in exposure.item_ids:
                if fault := self._kinds_fault(exposure.user_id, item_id):
                    self.identity = before
                    raise StoreError(fault)
        rows = {row["request_id"]: row for row in map(exposure_row, reversed(exposures))}
        known = self._rows(EXPOSURES, [EXPOSURES.c.request_id], "request_id", list(rows))
        for row in known:
            del rows[row["request_id"]]
        if rows:
            self._connection.execute(insert(EXPOSURES), list(rows.values()))
        return len(rows)

    def require_id_kinds(self, users: IdKind, items: IdKind) -> None:
        wanted = replace(self.identity, users=users, items=items)
        for name in ("users", "items"):
            have, asked = getattr(self.identity, name), getattr(wanted, name)
            if have not in (None, asked):
                raise StoreError(f"{name}: expected ids of kind {asked}, but the store holds ids of kind {have}")
        self.identity = wanted

    def _kinds_fault(self, user_id: Id | None, item_id: Id) -> str | None:
        """Whether ids are of the store's kinds; the first ones decide."""
        users, items = self.identity.users, self.identity.items
        fault = None if user_id is None else kind_fault("user_id", user_id, users)
        fault = fault or kind_fault("item_id", item_id, items)
        if fault is None and (items is None or (users is None and user_id is not None)):
            users = users or (None if user_id is None else kind_of(user_id))
            self.identity = replace(self.identity, users=users, items=kind_of(item_id))
        return fault

    def _rows(
        self, table: Table, columns: Sequence[Column[Any]], key: str, values: Sequence[str]
    ) -> list[dict[str, Any]]:
        """The rows whose key is among the values."""
        statement = select(*columns).where(table.c[key].in_(bindparam("values", expanding=True)))
        found = []
        for start in range(0, len(values), IDS_AT_ONCE):
            part = {"values": values[start : start + IDS_AT_ONCE]}
            found += [dict(row) for row in self._connection.execute(statement, part).mappings()]
        return found

    def _counter(self, name: str) -> int:
        statement = select(COUNTERS.c.value).where(COUNTERS.c.name == name).with_for_update()
        return int(self._connection.execute(statement).scalar_one())

    def _set_counter(self, name: str, value: int) -> None:
        self._connection.execute(update(COUNTERS).where(COUNTERS.c.name == name).values(value=value))


def _compared(event: Event, row: dict[str, Any], stored: dict[str, Any]) -> Outcome:
    """A repeat of an event, or another under the same id. One sent without a time agrees with every time."""
    differ = [
        name
        for name, value in row.items()
        if value != stored[name] and not (name == "timestamp" and event.timestamp is None)
    ]
    if not differ:
        return Outcome(event.id, "duplicate")
    return Outcome(event.id, "conflict", f"an event with this id is stored with another {', '.join(differ)}; it stays")
