"""Small logs whose structure is known."""

import numpy as np
import pytest

from shortlist.data.log import Log


def build_log(user_rows, item_rows, n_users, n_items, ratings=None, weights=None):
    n = len(user_rows)
    return Log(
        np.asarray(user_rows, dtype=np.int32),
        np.asarray(item_rows, dtype=np.int32),
        np.arange(n, dtype=np.int64),
        np.full(n, np.nan, dtype=np.float32) if ratings is None else np.asarray(ratings, dtype=np.float32),
        np.ones(n, dtype=np.float32) if weights is None else np.asarray(weights, dtype=np.float32),
        n_users,
        n_items,
        in_seconds=False,
    )


N_USERS, N_ITEMS, N_EACH = 80, 60, 12


def two_groups(seed, shuffled=False):
    """Even users take up even items, odd users odd ones. Shuffled: the same items, to users at random.

    User 80 and item 60 have no event. Returns the log and the held-out rows, a fifth.
    """
    rng = np.random.default_rng(seed)
    users = np.repeat(np.arange(N_USERS), N_EACH)
    items = np.concatenate([rng.permutation(N_ITEMS // 2)[:N_EACH] * 2 + user % 2 for user in range(N_USERS)])
    if shuffled:
        items = rng.permutation(items)
    order = rng.permutation(len(users))
    log = build_log(users[order], items[order], N_USERS + 1, N_ITEMS + 1)
    held_out = np.arange(len(log)) % 5 == 0
    return log.take(~held_out), log.take(held_out)


@pytest.fixture(scope="session")
def grouped():
    return two_groups(0)


@pytest.fixture(scope="session")
def shuffled():
    return two_groups(0, shuffled=True)


@pytest.fixture(scope="session")
def make_log():
    return build_log


collect_ignore = ["conftest.py"]  # it holds no doctests, and two modules of one name cannot both be collected
