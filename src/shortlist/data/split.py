"""Training and test: by time, by each user's last event, or at random; and the check that neither knows the other."""

import inspect
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.data.columns import LAST_SECOND
from shortlist.data.dataset import Dataset
from shortlist.data.log import Mask, Times
from shortlist.errors import ConfigError, DataError, LeakageError

Protocol = Literal["time", "next", "random"]
Moment = int | float | str | date
DAY = 86_400
FEWEST_COPIES = 10
COPIES = 0.2
HARDLY_REPEATS = 0.02


@dataclass(frozen=True)
class Split:
    """Two parts of a data set, each in file order and with the item and user tables as given.

    Attributes:
        train: what may be learned from.
        test: what is asked.
        protocol: how they were cut.
        description: one sentence for the head of a report.

    It unpacks: ``train, test = split(dataset, "next")``.
    """

    train: Dataset
    test: Dataset
    protocol: Protocol
    description: str

    def __iter__(self) -> Iterator[Dataset]:
        return iter((self.train, self.test))


def split(dataset: Dataset, protocol: Protocol, **options: Any) -> Split:
    """Cut a data set by a protocol.

    Args:
        protocol: ``"time"`` (`split_time`), ``"next"`` (`split_next`) or ``"random"`` (`split_random`).
        options: of that function.

    Raises:
        ConfigError: another protocol or option.
        DataError: the data cannot be cut so.

    >>> log = {"user_id": [1, 1, 2], "item_id": ["a", "b", "a"], "timestamp": [0, 1, 2]}
    >>> train, test = split(Dataset.from_frames(log), "next")
    >>> test.interactions["item_id"].to_list()
    ['b']
    """
    functions: dict[str, Callable[..., Split]] = {"time": split_time, "next": split_next, "random": split_random}
    if protocol not in functions:
        raise ConfigError(f"protocol: expected {' or '.join(map(repr, functions))}, got {protocol!r}")
    known = [name for name in inspect.signature(functions[protocol]).parameters if name != "dataset"]
    for name in options:
        if name not in known:
            expected = f"expected {' or '.join(map(repr, known))}" if known else "it has no options"
            raise ConfigError(f"split by {protocol!r}: unknown option {name!r}; {expected}")
    return functions[protocol](dataset, **options)


def split_random(dataset: Dataset, *, seed: int = 42, test_share: float = 0.2) -> Split:
    """Rows at random: the first of ``numpy.random.default_rng(seed).permutation(n)`` train.

    ``round((1 - test_share) * n)`` rows train, 80,000 on MovieLens 100K. Exact repeats of an event (same user, item
    and time; without times: same user and item) go where the first in the file went, so that the parts of a log
    with repeats may be somewhat larger or smaller.

    Raises:
        ConfigError: ``test_share`` is not between 0 and 1.
        DataError: one part would be empty.
    """
    _check_share("test_share", test_share)
    n = len(dataset)
    trains = np.zeros(n, dtype=bool)
    trains[np.random.default_rng(seed).permutation(n)[: round((1 - test_share) * n)]] = True
    moved_with_first = trains[_first_occurrence(dataset.interactions)]
    n_moved = int((moved_with_first != trains).sum())
    moved = f"; {_events(n_moved)} moved to the side of an exact repeat" if n_moved else ""
    how = f"permutation of the file order with seed {seed}{moved}"
    return _made(dataset, moved_with_first, ~moved_with_first, "random", how)


def split_next(dataset: Dataset) -> Split:
    """Each user's last event is the test: the last in time, among equal times the last in the file.

    A user with one event stays in training. Exact repeats of a test event (same user, item and time; without times:
    same user and item) are dropped from training.

    Raises:
        DataError: no user has two events, or training would be empty.
    """
    times = _times(dataset) if dataset.time_kind != "none" else np.arange(len(dataset))
    users = dataset.user_vocabulary.rows(dataset.interactions["user_id"])
    order = np.lexsort((times, users))
    ends = np.append(users[order][1:] != users[order][:-1], True)
    last = np.zeros(len(dataset), dtype=bool)
    last[order[ends]] = np.bincount(users)[users[order[ends]]] > 1
    first = _first_occurrence(dataset.interactions)
    repeats = np.isin(first, first[last]) & ~last
    dropped = f"; {_events(int(repeats.sum()))} dropped from training as an exact repeat" if repeats.any() else ""
    ordered = "time" if dataset.time_kind != "none" else "the order of the file"
    how = f"each user's last event by {ordered} is the test{dropped}"
    return _made(dataset, ~last & ~repeats, last, "next", how)


