"""The moments at which the ranker is trained: what was known, who asked, what they then took up.

A shift holds a log from which everything that will be labelled is gone. Whatever is fitted for it sees that log alone.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shortlist.config import Target
from shortlist.data.log import Log, Mask, Rows
from shortlist.evaluation.lists import Relevant
from shortlist.filters import allowed_masks
from shortlist.stages import Queries, stored_queries

FIRST_WINDOW, WINDOW = 0.4, 0.2
"""Where in the log the first window of a model for periods begins, and how many of the log's events each one holds.

Short windows favour what is in fashion just now, long ones what lasts: a model judged over a period (`split_time` holds
back a fifth) must have learned from periods of such a length. docs/benchmarks.md has figures."""


@dataclass(frozen=True)
class Shift:
    """One moment of training.

    Attributes:
        history: the log before it; all that the stages may know.
        queries: who asks, with the history that counts.
        relevant: what each of them then took up.
        users: int32 (n_queries,), who each query is, also where the query is that of an unknown user.
        name: for the record, for example ``"window 3 of 4"``.
        period: the moments, from the first to before the second, at which what was taken up happened; windows overlap.
            (0, 0) = no other shift has any of these events.
    """

    history: Log
    queries: Queries
    relevant: Relevant
    users: Rows
    name: str
    period: tuple[int, int] = (0, 0)

    @property
    def fresh(self) -> Mask:
        """bool (n_queries,): who acts just now."""
        return self.queries.fresh(self.history.tick_length)

    def allowed(self, start: int, stop: int, filter_seen: bool) -> Mask:
        """bool (stop − start, n_items): what may be recommended to queries ``start`` to ``stop − 1``."""
        queries = self.queries.block(start, stop)
        everything = np.ones(self.history.n_items, dtype=bool)
        return allowed_masks(everything, len(queries), queries if filter_seen else None)


def make_shifts(log: Log, target: Target, n: int, seed: int, filter_seen: bool) -> list[Shift]:
    """The shifts of a training log, earliest first: one to choose the sources' settings by, then n for the ranker.

    The last one validates. Shifts in which nobody asks are left out, so a small log may give fewer.
    """
    if target == "window":
        shifts = _windows(log, n + 1, filter_seen)
    elif target == "next":
        shifts = [_held_out(log, h, filter_seen) for h in range(n + 1, 0, -1)]
    else:
        shifts = _folds(log, n + 1, seed, filter_seen)
    return [shift for shift in shifts if len(shift.queries)]


def _windows(log: Log, n: int, filter_seen: bool) -> list[Shift]:
    """n overlapping windows of a fifth of the log's events each; none where all of it is one moment.

    Who has a history is asked at the cut. New users are asked in the middle of their events, with the first half as
    history, as they will be when the model answers; those with one event at the cut, with none.
    """
    cuts = _cuts(log, n)
    shifts = []
    for number, (cut, end) in enumerate(cuts.items(), start=1):
        history, rest = log.before(cut), log.before(end)
        window = rest.take(np.arange(len(history), len(rest)))
        new, begun, rest = _begun(history, window)
        users = np.setdiff1d(window.user_rows, new)
        queries = stored_queries(history, users, np.full(len(users), cut), strictly_before=False)
        queries = queries.followed_by(_asked_in_the_middle(begun, rest, new))
        taken_up = window.take(~np.isin(window.user_rows, new))
        name = f"window {number} of {len(cuts)}"
        shift = _shift(history, queries, taken_up.followed_by(rest), filter_seen, name, np.append(users, new))
        shifts.append(replace(shift, period=(cut, end)))
    return shifts


def _cuts(log: Log, n: int) -> dict[int, int]:
    """The moment at which each window begins, and the one before which it ends; the last one ends with the log."""
    if not len(log):
        return {}
    last = len(log) - 1
    starts = np.linspace(FIRST_WINDOW * last, (1 - WINDOW) * last, n).astype(np.int64)
    length = len(log) - int(starts[-1])
    cuts = {}
    for start in starts.tolist():
        cut = int(log.timestamps[start])
        end = log.end if start + length > last else int(log.timestamps[start + length])
        if cut > log.timestamps[0]:
            cuts[cut] = max(cut + 1, end)
    return cuts


def _begun(history: Log, window: Log) -> tuple[Rows, Log, Log]:
    """The users of a window without a history who have two events or more: first halves and second halves."""
    known = np.zeros(history.n_users, dtype=bool)
    known[history.user_rows] = True
    _, offsets = window.by_user
    lengths = np.diff(offsets)
    new = ~known & (lengths > 1)
    own = window.take(new[window.user_rows])
    second = own.positions_from_end < lengths[own.user_rows] - lengths[own.user_rows] // 2
    return np.flatnonzero(new).astype(np.int32), own.take(~second), own.take(second)


def _asked_in_the_middle(begun: Log, rest: Log, users: Rows) -> Queries:
    """Users who are unknown to the models, asked when their second half begins."""
    order, offsets = rest.by_user
    queries = stored_queries(begun, users, rest.timestamps[order[offsets[users]]], strictly_before=False)
    last = queries.timestamps[queries.offsets[1:] - 1]
    unknown = np.full(len(users), -1, dtype=np.int32)
    return replace(queries, user_rows=unknown, at=np.maximum(queries.at, last + 1))


def _held_out(log: Log, h: int, filter_seen: bool) -> Shift:
    """Each user's h-th last event as the target, asked at the event before it."""
    positions = log.positions_from_end
    history = log.take(positions >= h)
    target = log.take(positions == h - 1)
    order = np.argsort(target.user_rows)
    target_users = target.user_rows[order]
    _, offsets = history.by_user
    users = target_users[np.diff(offsets)[target_users] > 0]
    queries = ask_at_last_event(history, users)
    return _shift(history, queries, target, filter_seen, f"last event but {h - 1}")


def ask_at_last_event(log: Log, users: NDArray[np.int32]) -> Queries:
    """Each of these users with a history is asked at their last event, with all of it."""
    order, offsets = log.by_user
    return stored_queries(log, users, log.timestamps[order[offsets[users + 1] - 1]], strictly_before=False)


def _folds(log: Log, n: int, seed: int, filter_seen: bool) -> list[Shift]:
    """A fifth of the rows held out, n times, each row at most once while there are enough."""
    folds = np.random.default_rng(seed).permutation(len(log)) % max(n, 5)
    shifts = []
    for fold in range(n):
        history, held_out = log.take(folds != fold), log.take(folds == fold)
        users = np.unique(held_out.user_rows)
        queries = stored_queries(history, users, np.full(len(users), log.end), strictly_before=False)
        shifts.append(_shift(history, queries, held_out, filter_seen, f"fold {fold + 1} of {n}"))
    return shifts


def _shift(
    history: Log, queries: Queries, taken_up: Log, filter_seen: bool, name: str, users: Rows | None = None
) -> Shift:
    """Label each query with the positives that its user took up, first-time items only where seen ones are filtered.

    Args:
        users: who asks, where the queries do not say so.
    """
    taken_up = taken_up.positives()
    users = queries.user_rows if users is None else users
    query_of_user = np.full(history.n_users, -1)
    query_of_user[users] = np.arange(len(queries))
    query_rows, items = query_of_user[taken_up.user_rows], taken_up.item_rows
    keep = query_rows >= 0
    if filter_seen:
        pairs = queries.event_queries * history.n_items + queries.item_rows
        keep &= ~np.isin(query_rows * history.n_items + items, pairs)
    relevant = Relevant.from_pairs(query_rows[keep], items[keep].astype(np.int64), len(queries))
    return Shift(history, queries, relevant, users, name)
