"""What a store of events promises. Read this first; `shortlist.serving.store.opening.open_store` opens one.

A store keeps what happened since the model was trained: events, changed items, and exposures (what was shown). It is
the one place of truth for them: whatever `Store.append` has acknowledged is on the disk, and counts once, however often
and in whatever order it was sent.

A model trained from a store says in ``record["store"]`` how far: ``{"store_id": …, "last_seq": …}``. Where the server's
store has that `Store.store_id`, the model knows the events up to ``last_seq`` already, and only later ones add to its
stored histories; otherwise all do.

Every method may be called from any thread. Writes wait for a durable commit that they share with others (group
commit); on an event loop use the ``submit`` form and `asyncio.wrap_future`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, Literal

import msgspec

from shortlist.errors import StoreError

Id = int | str
IdKind = Literal["integer", "string"]
Status = Literal["stored", "duplicate", "conflict", "rejected"]
MAX_ID_LENGTH = 256
"""Characters of a user id, an item id, an event id, a request id or a model version."""
MAX_NAME_LENGTH = 64
"""Characters of an event's kind."""
MAX_AHEAD_S = 86_400
"""An event this far in the future has a wrong clock and is rejected."""
MAX_NUMBER = 1e9
"""Of an event's rating (up or down) and weight: sums of millions of them are still exact enough to count with."""
MAX_ITEM_BYTES = 65_536
"""Bytes of an overlay item's attributes as JSON."""
MAX_HISTORY = 10_000
"""Events of a user that a history holds: the latest. Some ids are no person, and must not hold up everybody else."""
MAX_SHOWN = 1_000
"""Items of one exposure."""


