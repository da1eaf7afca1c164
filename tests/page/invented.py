"""An invented shop of films: titles nobody has heard of, tastes that can be learned; for tests and pictures."""

import itertools

import numpy as np

from shortlist.config import load_config
from shortlist.data.dataset import Dataset
from shortlist.training.schedule import train

DAY = 86_400
START = 1_640_995_200  # 2022
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"
GENRES = ["Adventure", "Comedy", "Crime", "Drama", "Fantasy", "Mystery", "Romance", "Science fiction"]
FIRST = [
    "The Glass", "Winter", "A Quiet", "The Last", "Paper", "Salt and", "Northern", "The Other", "Borrowed", "Midnight",
    "The Long", "Copper", "Every Second", "Beyond the", "The Painted", "Seven", "Under a", "The Hollow", "Silver",
    "One More",
]  # fmt: skip
SECOND = [
    "Orchard", "Harbour", "Lantern", "Cartographer", "Tide", "Station", "Violin", "Empire", "Letter", "Comet",
    "Neighbour", "Garden", "Signal", "Mountain", "Detective", "Sparrow", "Archive", "Summer", "Horizon", "Clockmaker",
]  # fmt: skip
SMALL = {
    "preset": "fast",
    "threads": 1,
    "retrieval": {
        "candidates": 60,
        "ease": {"regularisation": [100.0], "decay": [1.0]},
        "covisitation": {"window": [5], "popularity_power": [0.0], "decay": [0.8]},
        "popularity": {"recent": [30], "half_life": [60.0]},
    },
    "ranking": {"shifts": 3, "trees": {"max_trees": 30, "depth": 3, "step": 10}},
}


def films(n_users: int = 240, n_items: int = 320, seed: int = 3, *, hostile: bool = False) -> Dataset:
    """Films with ``title``, ``year`` and ``genres``; each user loves two genres, and some films are loved by many.

    Args:
        n_items: at most 400.
        hostile: the film that most people have is called `HOSTILE`.
    """
    rng = np.random.default_rng(seed)
    names = [f"{first} {second}" for first, second in itertools.product(FIRST, SECOND)]
    titles = [str(name) for name in rng.permutation(names)[:n_items]]
    genres = [sorted(rng.choice(GENRES, rng.integers(1, 4), replace=False).tolist()) for _ in range(n_items)]
    appeal = 1 / np.arange(1, n_items + 1) ** 0.7
    released = np.sort(rng.integers(1962, 2025, n_items))[rng.permutation(n_items)]
    if hostile:
        titles[0] = HOSTILE
    has = np.array([[genre in of for genre in GENRES] for of in genres], dtype=float)
    rows = []
    for user in range(1, n_users + 1):
        taste = np.full(len(GENRES), 0.06)
        taste[rng.choice(len(GENRES), 2, replace=False)] = 1.0
        liking = has @ taste / has.sum(axis=1)
        n = int(rng.integers(12, 60))
        chance = appeal * liking**2
        taken = rng.choice(n_items, n, replace=False, p=chance / chance.sum())
        begin = START + int(rng.integers(0, 600)) * DAY
        for step, item in enumerate(taken):
            mean = 2.2 + 2.3 * liking[item] + 0.5 * (appeal[item] > 0.05)
            rating = int(np.clip(round(rng.normal(mean, 0.7)), 1, 5))
            rows.append((user, int(item) + 1, begin + step * int(rng.integers(1, 9)) * DAY, rating))
    rows.sort(key=lambda row: row[2])
    log = dict(zip(("user_id", "item_id", "timestamp", "rating"), map(list, zip(*rows, strict=True)), strict=True))
    items = {"item_id": list(range(1, n_items + 1)), "title": titles, "year": released.tolist(), "genres": genres}
    return Dataset.from_frames(log, items, None, name="invented films")


def small_model(dataset, **changes):
    """A model of such a log, fitted in seconds."""
    return train(dataset, None, load_config(SMALL | changes))
