"""Logs made up for the retrievers, and brute force to hold them to."""

import numpy as np

from shortlist.data.log import Log
from shortlist.stages import Queries

DAY = 86_400
N_USERS, N_ITEMS, N_EACH = 120, 60, 12


def make_log(user_rows, item_rows, n_users, n_items, timestamps=None, weights=None, in_seconds=True):
    n = len(user_rows)
    return Log(
        np.asarray(user_rows, dtype=np.int32),
        np.asarray(item_rows, dtype=np.int32),
        np.arange(n, dtype=np.int64) if timestamps is None else np.asarray(timestamps, dtype=np.int64),
        np.full(n, np.nan, dtype=np.float32),
        np.ones(n, dtype=np.float32) if weights is None else np.asarray(weights, dtype=np.float32),
        n_users,
        n_items,
        in_seconds,
    )


def two_groups(seed, shuffled=False):
    """Even users take up even items, odd users odd ones; shuffled: the same items, to users at random.

    User 120 and item 60 have no event. Some events count half, some not at all. Returns the
    log and, held out, the last two events of each user.
    """
    rng = np.random.default_rng(seed)
    users = np.repeat(np.arange(N_USERS), N_EACH)
    items = np.concatenate([rng.permutation(N_ITEMS // 2)[:N_EACH] * 2 + user % 2 for user in range(N_USERS)])
    if shuffled:
        items = rng.permutation(items)
    order = rng.permutation(len(users))
    weights = rng.choice([1, 1, 1, 1, 0.5, 0], len(users))
    log = make_log(users[order], items[order], N_USERS + 1, N_ITEMS + 1, np.arange(len(users)) * DAY, weights)
    held_out = log.positions_from_end < 2
    return log.take(~held_out), log.take(held_out)


def make_queries(histories, user_rows=None, at=0, weights=None):
    """Queries with these lists of item rows as history."""
    lengths = [len(history) for history in histories]
    n_events = sum(lengths)
    return Queries(
        np.full(len(histories), -1, dtype=np.int32) if user_rows is None else np.asarray(user_rows, dtype=np.int32),
        np.broadcast_to(np.asarray(at, dtype=np.int64), len(histories)).copy(),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.array([item for history in histories for item in history], dtype=np.int32),
        np.arange(n_events, dtype=np.int64),
        np.full(n_events, np.nan, dtype=np.float32),
        np.ones(n_events, dtype=np.float32) if weights is None else np.asarray(weights, dtype=np.float32),
    )


def best_by_sorting(scores, k, allowed):
    """The k best allowed items of one row, by sorting in plain Python: a missing or infinitely low score is lowest."""
    lowest = -float(np.finfo(np.float32).max)
    keys = [lowest if score != score or score < lowest else score for score in map(float, scores)]
    return sorted(np.flatnonzero(allowed).tolist(), key=lambda item: (-keys[item], item))[:k]
