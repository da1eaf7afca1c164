"""Who is asked, when and with which history, and what each of them then took up."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.config import PositiveSettings
from shortlist.data.dataset import Dataset
from shortlist.data.log import Log, Mask
from shortlist.data.split import Protocol
from shortlist.data.vocabulary import Vocabulary
from shortlist.errors import DataError
from shortlist.evaluation.lists import Relevant
from shortlist.requests import Request, parse_request
from shortlist.stages import Queries

Group = Literal["all", "warm", "fold_in"]


@dataclass(frozen=True, eq=False)
class Questions:
    """One group of users, asked once each, in the order of their ids.

    Attributes:
        group: ``all``; under the protocol ``time`` ``warm`` (with a history in training) or ``fold_in`` (new users,
            whose history is the first half of their own test events).
        protocol: decides the moment of asking where ``at`` is ``None``: ``next`` = each user's last training event,
            ``random`` = the end of training.
        user_ids: the caller's.
        at: the moment of asking: one for all, one per user, or ``None``.
        history: one table per user in place of the stored history; ``None`` = the stored ones.
        label_queries: int64 (n_labels,), position in ``user_ids`` of each positive test event to be found.
        label_items: int64 (n_labels,), its row in the evaluation's catalogue.
    """

    group: Group
    protocol: Protocol
    user_ids: list[Any]
    at: int | list[int] | None
    history: list[dict[str, Any]] | None
    label_queries: NDArray[np.int64]
    label_items: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.user_ids)

    def request(self, log: Log, users: Vocabulary, items: Vocabulary, min_rating: float | None) -> Request:
        """The questions in the row numbers of a model's log and vocabularies."""
        return parse_request(
            self.user_ids,
            self.at,
            self.history,
            log=log,
            user_vocabulary=users,
            item_vocabulary=items,
            at_last_event=self.protocol == "next",
            min_rating=min_rating,
        )

    def first_time(self, seen: Queries, n_items: int) -> Mask:
        """bool (n_labels,): which labels are not among the user's seen items, given in rows of the catalogue."""
        pairs = seen.event_queries * n_items + seen.item_rows
        first: Mask = ~np.isin(self.label_queries * n_items + self.label_items, pairs)
        return first

    def relevant(self, keep: Mask) -> Relevant:
        """Each user's distinct label items, of the labels kept."""
        return Relevant.from_pairs(self.label_queries[keep], self.label_items[keep], len(self))


@dataclass(frozen=True)
class UserCounts:
    """What became of the test's users.

    Attributes:
        in_test: all that have a test event; the sum of the others.
        warm: asked, with events in training.
        fold_in: asked, new, with the first half of their test events as history.
        without_history: asked, new, with no history at all (``next`` and ``random``).
        not_askable: not asked: new users with a single test event (``time``).
        without_positive: not asked: none of the test events to be found counts as positive.
    """

    in_test: int
    warm: int
    fold_in: int
    without_history: int
    not_askable: int
    without_positive: int


@dataclass(frozen=True)
class RowCounts:
    """What became of the test's rows; all but ``in_test`` add up to it.

    Attributes:
        in_test: all.
        to_find: positives of the users asked.
        history: first halves of the new users' rows, given as their history.
        not_askable: of new users with a single row, who were not asked.
        not_positive: the others: not positive, or of users without a positive to find.
    """

    in_test: int
    to_find: int
    history: int
    not_askable: int
    not_positive: int

    @property
    def sentence(self) -> str:
        """For the head of a report."""
        return (
            f"Of {self.in_test:,} test rows {self.to_find:,} are to be found and {self.history:,} are histories of new "
            f"users; left out: {self.not_askable:,} of new users with one event, {self.not_positive:,} without a "
            "positive to find."
        )


def infer_protocol(train: Dataset, test: Dataset) -> Protocol:
    """The protocol that two parts look like.

    Every test event after every training event: ``time``. One test event per user, none earlier than any training
    event of the same user: ``next``. Else, and without times: ``random``.
    """
    known, asked = train.interactions, test.interactions
    if "none" in (train.time_kind, test.time_kind) or known["user_id"].dtype != asked["user_id"].dtype:
        return "random"
    if asked["timestamp"].min() > known["timestamp"].max():  # type: ignore[operator]
        return "time"
    last = known.group_by("user_id").agg(pl.col("timestamp").max().alias("last"))
    joined = asked.join(last, on="user_id", how="left")
    later = bool((joined["timestamp"] >= joined["last"]).fill_null(True).all())
    return "next" if later and asked["user_id"].is_unique().all() else "random"


