"""All that only SQLite needs: one writer, durable commits, readers that never wait, checkpoints.

SQLite before 3.51.3 (but for 3.50.7 and 3.44.6) can damage a database in WAL mode when two connections write or
checkpoint at the same moment. Here one process holds the database's lock, and one connection in it both writes and
checkpoints; every other connection is opened for reading only.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, TimeoutError
from sqlalchemy.pool import QueuePool

from shortlist.durable import sync_directory
from shortlist.errors import StoreError
from shortlist.serving.store.contract import Unavailable

try:
    import fcntl
except ImportError:  # Windows: there the operator sees to it that one process writes
    fcntl = None  # type: ignore[assignment]

ROW_NUMBER = "INTEGER"
LOCK_WAIT_S = 5
"""How long a write waits for another program, such as a shell, to let go of the database."""
CHECKPOINT_BYTES = 16 << 20
"""From this size on the write-ahead log is moved into the database."""
READERS_WAIT_MS = 50
"""How long that waits for readers to come to an end; longer ones put it off until after the next commit."""
WRITER = ("synchronous = FULL", "wal_autocheckpoint = 0", "cache_size = -16384", "secure_delete = ON")
READER = ("query_only = ON", "wal_autocheckpoint = 0")


class SqliteDatabase:
    """A database file and the connections to it.

    Raises:
        StoreError: there is no such file (reading) or folder, it is no database, or another process writes to it.
    """

    def __init__(self, path: Path, *, read_only: bool) -> None:
        self._path = path
        self._lock: IO[bytes] | None = None
        try:
            if read_only:
                if not path.is_file():
                    raise StoreError(f"there is no store at {path}: no such file")
            else:
                self._lock = _lock(path)
                _make(path)
            self._file = _identity(path)
            self.reader = _engine(path, "ro", READER, "BEGIN", n_connections=8)
            self.writer = _engine(path, "rw", WRITER, "BEGIN IMMEDIATE", n_connections=1)
            if not read_only:
                self._use_wal()
            with self.reader.connect() as connection:
                connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")
        except (DBAPIError, sqlite3.Error, OSError) as error:
            self.close()
            hint = "" if os.access(path.parent, os.W_OK) else f"; SQLite needs to write beside it, in {path.parent}"
            raise StoreError(f"{path} cannot be opened as a store: {_reason(error)}{hint}") from error
        except BaseException:
            self.close()
            raise

    def _use_wal(self) -> None:
        connection = self.writer.raw_connection()
        try:
            mode = connection.cursor().execute("PRAGMA journal_mode = WAL").fetchone()[0]
        finally:
            connection.close()
        if mode != "wal":
            raise StoreError(f"{self._path} cannot be opened as a store: expected journal mode wal, got {mode}")

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction on the writing connection; it is durable when the block is left.

        Raises:
            Unavailable: nothing was written, or at least nothing may be acknowledged.
        """
        try:
            with self.writer.begin() as connection:
                yield connection
                self._require_file()
        except (DBAPIError, sqlite3.Error, OSError) as error:
            self.writer.dispose()  # after an error of the disk its memory may not agree with the file
            raise Unavailable(f"the store cannot write: {_reason(error)}") from error

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A view of one moment, on a connection of its own."""
        try:
            with self.reader.connect() as connection:
                yield connection
        except (DBAPIError, TimeoutError, sqlite3.Error, OSError) as error:
            raise Unavailable(f"the store cannot read: {_reason(error)}") from error

    def _require_file(self) -> None:
        """SQLite goes on writing into a file that was removed: what it takes would be lost."""
        with contextlib.suppress(OSError):
            if _identity(self._path) == self._file:
                return
        raise Unavailable("the store cannot write: its database file was removed or replaced while it was open")

    def checkpoint(self, *, now: bool) -> bool:
        """Move the write-ahead log into the database and cut it to nothing, if it is long.

        Args:
            now: also if it is short, so that what was deleted is gone.

        Returns:
            False = a reader was in the way; what could be moved was.
        """
        log = self._path.with_name(f"{self._path.name}-wal")
        if not now and log.stat().st_size < CHECKPOINT_BYTES:
            return True
        connection = self.writer.raw_connection()
        try:
            cursor = connection.cursor()
            cursor.execute(f"PRAGMA busy_timeout = {READERS_WAIT_MS}")
            busy = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            cursor.execute(f"PRAGMA busy_timeout = {int(LOCK_WAIT_S * 1000)}")
        finally:
            connection.close()
        return not busy

    def close(self) -> None:
        for name in ("reader", "writer"):
            if engine := getattr(self, name, None):
                engine.dispose()
        if self._lock is not None:
            self._lock.close()


def _engine(path: Path, mode: str, pragmas: tuple[str, ...], begin: str, n_connections: int) -> Engine:
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{quote(str(path.absolute()))}?mode={mode}",
            uri=True,
            isolation_level=None,  # transactions begin where `begin` says, not where the module guesses
            check_same_thread=False,
            timeout=LOCK_WAIT_S,
        )
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool, pool_size=n_connections, max_overflow=0)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


def _lock(path: Path) -> IO[bytes]:
    """The lock that one writing process holds, and that goes with it."""
    if not path.parent.is_dir():
        raise StoreError(f"there is no folder {path.parent} to keep the store {path.name} in; make it first")
    file = path.with_name(f"{path.name}.lock").open("ab")
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise StoreError(
            f"{path}: another process has the store open for writing, and SQLite {sqlite3.sqlite_version} takes one; "
            "stop it first, or run one worker only"
        ) from error
    return file


def _make(path: Path) -> None:
    """An empty file that only its owner reads, unless there is one."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        sync_directory(path.parent)


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _reason(error: BaseException) -> str:
    return str(error.orig if isinstance(error, DBAPIError) else error)
