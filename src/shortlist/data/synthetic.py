"""Small logs whose right answer is known: what a model should find in them, and what it must not."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.data.dataset import Dataset

DAY = 86_400
START = 1_600_000_000
"""September 2020: where the times begin."""


def two_tastes(n_users: int = 60, n_items: int = 40, seed: int = 0) -> Dataset:
    """Two groups of users and of items; nobody takes anything of the other group.

    Users and items of even number are the group ``"even"``, the others ``"odd"``. Each user takes between half and
    nine tenths of the own group's items, once each, over 200 days, with ratings of 4 or 5. Within a group nothing
    tells items apart: what can be learned is the group.

    Args:
        n_users: at least 2.
        n_items: at least 8.

    Returns:
        Integer ids from 0; items with ``title`` (text), ``group`` (category) and ``year`` (number); users with
        ``group``. Rows are in the order of time.

    >>> two_tastes()
    <Dataset 'two_tastes': 844 interactions, 60 users, 40 items, time: seconds>
    """
    rng = np.random.default_rng(seed)
    user_ids, item_ids = [], []
    for user in range(n_users):
        own = np.arange(user % 2, n_items, 2)
        taken = rng.permutation(own)[: rng.integers(len(own) // 2, len(own) * 9 // 10 + 1)]
        user_ids += [user] * len(taken)
        item_ids += taken.tolist()
    n = len(user_ids)
    group = ["even", "odd"]
    items = {
        "item_id": np.arange(n_items),
        "title": [f"Item {item} of the {group[item % 2]}" for item in range(n_items)],
        "group": [group[item % 2] for item in range(n_items)],
        "year": 1980 + rng.integers(0, 40, n_items),
    }
    users = {"user_id": np.arange(n_users), "group": [group[user % 2] for user in range(n_users)]}
    log = {
        "user_id": user_ids,
        "item_id": item_ids,
        "timestamp": START + rng.permutation(200 * DAY // 60)[:n] * 60,
        "rating": rng.integers(4, 6, n),
    }
    return _in_time("two_tastes", log, items, users)


def chain(n_users: int = 60, n_items: int = 30, seed: int = 0, *, stray: float = 0.1) -> Dataset:
    """Each user walks from item i to item i + 1 (the last leads to the first): the last item foretells the next.

    Every user starts anywhere and takes between a third and two thirds of the items, none twice. Before each step,
    with the probability ``stray``, the walk jumps to an item not yet taken.

    Returns:
        Integer ids from 0; a step every hour. All items are about equally popular, so that popularity knows nothing.

    >>> chain(n_users=2, n_items=9, stray=0).interactions["item_id"].to_list()
    [5, 6, 7, 8, 0, 1, 8, 0, 1, 2, 3]
    """
    rng = np.random.default_rng(seed)
    log: dict[str, list[int]] = {"user_id": [], "item_id": [], "timestamp": []}
    for user in range(n_users):
        walk = _walk(n_items, int(rng.integers(n_items // 3, n_items * 2 // 3 + 1)), stray, rng)
        start = START + int(rng.integers(0, 200 * 24)) * 3_600
        log["user_id"] += [user] * len(walk)
        log["item_id"] += walk
        log["timestamp"] += [start + 3_600 * step for step in range(len(walk))]
    return _in_time("chain", log, {"item_id": np.arange(n_items)}, None)


def _walk(n_items: int, length: int, stray: float, rng: np.random.Generator) -> list[int]:
    item = int(rng.integers(n_items))
    walk, left = [item], set(range(n_items)) - {item}
    while len(walk) < length:
        item = (item + 1) % n_items
        if item not in left or rng.random() < stray:
            item = int(rng.choice(sorted(left)))
        walk.append(item)
        left.remove(item)
    return walk


def shop(n_users: int = 50, n_items: int = 60, seed: int = 0) -> Dataset:
    """Purchases without ratings in which people come back to what they bought.

    Each user has five staples and, one visit a week, buys one of them (with the probability 0.8) or anything else.
    Between each user's visits everything else is chance, with few items bought by many.

    Returns:
        String ids (``"u0"``, ``"i0"``); ``event`` is ``"purchase"`` or, for one more row in four, a ``"view"`` of
        the item a minute before.
    """
    rng = np.random.default_rng(seed)
    popularity = 1 / np.arange(1, n_items + 1)
    popularity /= popularity.sum()
    log: dict[str, list[Any]] = {"user_id": [], "item_id": [], "timestamp": [], "event": []}
    for user in range(n_users):
        staples = rng.choice(n_items, 5, replace=False)
        for week in range(int(rng.integers(10, 30))):
            item = rng.choice(staples) if rng.random() < 0.8 else rng.choice(n_items, p=popularity)
            moment = START + week * 7 * DAY + int(rng.integers(0, 2 * DAY))
            visits = [("view", moment - 60), ("purchase", moment)] if rng.random() < 0.25 else [("purchase", moment)]
            for event, time in visits:
                for name, value in zip(log, (f"u{user}", f"i{item}", time, event), strict=True):
                    log[name].append(value)
    return _in_time("shop", log, {"item_id": [f"i{item}" for item in range(n_items)]}, None)


def shuffled_items(dataset: Dataset, seed: int = 0) -> Dataset:
    """The same log with its items dealt out anew: nothing about an item can be learned from its user or its time.

    How often each item and each user occurs stays; so do times, ratings and the tables. Whatever a model gains over
    popularity on the original must vanish here. Where nobody had an item twice, hardly anybody has now.
    """
    rng = np.random.default_rng(seed)
    users = dataset.user_vocabulary.rows(dataset.interactions["user_id"]).astype(np.int64)
    order = rng.permutation(len(dataset))
    items = dataset.item_vocabulary.rows(dataset.interactions["item_id"]).astype(np.int64)
    if dataset.repeat_share == 0:
        order = _without_repeats(users, items, order, rng)
    shuffled = dataset.interactions.with_columns(dataset.interactions["item_id"].gather(order))
    return dataset.with_interactions(shuffled).renamed(f"{dataset.name}, shuffled".lstrip(", "))


def _without_repeats(
    users: NDArray[np.int64], items: NDArray[np.int64], order: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Where a user has an item again, exchange it with a random row such that neither user has the other's yet."""
    dealt = items[order]
    count = Counter(zip(users.tolist(), dealt.tolist(), strict=True))
    for row in range(len(users)):
        if count[users[row], dealt[row]] == 1:
            continue
        for other in rng.integers(len(users), size=200):
            taken = [(users[row], dealt[other]), (users[other], dealt[row])]
            if users[row] != users[other] and not any(count[pair] for pair in taken):
                count.subtract([(users[row], dealt[row]), (users[other], dealt[other])])
                count.update(taken)
                order[[row, other]], dealt[[row, other]] = order[[other, row]], dealt[[other, row]]
                break
    return order


def _in_time(name: str, log: Mapping[str, Any], items: Mapping[str, Any], users: Mapping[str, Any] | None) -> Dataset:
    ordered = pl.DataFrame(dict(log)).sort("timestamp", maintain_order=True)
    return Dataset.from_frames(ordered, items, users, name=name)
