"""Invented logs of kinds that MovieLens is not, for ``accuracy.py --shape``. Each function returns events and items.

Only their shape is meant to be real: what repeats, what goes out of fashion, what follows what, who is new.
"""

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

DAY = 86_400
START = 1_699_920_000
Tables = tuple[pl.DataFrame, pl.DataFrame | None]
Values = NDArray[np.float64]


def zipf(rng: np.random.Generator, n: int, power: float) -> Values:
    """Probabilities of n items in random order, by a power of their place."""
    weights = rng.permutation(1 / np.arange(1, n + 1) ** power)
    return weights / weights.sum()


def activity(rng: np.random.Generator, n_users: int, n_events: int, shape: float = 1.5) -> NDArray[np.int64]:
    """Events per user, at least one, few users with many."""
    shares = rng.pareto(shape, n_users) + 0.3
    return np.minimum(rng.poisson(shares / shares.sum() * n_events) + 1, 200)


def draw(rng: np.random.Generator, weights: Values) -> int:
    return int(rng.choice(len(weights), p=weights / weights.sum()))


def events_of(rows: Sequence[tuple[int, int, float]]) -> pl.DataFrame:
    """A table of (user, item, seconds since the start) in order of time."""
    users, items, seconds = zip(*rows, strict=True)
    times = START + np.array(seconds).astype(np.int64)
    table = pl.DataFrame({"user_id": users, "item_id": items, "timestamp": times})
    return table.sort("timestamp", maintain_order=True)


def music(rng: np.random.Generator, n_users: int = 120, n_items: int = 2_000) -> Tables:
    """Listening for a year: sessions, old loves again and again, one artist after the other, taste that drifts."""
    artist, genre = rng.integers(0, 200, n_items), rng.integers(0, 15, 200)
    base, released = zipf(rng, n_items, 0.9), np.where(rng.random(n_items) < 0.15, rng.random(n_items) * 360, -1)
    rows: list[tuple[int, int, float]] = []
    for user, n_sessions in enumerate(4 + rng.poisson(20, n_users)):
        taste, later = rng.dirichlet(np.full(15, 0.15)), rng.dirichlet(np.full(15, 0.15))
        heard: list[int] = []
        for day in np.sort(rng.random(n_sessions) * 365):
            mixed = (1 - day / 365) * taste + day / 365 * later
            weights, seconds = base * (mixed[genre[artist]] + 1e-6) * (released <= day), day * DAY
            for track in range(1 + rng.poisson(11)):
                kind = rng.random()
                if heard and kind < 0.55:
                    item = heard[-1 - min(len(heard) - 1, int(rng.exponential(12)))]
                elif track and kind < 0.78:
                    item = draw(rng, weights * (artist == artist[heard[-1]]) + 1e-12)
                else:
                    item = draw(rng, weights)
                heard.append(item)
                rows.append((user, item, seconds))
                seconds += rng.integers(120, 400)
    return events_of(rows), pl.DataFrame({"item_id": range(n_items), "artist": [f"artist {one}" for one in artist]})


def baskets(rng: np.random.Generator, n_users: int = 300, n_items: int = 600, n_weeks: int = 26) -> Tables:
    """Groceries: one time for a whole basket, a weekday of one's own, staples at intervals, what goes with what."""
    base, kind = zipf(rng, n_items, 0.8), rng.integers(0, 40, n_items)
    goes_with = rng.integers(0, n_items, (n_items, 3))
    rows: list[tuple[int, int, float]] = []
    for user in range(n_users):
        liked = rng.gamma(0.3, 1, 40)[kind] * base + 1e-12
        staples = rng.choice(n_items, 25, replace=False, p=liked / liked.sum())
        every, due, weekday = rng.integers(1, 8, 25), rng.integers(0, 4, 25), rng.integers(0, 7)
        for week in np.flatnonzero(rng.random(n_weeks) < 0.75):
            bought = (due <= week) & (rng.random(25) < 0.6)
            due[bought] = week + every[bought]
            basket = set(staples[bought].tolist()) | {draw(rng, liked) for _ in range(rng.poisson(2))}
            basket |= {int(rng.choice(goes_with[item])) for item in sorted(basket) if rng.random() < 0.15}
            seconds = (week * 7 + weekday) * DAY + rng.integers(8, 20) * 3600
            rows += [(user, int(item), seconds) for item in rng.permutation(sorted(basket))]
    return events_of(rows), None


def news(rng: np.random.Generator, n_users: int = 4_500, n_days: int = 24, per_day: int = 40) -> Tables:
    """Articles live for two days and burst; most readers come for a few days and are new when they are asked."""
    n_items = n_days * per_day
    born = np.repeat(np.arange(n_days), per_day) + rng.random(n_items)
    section, heat = rng.integers(0, 10, n_items), rng.pareto(1.1, n_items) + 0.2
    rows: list[tuple[int, int, float]] = []
    for user, n_visits in enumerate(activity(rng, n_users, 9_000, 1.3)):
        taste, first, span = rng.dirichlet(np.full(10, 0.5)), rng.random() * n_days, rng.exponential(3)
        read: list[int] = []
        for day in np.sort(np.minimum(first + rng.random(n_visits) * span, n_days - 0.001)):
            age = day - born
            weights = np.where((age > 0) & (age < 2), heat * np.exp(-np.maximum(age, 0) / 0.6), 0)
            weights = weights * (0.15 + taste[section])
            weights[read] = 0
            for place in range(min(1 + rng.poisson(1.8), int((weights > 0).sum()))):
                read.append(draw(rng, weights))
                weights[read[-1]] = 0
                rows.append((user, read[-1], day * DAY + place * 60))
    return events_of(rows), pl.DataFrame({"item_id": range(n_items), "section": [f"section {one}" for one in section]})


