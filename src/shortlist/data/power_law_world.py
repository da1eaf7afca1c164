"""Who and what is in a power-law log: its settings, its users and its items. Times here are shares of the span."""

import math
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.errors import ConfigError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

DAY = 86_400
START = 1_600_000_000
"""September 2020: where the times begin."""

BLOCK_ROWS = 65_536
LEAST_BLOCKS = 200

FIRST_USERS = 0.3
"""This share of the users arrives in the first tenth of the time, the others evenly after it."""
FIRST_ITEMS = 0.5
"""This share of the items is out before the log begins, the others come evenly."""

ADJECTIVES = "Amber Bitter Broken Brave Calm Distant Early Faded Gentle Golden Hidden Late Little Quiet Silver Wild"
NOUNS = (
    "Anchor Bridge Candle Castle Cloud Comet Desert Engine Falcon Feather Forest Fountain Garden Glacier Harbour "
    "Island Kettle Ladder Lantern Market Mirror Mountain Needle Orchard Paper Piano River Shadow Station Street Tower"
)
COMMON_TAGS = ["cheap", "classic", "gift", "large", "new", "used"]
COUNTRIES = ["AT", "BR", "CA", "DE", "FR", "IN", "JP", "KE", "PL", "US"]


@dataclass(frozen=True, kw_only=True)
class PowerLaw:
    """What a large invented log is to be.

    Attributes:
        n_interactions: number of rows, at least two per user.
        n_users: each appears.
        n_items: in the catalogue; some are never taken.
        seed: the same settings, seed and version of NumPy give the same rows.
        exponent: of popularity, from 0 to 4. Inside a category, at any moment, the item of rank r (from 1) is drawn
            with a probability proportional to ``r ** -exponent``. Users' first rows follow that to the letter. Over
            all rows the head is flatter, the more so the more rows a user has: nobody takes an item twice (but as a
            repeat), and the popular ones are soon known.
        repeats: share of the rows in which a user takes up an item again, from 0 to nine tenths of the share of rows
            that are not of users' first sessions, in which nothing is repeated.
        structure: share of the sessions that stay in one category that the user likes at that time, from 0 to 1; in
            the others each row is in any category. At 0 (and without drift) nothing but popularity can be learned.
        drift: how much popularity and tastes move, from 0 (not at all; new items still come) to 10. At 1 users change
            what they like twice in the span, and half of the variance of an item's appeal comes and goes.
        days: length of the span.

    Raises:
        ConfigError: a value out of its range, or more rows than such users and items can have.
    """

    n_interactions: int
    n_users: int
    n_items: int
    seed: int = 0
    exponent: float = 1.0
    repeats: float = 0.0
    structure: float = 0.8
    drift: float = 1.0
    days: int = 365

    def __post_init__(self) -> None:
        ranges = {"n_users": 1, "n_items": 1, "n_interactions": 2 * self.n_users, "days": 1, "seed": 0}
        for name, least in ranges.items():
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                hint = " (two per user)" if name == "n_interactions" else ""
                raise ConfigError(f"{name}: expected an integer of at least {least:,}{hint}, got {value!r}")
        for name, most in {"exponent": 4.0, "repeats": 1.0, "structure": 1.0, "drift": 10.0}.items():
            if not 0 <= getattr(self, name) <= most:
                raise ConfigError(f"{name}: expected a number from 0 to {most:g}, got {getattr(self, name)!r}")
        most_repeats = 0.9 * (1 - self.mean_session * self.n_users / self.n_interactions)
        if self.repeats > most_repeats:
            raise ConfigError(
                f"repeats: expected at most {most_repeats:.3f} for {self.n_interactions:,} rows of {self.n_users:,} "
                f"users, whose first sessions repeat nothing, got {self.repeats:g}"
            )
        n_new, n_pairs = round(self.n_interactions * (1 - self.repeats)), self.n_users * self.n_items
        if 4 * n_new > n_pairs:
            raise ConfigError(
                f"expected at least {4 * n_new:,} pairs of a user and an item, four times the {n_new:,} rows that are "
                f"no repeats, got {n_pairs:,}; ask for fewer rows or for more users or items"
            )

    @property
    def n_categories(self) -> int:
        """How many categories the items are in, in equal numbers: about a quarter of the root of their number."""
        return max(1, min(round(math.sqrt(self.n_items) / 4), self.n_items // 2))

    @property
    def mean_session(self) -> float:
        """Rows per session: 4, or so many that first sessions are half of all rows."""
        return min(4.0, self.n_interactions / (2 * self.n_users))

    @property
    def edges(self) -> Floats:
        """float64, from 0 to 1: where the blocks begin and end in which a log is made."""
        n_blocks = max(math.ceil(self.n_interactions / BLOCK_ROWS), min(self.n_interactions, LEAST_BLOCKS))
        return np.linspace(0, 1, n_blocks + 1)

    def seconds(self, share: Floats) -> Ints:
        """Times as Unix seconds."""
        return START + np.floor(share * self.days * DAY).astype(np.int64)


class Users:
    """The users in the order in which they arrive.

    Attributes:
        ids: int64 (n_users,), a permutation of 0 …
        arrival: float64 (n_users,), ascending.
        activity: float64 (n_users,), running sum of how often each comes back; the shares have a Pareto tail with
            exponent 1.5, cut at 50 times the mean.
    """

    def __init__(self, law: PowerLaw) -> None:
        rng = np.random.default_rng([law.seed, 1])
        self._law = law
        n = law.n_users
        self.ids = rng.permutation(n)
        self.arrival = np.interp((np.arange(n) + 0.5) / n, [0, FIRST_USERS, 1], [0, 0.1, 1])
        most = min(50.0, law.n_items * n / (4 * law.n_interactions))
        self.activity = np.cumsum(np.minimum((1 - rng.random(n)) ** (-1 / 1.5) / 3, max(most, 0.5)))
        self._phase = rng.random(n)
        self.kindness = rng.standard_normal(n)

    def likes(self, rows: Ints, share: float | Floats) -> tuple[Ints, Ints]:
        """The categories that users like best and second best at a time, or each at its own time."""
        period = np.floor(2 * self._law.drift * share + self._phase[rows]).astype(np.int64)
        key = (rows * 1_000 + period) * 4 + 2
        n = self._law.n_categories
        return mixed(key, self._law.seed) % n, mixed(key + 1, self._law.seed) % n

    def table(self) -> pl.DataFrame:
        """``user_id``, ``country`` (says nothing), ``joined`` (date), ``interest`` (the category liked on joining)."""
        rows, edges = np.arange(self._law.n_users), self._law.edges
        joined = edges[np.searchsorted(edges, self.arrival, side="right") - 1]  # not after the first row
        made = pl.DataFrame(
            {
                "user_id": self.ids,
                "country": pl.Series(COUNTRIES).gather(mixed(rows, self._law.seed) % len(COUNTRIES)),
                "joined": dates(self._law.seconds(joined)),
                "interest": category_names(self.likes(rows, joined)[0]),
            }
        )
        return made.sort("user_id")


class Items:
    """The items in the order in which they come out.

    Attributes:
        ids: int64 (n_items,), a permutation of 0 …
        released: float64 (n_items,), ascending; negative = before the log begins.
        category: int64 (n_items,).
        quality: float64 (n_items,), standard normal.
    """

    def __init__(self, law: PowerLaw) -> None:
        rng = np.random.default_rng([law.seed, 2])
        self._law = law
        n = law.n_items
        n_first = math.ceil(FIRST_ITEMS * n)
        self.ids = rng.permutation(n)
        # Those of before came out over ten years, ever more of them.
        early = -np.sort(rng.exponential(2 * 365 / law.days, n_first))[::-1]
        self.released = np.concatenate([early, (np.arange(n - n_first) + 0.5) / max(n - n_first, 1)])
        self.category = np.arange(n) % law.n_categories
        self.quality = rng.standard_normal(n)
        self._frequency, self._phase = rng.uniform(0.5, 1.5, n), rng.random(n)

    def ranking(self, share: float) -> tuple[Ints, Ints, Ints]:
        """What is out at a time, the most attractive first: item rows by category, each category's start and size."""
        n_out = int(np.searchsorted(self.released, share))
        age = share - self.released[:n_out]
        wave = math.sqrt(2) * np.sin(2 * math.pi * (self._frequency[:n_out] * share + self._phase[:n_out]))
        appeal = self.quality[:n_out] + self._law.drift * (wave + 2 * np.exp(-age / 0.05))
        order = np.lexsort((-appeal, self.category[:n_out]))
        sizes = np.bincount(self.category[:n_out], minlength=self._law.n_categories)
        return order, np.cumsum(sizes) - sizes, sizes

    def table(self) -> pl.DataFrame:
        """``item_id``, ``title`` (text), ``category``, ``tags`` (list), ``price`` (number) and ``released`` (date)."""
        rng = np.random.default_rng([self._law.seed, 3])
        n, category = self._law.n_items, self.category
        adjectives, nouns = pl.Series(ADJECTIVES.split()), pl.Series(NOUNS.split())
        own = [3 * category + rng.integers(0, 3, n) for _ in range(2)]  # each category has three nouns and tags
        made = pl.DataFrame(
            {
                "item_id": self.ids,
                "adjective": adjectives.gather(rng.integers(0, len(adjectives), n)),
                "noun": nouns.gather(own[0] % len(nouns)),
                "category": category_names(category),
                "tag": [f"T{tag}" for tag in own[1]],
                "other": pl.Series(COMMON_TAGS).gather(rng.integers(0, len(COMMON_TAGS), n)),
                "price": np.round(np.exp(rng.normal(2 + category % 5 / 4, 0.5)), 2),
                "released": dates(self._law.seconds(self.released)),
            }
        )
        title = pl.format("{} {} {}", "adjective", "noun", "item_id").alias("title")
        tags = pl.concat_list("tag", "other").alias("tags")
        return made.select("item_id", title, "category", tags, "price", "released").sort("item_id")


def mixed(keys: Ints, seed: int) -> Ints:
    """Numbers that look random: the same for the same key and seed (the finishing steps of SplitMix64, shifted)."""
    bits = keys.astype(np.uint64) + np.uint64((seed + 1) * 0x9E3779B97F4A7C15 % 2**64)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((bits ^ (bits >> np.uint64(31))) >> np.uint64(1)).astype(np.int64)


def category_names(numbers: Ints) -> pl.Series:
    return pl.Series(numbers).cast(pl.String).str.zfill(3).str.replace("^", "C")


def dates(seconds: Ints) -> pl.Series:
    return pl.from_epoch(pl.Series(seconds)).dt.date()