def split_time(
    dataset: Dataset, *, cut: Moment | None = None, share: float = 0.2, until: Moment | None = None
) -> Split:
    """Training before the cut, test from the cut on.

    Args:
        cut: Unix seconds (or a place in the order), a date, a datetime (naive = UTC) or one in ISO 8601. Without it
            the cut is the time of the event before which ``1 - share`` of the events lie (or the second-earliest
            time, if that leaves no training).
        share: the share of events to test on, between 0 and 1; does not count with ``cut``.
        until: the end of the test, exclusive; what lies behind is in neither part.

    Raises:
        ConfigError: ``share`` or a moment is not of these.
        DataError: there are no usable times, or one part would be empty.
    """
    times = _need_times(dataset)
    if cut is None:
        _check_share("share", share)
        ordered = np.sort(times)
        start = int(ordered[min(round((1 - share) * len(ordered)), len(ordered) - 1)])
        start = start if start > ordered[0] else int(ordered[ordered > ordered[0]][0])
    else:
        start = _moment("cut", cut, dataset)
    return _window(dataset, times, start, None if until is None else _moment("until", until, dataset))


def split_rolling(dataset: Dataset, *, windows: int = 3, days: float = 30.0, share: float = 0.1) -> list[Split]:
    """Several cuts by time, earliest first; the test windows follow each other and end with the log.

    Args:
        windows: how many, at least 1.
        days: the length of a window in days, where times are seconds.
        share: the share of all events in a window, where times are only an order.

    Raises:
        ConfigError: a number is out of range.
        DataError: there are no usable times, a window has no event, or nothing is left before the first.
    """
    if windows < 1 or not 0 < days < 10**6:
        raise ConfigError(f"split_rolling: expected windows >= 1 and days > 0, got {windows} and {days}")
    times = _need_times(dataset)
    if dataset.time_kind == "seconds":
        end = int(times.max()) + 1
        cuts = [end - round(back * days * DAY) for back in range(windows, -1, -1)]
    else:
        _check_share("share", share)
        ordered = np.append(np.sort(times), times.max() + 1)
        cuts = [int(ordered[max(0, len(times) - round(back * share * len(times)))]) for back in range(windows, -1, -1)]
    return [_window(dataset, times, start, until) for start, until in itertools.pairwise(cuts)]


def check_leakage(train: Dataset, test: Dataset, protocol: Protocol) -> list[str]:
    """Refuse parts that know each other; say what a protocol lets through.

    Refused are: an event in both parts (same user, item and time; without times: same user and item), always; a test
    of whose (user, item) pairs training holds more than a fifth at other times, while it hardly repeats pairs itself
    (copies with altered times);
    under ``"time"`` a training event at or after the first test event; under ``"next"`` one after the same user's
    test event.

    Returns:
        Sentences for the head of the report; empty if there is nothing to say.

    Raises:
        LeakageError: with the number of events and the first of them.
        DataError: the parts have ids of different kinds, or no times under ``"time"``.
    """
    if protocol not in get_args(Protocol):
        raise ConfigError(f"protocol: expected one of {get_args(Protocol)}, got {protocol!r}")
    known, asked = train.interactions, test.interactions
    for column in ("user_id", "item_id"):
        if known[column].dtype != asked[column].dtype:
            raise DataError(f"{column!r} is {known[column].dtype} in training and {asked[column].dtype} in the test")
    key = [name for name in _key(known) if name in asked.columns]
    _refuse_leak(known.join(asked, on=key, how="semi", maintain_order="left"), known, "are in the test too")
    _refuse_copies(train, asked)
    copies = _likely_copies(train, asked)
    if "timestamp" not in key or "none" in (train.time_kind, test.time_kind):
        if protocol == "time":
            raise DataError("the protocol 'time' needs times in training and test")
        return copies
    first = int(asked["timestamp"].min())  # type: ignore[arg-type]
    if protocol == "time":
        late = known.filter(pl.col("timestamp") >= first)
        _refuse_leak(late, known, f"are not before the first test event ({first})")
    if protocol == "next":
        own = asked.group_by("user_id").agg(pl.col("timestamp").min().alias("asked"))
        later = known.join(own, on="user_id", maintain_order="left").filter(pl.col("timestamp") > pl.col("asked"))
        _refuse_leak(later, known, "are later than the test event of the same user")
    return copies + _overlap(known, first, train.time_kind == "seconds")


def _refuse_leak(leaks: pl.DataFrame, train: pl.DataFrame, what: str) -> None:
    if not len(leaks):
        return
    shown = ", ".join(f"{name} {value!r}" for name, value in leaks.select(_key(leaks)).row(0, named=True).items())
    raise LeakageError(
        f"{len(leaks):,} of {len(train):,} training events {what} (first: {shown}); a model trained on them "
        "would be tested on what it has seen"
    )


def _refuse_copies(train: Dataset, test: pl.DataFrame) -> None:
    """Refuse a test that training holds at other times."""
    pairs = ["user_id", "item_id"]
    asked = test.select(pairs).unique()
    known = asked.join(train.interactions, on=pairs, how="semi", maintain_order="left")
    if len(known) < FEWEST_COPIES or len(known) <= COPIES * len(asked) or train.repeat_share > HARDLY_REPEATS:
        return
    first = known.row(0, named=True)
    raise LeakageError(
        f"{len(known):,} of {len(asked):,} (user, item) pairs of the test are in training at other times (first: "
        f"user {first['user_id']!r}, item {first['item_id']!r}), though only {train.repeat_share:.1%} of the training "
        "events repeat a pair; they look like copies with altered times, and a model trained on them knows the test"
    )


