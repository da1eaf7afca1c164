"""The values of `shortlist.data.describe`: everything that is told about a log."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shortlist.data.dataset import TimeKind
from shortlist.data.description.suggestion import Suggestion, suggest
from shortlist.data.description.text import as_text

Moment = str | int
"""An ISO 8601 date and time (UTC) where times are seconds, else a place in the order."""
QUANTILES = {"least": 0.0, "p10": 0.1, "p25": 0.25, "median": 0.5, "p75": 0.75, "p90": 0.9, "p99": 0.99, "most": 1.0}


@dataclass(frozen=True)
class Spread:
    """How a count is spread: its mean, and quantiles that are values of the data (the least with that share below)."""

    mean: float
    least: int
    p10: int
    p25: int
    median: int
    p75: int
    p90: int
    p99: int
    most: int

    @classmethod
    def of(cls, counts: NDArray[np.int64]) -> "Spread":
        quantiles = np.quantile(counts, list(QUANTILES.values()), method="inverted_cdf")
        return cls(float(counts.mean()), *(int(value) for value in quantiles))


@dataclass(frozen=True)
class Sizes:
    """Sizes of the tables; users and items are those with an event, except where another table is named.

    Attributes:
        density: distinct (user, item) pairs over users times items, in (0, 1].
        single_event_users: users with one event.
        users_without_events: rows of the user table that no event has.
        items_without_events: likewise.
        per_user: events of a user.
        per_item: events of an item.
    """

    interactions: int
    users: int
    items: int
    density: float
    single_event_users: int
    users_without_events: int
    items_without_events: int
    per_user: Spread
    per_item: Spread


@dataclass(frozen=True)
class LongTail:
    """How unequally events fall on items.

    Attributes:
        top_1_percent: share of the events that the most frequent 1% of the items (at least one) have.
        top_10_percent: likewise.
        gini: of the events per item: 0 = all alike, towards 1 = one has all.
        single_event_items: items with one event.
        top_item: the most frequent item, and its share of the events.
        top_user: likewise.
    """

    top_1_percent: float
    top_10_percent: float
    gini: float
    single_event_items: int
    top_item: tuple[Any, float]
    top_user: tuple[Any, float]


@dataclass(frozen=True)
class Period:
    """A stretch of time: its first day, its events and the users who have any of them."""

    start: str
    events: int
    users: int


@dataclass(frozen=True)
class Sessions:
    """Runs of one user's events with less than half an hour from each to the next.

    Attributes:
        number: of all users.
        per_user: sessions of a user.
        single_session_users: share of the users with one.
    """

    number: int
    per_user: Spread
    single_session_users: float


@dataclass(frozen=True)
class Times:
    """When it happened.

    Attributes:
        kind: ``seconds``; ``order`` = times only say what came first; ``none`` = there are none, or all are equal.
        first: the earliest; ``None`` for ``none``.
        last: the latest.
        days: between them; ``None`` where times are no seconds.
        tied_share: share of the events that have another one of the same user at the same time.
        period: length of the periods below, for example ``1mo``.
        periods: from the first to the last, empty ones too; none where times are no seconds.
        longest_gap_days: the longest stretch without any event.
        longest_gap_start: when it began.
        sessions: ``None`` where times are no seconds.
    """

    kind: TimeKind
    first: Moment | None = None
    last: Moment | None = None
    days: float | None = None
    tied_share: float | None = None
    period: str | None = None
    periods: tuple[Period, ...] = ()
    longest_gap_days: float | None = None
    longest_gap_start: Moment | None = None
    sessions: Sessions | None = None


@dataclass(frozen=True)
class Repeats:
    """Events in which a user has an item again.

    Attributes:
        share: of the events.
        exact_share: share of the events that an earlier row has too, with the same time where there are times.
        filter_seen: whether answers leave seen items out by default.
    """

    share: float
    exact_share: float
    filter_seen: bool


@dataclass(frozen=True)
class Numbers:
    """A column of numbers.

    Attributes:
        missing: share of the events without one.
        counts: events by value, or in ten bins of equal width (``least`` <= value < ``most``, the last one closed).
    """

    missing: float
    least: float
    most: float
    mean: float
    deviation: float
    distinct: int
    counts: tuple[dict[str, float], ...]


@dataclass(frozen=True)
class Attribute:
    """A column of the item or user table.

    Attributes:
        kind: ``category``, ``list``, ``number``, ``text`` or ``date``.
        given: share of the rows that have a value (a list with anything in it).
        distinct: different values; of a list, different categories.
        least: of numbers and dates.
        most: likewise.
    """

    table: Literal["items", "users"]
    name: str
    kind: str
    given: float
    distinct: int
    least: float | str | None = None
    most: float | str | None = None


@dataclass(frozen=True)
class ColdStart:
    """The last fifth of the events, which a split by time tests on, against what was before.

    Attributes:
        cut: where the last fifth begins.
        events: from the cut on.
        users: who have any of them.
        warm_users: those of them who were there before.
        new_user_events: share of these events that are of users who were not.
        new_item_events: share of these events that are of items that were not there before.
    """

    cut: Moment
    events: int
    users: int
    warm_users: int
    new_user_events: float
    new_item_events: float


@dataclass(frozen=True)
class Description:
    """What `describe` found. ``ratings``, ``weights``, ``events`` and ``cold_start`` are ``None`` where there are none.

    Attributes:
        events: events by kind, the most frequent twelve; ``None`` as a kind = not given.
        other_columns: columns of the interactions that nothing uses.
        validation: what validation found, if the data came through it.
    """

    name: str
    notes: tuple[str, ...]
    sizes: Sizes
    long_tail: LongTail
    times: Times
    repeats: Repeats
    ratings: Numbers | None
    weights: Numbers | None
    events: dict[str | None, int] | None
    other_columns: tuple[str, ...]
    attributes: tuple[Attribute, ...]
    cold_start: ColdStart | None
    validation: dict[str, Any] | None = None

    @property
    def suggestion(self) -> Suggestion:
        """Which target fits, and what else to know before training."""
        return suggest(self)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        kinds = [{"event": kind, "events": n} for kind, n in self.events.items()] if self.events is not None else None
        return asdict(self) | {"events": kinds, "suggestion": asdict(self.suggestion)}

    def table(self) -> str:
        """For people."""
        return as_text(self)