class Busy(StoreError):
    """The queue is full: nothing of the call was taken; send it again later.

    Attributes:
        retry_after_s: when, in seconds; at least 1.
    """

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unavailable(StoreError):
    """The store cannot write or read now: the disk is full, the database read-only, locked, gone or closed.

    Nothing of the call was acknowledged. It may be sent again; an event that did reach the disk is then a duplicate.

    Attributes:
        retry_after_s: in seconds; at least 1.
    """

    def __init__(self, message: str, retry_after_s: int = 5) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody did something to an item.

    Attributes:
        id: chosen by the client, 1 to `MAX_ID_LENGTH` characters; the event counts once under it.
        user_id: an integer or text, the same kind for all users of a store.
        item_id: likewise.
        timestamp: Unix seconds; ``None`` = when the store receives it. Sent again without one, it is a duplicate.
        event: its kind, such as ``"click"``; the column ``event`` of a data set.
        rating: a number from -`MAX_NUMBER` to `MAX_NUMBER`.
        weight: a number from 0 to `MAX_NUMBER`: how much it counts as evidence; ``None`` = 1.
        request_id: the answer that it came from.

    >>> Event(id="e1", user_id=7, item_id="a", rating=4).rating
    4
    """

    id: str
    user_id: Id
    item_id: Id
    timestamp: int | None = None
    event: str | None = None
    rating: float | None = None
    weight: float | None = None
    request_id: str | None = None


class StoredEvent(Event, frozen=True, kw_only=True):
    """An event as stored: it has a time, and a place.

    Attributes:
        seq: greater than that of every event committed before it; never given twice, not even after a deletion.
    """

    seq: int
    timestamp: int


class Outcome(msgspec.Struct, frozen=True):
    """What became of one event.

    Attributes:
        id: the event's.
        status: ``stored`` = on the disk, counts from now on; ``duplicate`` = it was there already, with the same
            content; ``conflict`` = another content was stored under this id, which stays as it is; ``rejected`` = it
            can never be stored.
        reason: one sentence for the last two.
    """

    id: str
    status: Status
    reason: str | None = None


class History(msgspec.Struct, frozen=True):
    """A user's latest events, oldest first (in order of arrival among equal times).

    Attributes:
        version: greater after each change of the user's data, 0 where there was none. A version never stands for two
            different contents of a user.
        deleted_seq: the place of the user's latest deletion, 0 = none. What a model that was trained before (whose
            ``last_seq`` is smaller, or that was not trained from this store) knows of the user must not be used.
    """

    events: tuple[StoredEvent, ...] = ()
    version: int = 0
    deleted_seq: int = 0


class ItemOverlay(msgspec.Struct, frozen=True, kw_only=True):
    """An item that is new or has changed since the model was trained.

    Attributes:
        item_id: of the same kind as all items of the store.
        attributes: all of them: name -> text, number, truth value, list of texts or ``None``.
        updated_at: Unix seconds.
        version: greater than that of every change before it.
    """

    item_id: Id
    attributes: dict[str, Any]
    updated_at: int
    version: int


class Exposure(msgspec.Struct, frozen=True, kw_only=True):
    """What one answer showed.

    Attributes:
        request_id: the first exposure logged under it stays.
        user_id: ``None`` = asked without one.
        item_ids: in the order shown, at most `MAX_SHOWN`.
        timestamp: Unix seconds.
        model_version: which model answered.
        propensities: how probable each item was at its place, given those before it: numbers above 0, at most 1;
            ``None`` = nothing was drawn.
    """

    request_id: str
    item_ids: tuple[Id, ...]
    timestamp: int
    user_id: Id | None = None
    model_version: str | None = None
    propensities: tuple[float, ...] | None = None


class Counts(msgspec.Struct, frozen=True):
    """How much there is. Counting reads an index from end to end: some 40 ms per million events.

    Attributes:
        last_seq: of the latest event ever stored, 0 = none.
    """

    events: int
    users: int
    items: int
    exposures: int
    last_seq: int


class Progress(msgspec.Struct, frozen=True):
    """Places in a store.

    Attributes:
        last_seq: of the latest event or deletion, 0 = none.
        deleted_seq: of the latest deletion, 0 = none.
    """

    last_seq: int
    deleted_seq: int


class Store(ABC):
    """Events, changed items, exposures.

    Raises (all methods):
        Unavailable: see there.
        Busy: a write, and the queue is full.
    """

    @abstractmethod
    def submit(self, events: Sequence[Event]) -> "Future[list[Outcome]]":
        """Store events; the future is done after the durable commit, with one outcome per event, in the order given.

        Every event is judged for itself: a rejected one does not hold back the others. Once the future is done,
        `history` shows what it stored.

        Raises:
            Busy: at once; nothing was taken.
        """

    def append(self, events: Sequence[Event]) -> list[Outcome]:
        """`submit`, and wait."""
        return self.submit(events).result()

    @abstractmethod
    def history(self, user_id: Id) -> History:
        """The events stored of a user, the latest `MAX_HISTORY`; an empty history for an unknown one."""

    @abstractmethod
    def delete_user(self, user_id: Id) -> int:
        """Remove all events and exposures of a user, also those still in the queue, and return how many there were.

        Durable when it returns. Nothing of the user stays behind but a keyed hash of the id, by which `history` and
        `deletion_times` know that there was a deletion. An event sent afterwards is a new one.
        """

    @abstractmethod
    def deletion_times(self, user_ids: Sequence[Id]) -> dict[Id, int]:
        """Those of the users whose data were deleted, and when last, in Unix seconds."""

    @abstractmethod
    def deleted_since(self, seq: int, user_ids: Sequence[Id]) -> list[Id]:
        """Those of the users whose data were deleted after a place."""

    @abstractmethod
    def put_item(self, item_id: Id, attributes: dict[str, Any]) -> ItemOverlay:
        """Store an item's attributes in place of those stored before; durable when it returns.

        Raises:
            StoreError: the id is of the other kind, or the attributes are too long or not JSON.
        """

    @abstractmethod
    def items_since(self, version: int = 0) -> list[ItemOverlay]:
        """The items changed after a version, each as it is now, in order of their versions."""

    @abstractmethod
    def log_exposures(self, exposures: Sequence[Exposure]) -> "Future[int]":
        """Store what was shown; the future is done after the commit, with how many were new.

        Raises:
            StoreError: an id or a number is not allowed; nothing was taken.
        """

    @abstractmethod
    def read_events(self, after_seq: int = 0, n: int = 10_000) -> list[StoredEvent]:
        """The first ``n`` events after a place, in order of ``seq``; empty = there are no more now."""

    @abstractmethod
    def read_exposures(self, after: str = "", n: int = 10_000) -> list[Exposure]:
        """The first ``n`` exposures after a request id, in order of request ids; empty = there are no more now."""

    @abstractmethod
    def progress(self) -> "Progress":
        """How far the store has come; quick."""

    @abstractmethod
    def counts(self) -> Counts:
        """How much there is."""

    @abstractmethod
    def id_kinds(self) -> tuple[IdKind | None, IdKind | None]:
        """The kind of the ids of users and of items; ``None`` = not known yet."""

    @abstractmethod
    def require_id_kinds(self, users: IdKind, items: IdKind) -> None:
        """Say of which kind the ids are (those of the model that is served); events of another kind are rejected.

        Without it the first event decides.

        Raises:
            StoreError: what is stored is of another kind.
        """

    @property
    @abstractmethod
    def store_id(self) -> str:
        """32 hexadecimal digits, drawn when the store was made."""

    @property
    @abstractmethod
    def n_queued(self) -> int:
        """Events and other writes that wait for their commit."""

    @abstractmethod
    def check(self) -> None:
        """Return if the store can write and read now (it commits an empty change to see).

        Raises:
            Unavailable: with the reason.
        """

    @abstractmethod
    def close(self) -> None:
        """Commit what is queued, then close. Calls afterwards raise `Unavailable`; closing twice is allowed."""
