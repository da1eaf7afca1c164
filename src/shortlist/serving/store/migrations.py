"""The schema, one numbered step after the other; each step is one transaction.

A step that has been released is never edited: a change of the schema is a new step at the end, and in `tables`.
"""

import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

from sqlalchemy import Connection, func, insert, inspect, select

from shortlist.errors import StoreError
from shortlist.serving.store.tables import VERSIONS


class Step(NamedTuple):
    """One change of the schema.

    Attributes:
        name: what it is for.
        statements: SQL that every database understands; ``{row_number}`` stands for its type of 64-bit row numbers,
            ``{new_id}`` for a random id.
    """

    name: str
    statements: tuple[str, ...]


STEPS = (
    Step(
        "events, deletions, items, exposures",
        (
            "CREATE TABLE shortlist_schema (version INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL,"
            " applied_at BIGINT NOT NULL)",
            "CREATE TABLE shortlist_settings (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL)",
            "INSERT INTO shortlist_settings (name, value) VALUES ('store_id', '{new_id}')",
            "CREATE TABLE shortlist_counters (name TEXT NOT NULL PRIMARY KEY, value BIGINT NOT NULL)",
            "INSERT INTO shortlist_counters (name, value) VALUES ('seq', 0), ('item_version', 0)",
            "CREATE TABLE shortlist_events (seq {row_number} NOT NULL PRIMARY KEY, id TEXT NOT NULL UNIQUE,"
            " user_id TEXT NOT NULL, item_id TEXT NOT NULL, timestamp BIGINT NOT NULL, event TEXT,"
            " rating DOUBLE PRECISION, weight DOUBLE PRECISION, request_id TEXT)",
            "CREATE INDEX ix_shortlist_events_user_id ON shortlist_events (user_id)",
            "CREATE TABLE shortlist_deletions (user_hash TEXT NOT NULL PRIMARY KEY, seq BIGINT NOT NULL,"
            " deleted_at BIGINT NOT NULL)",
            "CREATE TABLE shortlist_items (item_id TEXT NOT NULL PRIMARY KEY, attributes TEXT NOT NULL,"
            " updated_at BIGINT NOT NULL, version BIGINT NOT NULL UNIQUE)",
            "CREATE TABLE shortlist_exposures (request_id TEXT NOT NULL PRIMARY KEY, user_id TEXT,"
            " item_ids TEXT NOT NULL, timestamp BIGINT NOT NULL, model_version TEXT)",
            "CREATE INDEX ix_shortlist_exposures_user_id ON shortlist_exposures (user_id)",
        ),
    ),
    Step(
        "propensities of exposures",
        ("ALTER TABLE shortlist_exposures ADD COLUMN propensities TEXT",),
    ),
)


def schema_version(connection: Connection) -> int:
    """The number of the last step taken, 0 = none."""
    if not inspect(connection).has_table(VERSIONS.name):
        return 0
    return connection.scalar(select(func.max(VERSIONS.c.version))) or 0


def migrate(write: Callable[[], AbstractContextManager[Connection]], row_number: str) -> int:
    """Take the steps that are missing and return how many there were.

    Interrupted anywhere, the next call goes on after the last whole step.

    Args:
        write: opens a transaction that locks out other writers from its first statement on.
        row_number: the database's type of 64-bit row numbers.

    Raises:
        StoreError: the schema is newer than this version of the package.
    """
    taken = 0
    while True:
        with write() as connection:
            version = schema_version(connection)
            refuse_newer(version)
            if version == len(STEPS):
                return taken
            _take(connection, version + 1, row_number)
        taken += 1


def _take(connection: Connection, version: int, row_number: str) -> None:
    step = STEPS[version - 1]
    for statement in step.statements:
        connection.exec_driver_sql(statement.format(row_number=row_number, new_id=uuid.uuid4().hex))
    connection.execute(insert(VERSIONS).values(version=version, name=step.name, applied_at=int(time.time())))


def refuse_newer(version: int) -> None:
    if version > len(STEPS):
        raise StoreError(
            f"the store has schema version {version}, this version of shortlist knows up to {len(STEPS)}; "
            "upgrade shortlist (nothing was changed)"
        )


def refuse_older(version: int) -> None:
    """For readers, who cannot migrate."""
    if not version:
        raise StoreError("the database holds no store: nothing was ever written there by a server")
    if version < len(STEPS):
        raise StoreError(
            f"the store has schema version {version}, this version of shortlist reads {len(STEPS)}; "
            "start `shortlist serve` on it once, which migrates it"
        )
