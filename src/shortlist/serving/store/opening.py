"""Open a store by its address."""

from pathlib import Path

from shortlist.errors import StoreError, require
from shortlist.serving.store.contract import Store

QUEUE_SIZE = 10_000
ADDRESS = "expected an address such as sqlite:///events.db (or sqlite:////var/lib/shortlist/events.db)"


def open_store(url: str, *, read_only: bool = False, queue_size: int = QUEUE_SIZE) -> Store:
    """Open the store at an address; where there is none, it is made.

    Args:
        url: ``sqlite:///PATH``, relative, or absolute with a fourth slash.
        read_only: another process may be writing to it; it must exist.
        queue_size: how many writes may wait for their commit.

    Raises:
        StoreError: the address is none, or there is no store that this version could open; nothing was changed.
        MissingExtraError: SQLAlchemy is not installed.

    >>> open_store("events.db")
    Traceback (most recent call last):
      ...
    shortlist.errors.StoreError: 'events.db' is no address of a store: expected an address such as sqlite:///events.db
    (or sqlite:////var/lib/shortlist/events.db)
    """
    if not is_address(url):
        raise StoreError(f"{url!r} is no address of a store: {ADDRESS}")
    scheme, _, place = url.partition("://")
    if scheme != "sqlite":
        raise StoreError(f"{scheme}://… cannot be opened: this version keeps stores in SQLite; {ADDRESS}")
    path = place.removeprefix("/")
    if not place.startswith("/") or not path or path == ":memory:" or "?" in path:
        raise StoreError(f"{url!r} names no file: {ADDRESS}")
    require("sqlalchemy", "serve", "A store of events")
    from shortlist.serving.store.sql_store import SqlStore
    from shortlist.serving.store.sqlite import SqliteDatabase

    database = SqliteDatabase(Path(path), read_only=read_only)
    return SqlStore(database, None if read_only else queue_size)


def is_address(text: str) -> bool:
    """Whether a text looks like the address of a store rather than a path."""
    return "://" in text
