"""Logs and questions by hand, with times in days."""

import numpy as np

from shortlist.data.log import Log
from shortlist.stages import Queries

DAY = 86_400


def log_of(users, items, days, n_users, n_items, in_seconds=True):
    n = len(users)
    return Log(
        np.array(users, np.int32),
        np.array(items, np.int32),
        np.array(days, np.int64) * DAY,
        np.full(n, np.nan, np.float32),
        np.ones(n, np.float32),
        n_users,
        n_items,
        in_seconds,
    )


def queries_of(histories, at_days):
    events = [item for history in histories for item in history]
    n = len(events)
    return Queries(
        np.full(len(histories), -1, np.int32),
        np.array(at_days, np.int64) * DAY,
        np.cumsum([0, *map(len, histories)]).astype(np.int64),
        np.array(events, np.int32),
        np.zeros(n, np.int64),
        np.full(n, np.nan, np.float32),
        np.ones(n, np.float32),
    )