def chain(rng: np.random.Generator, n_users: int = 2_000, n_items: int = 700) -> Tables:
    """Seven of ten events follow from the one before; the step within the user's sequence stands for the time."""
    base = zipf(rng, n_items, 0.6)
    following, share = rng.choice(n_items, (n_items, 6), p=base), np.array([0.4, 0.25, 0.15, 0.1, 0.06, 0.04])
    rows = []
    for user in range(n_users):
        item = draw(rng, base)
        for step in range(3 + rng.geometric(1 / 12)):
            rows.append((user, item, step))
            item = int(following[item, draw(rng, share)]) if rng.random() < 0.7 else draw(rng, base)
    return pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row"), None


def trends(rng: np.random.Generator, n_users: int = 2_000, n_items: int = 500) -> Tables:
    """Nothing personal: popularity alone, but every item has its weeks."""
    base, peak, width = zipf(rng, n_items, 0.7), rng.random(n_items) * 200, rng.exponential(12, n_items) + 3
    rows: list[tuple[int, int, float]] = []
    for user, n in enumerate(activity(rng, n_users, 20_000)):
        had: list[int] = []
        for day in np.sort(rng.random(n) * 200):
            weights = base * (0.05 + np.exp(-(((day - peak) / width) ** 2) / 2))
            weights[had] = 0
            had.append(draw(rng, weights))
            rows.append((user, had[-1], day * DAY))
    return events_of(rows), None


def fashion(rng: np.random.Generator, n_users: int = 2_500, n_items: int = 1_500) -> Tables:
    """Brand, category and price say who buys; items come every week and go after a season."""
    brand, category = rng.integers(0, 60, n_items), rng.integers(0, 25, n_items)
    price, quality = rng.normal(3.5, 0.6, n_items), rng.pareto(1.8, n_items) + 0.3
    born, lives = rng.random(n_items) * 380 - 70, rng.exponential(60, n_items) + 15
    rows: list[tuple[int, int, float]] = []
    for user, n in enumerate(activity(rng, n_users, 25_000)):
        liked = rng.dirichlet(np.full(60, 0.08))[brand] + 0.004
        liked *= (rng.dirichlet(np.full(25, 0.25))[category] + 0.01) * quality
        liked *= np.exp(-(((price - rng.normal(3.5, 0.5)) / 0.35) ** 2) / 2)
        had: list[int] = []
        for day in np.sort(rng.random(n) * 310):
            weights = np.where((born <= day) & (day < born + lives), liked + 1e-12, 0)
            weights[had] *= 0.05
            had.append(draw(rng, weights))
            rows.append((user, had[-1], day * DAY))
    attributes = {"brand": [f"brand {one}" for one in brand], "category": [f"category {one}" for one in category]}
    return events_of(rows), pl.DataFrame({"item_id": range(n_items), **attributes, "price": np.exp(price).round(2)})


def visitors(rng: np.random.Generator, n_users: int = 4_000, n_items: int = 700) -> Tables:
    """Everybody comes once, for some minutes and with a few themes in mind: whoever is asked is new."""
    theme, base, near = rng.integers(0, 50, n_items), zipf(rng, n_items, 0.8), rng.integers(0, n_items, (n_items, 5))
    rows: list[tuple[int, int, float]] = []
    for user in range(n_users):
        seconds, weights = rng.random() * 90 * DAY, base * (rng.dirichlet(np.full(50, 0.05))[theme] + 0.002)
        had: list[int] = []
        for _ in range(2 + rng.geometric(0.2)):
            item = int(rng.choice(near[had[-1]])) if had and rng.random() < 0.35 else draw(rng, weights)
            if item not in had:
                had.append(item)
                rows.append((user, item, seconds))
                seconds += rng.integers(10, 200)
    return events_of(rows), None


def sparse(rng: np.random.Generator, n_users: int = 12_000, n_items: int = 30_000) -> Tables:
    """Three events per user out of thirty thousand items in small groups that are bought together."""
    group, popularity = rng.integers(0, 3_000, n_items), rng.pareto(1.5, n_items) + 0.3
    members, share = [np.flatnonzero(group == one) for one in range(3_000)], zipf(rng, 3_000, 0.7)
    rows: list[tuple[int, int, float]] = []
    for user in range(n_users):
        groups, seconds, had = rng.choice(3_000, 2, p=share), rng.random() * 300 * DAY, set()
        for _ in range(1 + rng.poisson(2)):
            among = members[groups[int(rng.random() < 0.25)]] if rng.random() < 0.85 else np.arange(n_items)
            item = int(among[draw(rng, popularity[among])]) if len(among) else 0
            if item not in had:
                had.add(item)
                rows.append((user, item, seconds))
                seconds += rng.exponential(10) * DAY
    return events_of(rows), None


MADE: dict[str, Callable[[np.random.Generator], Tables]] = {
    made.__name__: made for made in (music, baskets, news, chain, trends, fashion, visitors, sparse)
}