def _likely_copies(train: Dataset, test: pl.DataFrame) -> list[str]:
    """A sentence where less than a fifth, or a log that repeats, looks like copies with altered times.

    In a log that hardly repeats, more of the test's pairs than could be repeats; in any other, many pairs that lie the
    same time apart to the second.
    """
    pairs = ["user_id", "item_id"]
    asked = test.select(pairs).unique()
    n_known = len(asked.join(train.interactions, on=pairs, how="semi"))
    tail = "look like copies with altered times: the model would know the test. Look for the leak before using a figure"
    if train.repeat_share <= HARDLY_REPEATS and n_known > max(
        FEWEST_COPIES, (0.02 + 3 * train.repeat_share) * len(asked)
    ):
        return [
            f"{n_known:,} of {len(asked):,} (user, item) pairs of the test are in training at other times, though only "
            f"{train.repeat_share:.1%} of the training events repeat a pair; they {tail}"
        ]
    if "timestamp" not in test.columns or train.time_kind != "seconds" or not n_known:
        return []
    if (train.interactions["timestamp"] % DAY == 0).mean() > 0.5:  # type: ignore[operator]
        return []  # times are dates: whole days apart says nothing
    apart = test.select([*pairs, "timestamp"]).join(train.interactions, on=pairs, suffix="_known")
    gaps = apart.select((pl.col("timestamp") - pl.col("timestamp_known")).alias("gap"))["gap"].value_counts(sort=True)
    gap, count = gaps.row(0)
    if count < FEWEST_COPIES or count <= COPIES * n_known:
        return []
    return [f"{count:,} test events are in training exactly {gap:,} seconds apart; they {tail}"]


def _overlap(train: pl.DataFrame, first: int, in_seconds: bool) -> list[str]:
    later = int((train["timestamp"] > first).sum())
    if not later:
        return []
    moment = f" ({_said(first)})" if in_seconds else ""
    return [
        f"{later:,} of {len(train):,} training events are later than the first test event{moment}: the model knows "
        "the time that it is tested on, which flatters its figures"
    ]


def _key(frame: pl.DataFrame) -> list[str]:
    """The columns that make an event the same event."""
    return [name for name in ("user_id", "item_id", "timestamp") if name in frame.columns]


def _first_occurrence(frame: pl.DataFrame) -> NDArray[np.int64]:
    """int64 (n,): the row in which each event stood first."""
    rows = frame.select(_key(frame)).with_row_index("row")
    return rows.select(pl.col("row").min().over(_key(frame))).to_series().to_numpy().astype(np.int64)


def _made(dataset: Dataset, train: Mask, test: Mask, protocol: Protocol, how: str) -> Split:
    for part, rows in (("training", train), ("the test", test)):
        if not rows.any():
            raise DataError(
                f"split by {protocol!r}: no event is left for {part} ({how}; {_events(len(dataset))} in all)"
            )
    known, asked = (dataset.with_interactions(dataset.interactions.filter(pl.Series(rows))) for rows in (train, test))
    return Split(known, asked, protocol, f"{protocol}: {len(known):,} events train, {len(asked):,} test; {how}")


def _window(dataset: Dataset, times: Times, start: int, until: int | None) -> Split:
    test = times >= start if until is None else (times >= start) & (times < until)
    said = _said if dataset.time_kind == "seconds" else str
    end = "" if until is None else f", the test until {said(until)}"
    unused = len(times) - int((times < start).sum()) - int(test.sum())
    behind = f"; {_events(unused)} behind it in neither" if unused else ""
    return _made(dataset, times < start, test, "time", f"cut at {said(start)}{end}{behind}")


def _times(dataset: Dataset) -> Times:
    return dataset.interactions["timestamp"].to_numpy()


def _need_times(dataset: Dataset) -> Times:
    if dataset.time_kind == "none":
        has = "all times are equal" if "timestamp" in dataset.interactions.columns else "there is no 'timestamp'"
        raise DataError(f"a split by time needs usable times, but {has}; take the protocol 'random'")
    return _times(dataset)


def _moment(name: str, value: Moment, dataset: Dataset) -> int:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return math.ceil(value)
    if dataset.time_kind != "seconds":
        raise ConfigError(f"{name}: expected a number, because the times are only an order; got {value!r}")
    try:
        read = datetime.fromisoformat(value.isoformat() if isinstance(value, date) else str(value))
    except ValueError:
        raise ConfigError(f"{name}: expected Unix seconds, a datetime or one in ISO 8601, got {value!r}") from None
    return math.ceil((read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp())


def _said(seconds: int) -> str:
    if not 0 <= seconds < LAST_SECOND:
        return str(seconds)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _events(n: int) -> str:
    return f"{n:,} event{'' if n == 1 else 's'}"


def _check_share(name: str, share: float) -> None:
    if not 0 < share < 1:
        raise ConfigError(f"{name}: expected a number between 0 and 1, got {share!r}")