def make_questions(
    train: Dataset, test: Dataset, protocol: Protocol, catalogue: Vocabulary, positive: PositiveSettings
) -> tuple[list[Questions], UserCounts, RowCounts]:
    """The groups of users to ask, those without anybody left out, and the counts of users and rows.

    Raises:
        DataError: nobody can be asked.
    """
    log = _by_sorted_users(test, catalogue, positive)
    ids = test.users["user_id"].sort()
    in_test = np.bincount(log.user_rows, minlength=len(ids))
    known = ids.is_in(train.interactions["user_id"].unique().implode()).to_numpy()
    positives = log.weights > 0
    if protocol == "time":
        warm = _stored("warm", protocol, ids, log, positives & known[log.user_rows], int(log.timestamps[0]))
        parts = [warm, _folded_in(ids, log, ~known & (in_test > 1), catalogue, test.has_ratings)]
        not_askable = int((~known & (in_test == 1)).sum())
    else:
        parts, not_askable = [_stored("all", protocol, ids, log, positives, None)], 0
    asked = [part for part in parts if len(part)]
    if not asked:
        raise DataError(
            f"nobody can be asked: of {(in_test > 0).sum()} test users {not_askable} are new with a single event, and "
            "the others have no test event that counts as positive"
        )
    to_find = sum(len(part.label_items) for part in asked)
    given = sum(len(table["item_id"]) for part in asked for table in part.history or [])
    rows = RowCounts(len(log), to_find, given, not_askable, len(log) - to_find - given - not_askable)
    return asked, _counts(asked, ids, in_test, known, not_askable), rows


def _counts(
    asked: Sequence[Questions], ids: pl.Series, in_test: NDArray[np.int64], known: Mask, not_askable: int
) -> UserCounts:
    rows = Vocabulary(ids)
    n_warm = sum(int(known[rows.rows(part.user_ids)].sum()) for part in asked)
    n_asked = sum(len(part) for part in asked)
    n_fold_in = sum(len(part) for part in asked if part.group == "fold_in")
    n = int((in_test > 0).sum())
    return UserCounts(n, n_warm, n_fold_in, n_asked - n_warm - n_fold_in, not_askable, n - not_askable - n_asked)


def _by_sorted_users(test: Dataset, catalogue: Vocabulary, positive: PositiveSettings) -> Log:
    """The test in row numbers: users by id, so that nothing depends on the order of the file; items as catalogued."""
    log = test.log(positive.min_rating, positive.events)
    ids = test.users["user_id"]
    place = np.empty(len(ids), dtype=np.int32)
    place[ids.arg_sort().to_numpy()] = np.arange(len(ids))
    items = catalogue.rows(test.items["item_id"])[log.item_rows]
    return Log(
        place[log.user_rows],
        items,
        log.timestamps,
        log.ratings,
        log.weights,
        len(ids),
        len(catalogue),
        log.in_seconds,
    )


def _stored(group: Group, protocol: Protocol, ids: pl.Series, log: Log, labels: Mask, at: int | None) -> Questions:
    """Users asked with the history that the model holds of them."""
    users, label_queries = np.unique(log.user_rows[labels], return_inverse=True)
    items = log.item_rows[labels].astype(np.int64)
    return Questions(group, protocol, ids.gather(users).to_list(), at, None, label_queries.astype(np.int64), items)


def _folded_in(ids: pl.Series, log: Log, new: Mask, catalogue: Vocabulary, has_ratings: bool) -> Questions:
    """New users: the first half of their test events (at least one) is the history, the positives of the rest labels.

    Asked at the first event of the rest, or just after the history where that falls on the same time.
    """
    order, offsets = log.by_user
    users: list[int] = []
    at: list[int] = []
    history: list[dict[str, Any]] = []
    label_queries, label_items = [], []
    for user in np.flatnonzero(new).tolist():
        events = order[offsets[user] : offsets[user + 1]]
        known, rest = np.split(events, [max(1, len(events) // 2)])
        labels = rest[log.weights[rest] > 0]
        if not len(labels):
            continue
        table: dict[str, Any] = {
            "item_id": catalogue.ids.gather(log.item_rows[known]),
            "timestamp": log.timestamps[known],
        }
        history.append(table | ({"rating": log.ratings[known]} if has_ratings else {}))
        at.append(int(max(log.timestamps[rest[0]], log.timestamps[known[-1]] + 1)))
        label_queries.append(np.full(len(labels), len(users), dtype=np.int64))
        label_items.append(log.item_rows[labels].astype(np.int64))
        users.append(user)
    empty = [np.empty(0, dtype=np.int64)]
    return Questions(
        "fold_in",
        "time",
        ids.gather(users).to_list() if users else [],
        at,
        history,
        np.concatenate(label_queries or empty),
        np.concatenate(label_items or empty),
    )
