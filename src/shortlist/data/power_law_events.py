"""The rows of a power-law log, block after block in the order of time."""

import math
from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.data.power_law_world import Ints, Items, PowerLaw, Users, mixed

Mask = NDArray[np.bool_]

MEAN_GAP_SECONDS = 90.0
N_REMEMBERED = 16
MAX_DRAWS = 40


class Taken:
    """The pairs of user and item so far, as a Bloom filter: never forgets one, sometimes (1 in 200) thinks it saw one.

    Two to four bytes per pair, so that twenty million pairs fit into 64 MB.
    """

    def __init__(self, n_pairs: int) -> None:
        self._bits = np.zeros(2 ** max(3, math.ceil(math.log2(16 * n_pairs)) - 3), dtype=np.uint8)

    def has(self, pairs: Ints) -> Mask:
        found = np.ones(len(pairs), dtype=bool)
        for place, bit in self._places(pairs):
            found &= self._bits[place >> 3] & bit != 0
        return found

    def add(self, pairs: Ints) -> None:
        for place, bit in self._places(pairs):
            np.bitwise_or.at(self._bits, place >> 3, bit)

    def _places(self, pairs: Ints) -> Iterator[tuple[Ints, NDArray[np.uint8]]]:
        for n in range(3):
            place = mixed(pairs, n) & (8 * len(self._bits) - 1)
            yield place, (1 << (place & 7)).astype(np.uint8)


class Events:
    """One run through time. Its state: which pairs have been, what each user took lately, how many rows were repeats.

    Memory grows with users, items and, by two to four bytes each, rows.
    """

    def __init__(self, law: PowerLaw) -> None:
        self._law = law
        self._users, self._items = Users(law), Items(law)
        self._taken = Taken(law.n_interactions)
        self._lately = np.zeros((law.n_users if law.repeats else 0, N_REMEMBERED), dtype=np.int32)
        self._n_lately = np.zeros(law.n_users, dtype=np.int64)
        self._n_rows = self._n_repeats = 0
        # A beginning of these sums serves a smaller category.
        self._rank_sums = np.cumsum(np.arange(1, law.n_items // law.n_categories + 2) ** -law.exponent)

    def blocks(self) -> Iterator[pl.DataFrame]:
        """Frames of some ten thousand rows: ``user_id``, ``item_id``, ``timestamp`` (Int64) and ``rating`` (Int8)."""
        law = self._law
        edges = law.edges
        n_arrived = np.searchsorted(self._users.arrival, edges)
        n_more = _shared_out(law, n_arrived)
        for block in range(len(edges) - 1):
            rng = np.random.default_rng([law.seed, 4, block])
            span = (float(edges[block]), float(edges[block + 1]))
            arrived = (int(n_arrived[block]), int(n_arrived[block + 1]))
            users, sessions, seconds = self._sessions(rng, span, arrived, int(n_more[block]))
            if len(users):
                yield self._block(rng, span[0], users, sessions, seconds)

    def _sessions(
        self, rng: np.random.Generator, span: tuple[float, float], arrived: tuple[int, int], n_more: int
    ) -> tuple[Ints, Ints, Ints]:
        """Per row: the user's row, the number of the session (from 0) and the time in Unix seconds, ascending."""
        before, now = arrived
        new = np.arange(before, now)
        n_old = math.ceil(n_more / self._law.mean_session) if now else 0
        draws = rng.random(n_old) * self._users.activity[(before or now) - 1] if n_old else np.zeros(0)
        users = np.concatenate([new, np.searchsorted(self._users.activity, draws)])
        # Arrivals have one row for certain; longer sessions and those of older users are cut where rows run out.
        lengths = rng.geometric(1 / self._law.mean_session, len(users))
        lengths[: len(new)] -= 1
        ends = np.minimum(np.cumsum(lengths), n_more)
        lengths = np.diff(ends, prepend=0)
        if len(lengths):
            lengths[-1] += n_more - ends[-1]
            lengths[: len(new)] += 1
        session = np.repeat(np.arange(len(users)), lengths)
        seconds = self._moments(rng, span, session, lengths)
        order = np.argsort(seconds, kind="stable")
        return users[session][order], session[order], seconds[order]

    def _moments(self, rng: np.random.Generator, span: tuple[float, float], session: Ints, lengths: Ints) -> Ints:
        """The time of each row: sessions begin at any moment of the block and end in it."""
        start, stop = (int(edge) for edge in self._law.seconds(np.array(span)))
        last = max(stop - 1 - start, 0)
        # At least a second, so that one user's repeats are events of their own.
        elapsed = np.cumsum(1 + rng.exponential(MEAN_GAP_SECONDS - 1, len(session)))
        firsts = np.cumsum(lengths) - lengths
        elapsed -= elapsed[firsts[session]]
        durations = np.zeros(len(lengths))
        np.maximum.at(durations, session, elapsed)
        begins = rng.random(len(lengths)) * np.maximum(last - durations, 0)
        return start + np.minimum(np.floor(begins[session] + elapsed), last).astype(np.int64)

    def _block(
        self, rng: np.random.Generator, share: float, users: Ints, sessions: Ints, seconds: Ints
    ) -> pl.DataFrame:
        first, second = self._users.likes(users, share)
        any_category = rng.integers(0, self._law.n_categories, len(users))
        chance = rng.random(sessions.max() + 1)[sessions]
        structure = self._law.structure
        liked = np.where(chance < structure * 2 / 3, first, second)
        categories = np.where(chance < structure, liked, any_category)

        items = np.full(len(users), -1)
        again = self._choose_repeats(rng, users)
        items[again] = self._again(rng, users[again])
        fresh = np.flatnonzero(items < 0)
        items[fresh] = self._fresh(rng, share, users[fresh], categories[fresh])
        self._n_rows += len(users)
        self._n_repeats += len(again)
        if self._law.repeats:
            self._remember(users, items)

        is_liked = (self._items.category[items] == first) | (self._items.category[items] == second)
        opinion = 2.9 + 0.8 * is_liked + 0.5 * self._items.quality[items] + 0.4 * self._users.kindness[users]
        ratings = np.clip(np.round(opinion + 0.7 * rng.standard_normal(len(users))), 1, 5)
        return pl.DataFrame(
            {
                "user_id": self._users.ids[users],
                "item_id": self._items.ids[items],
                "timestamp": seconds,
                "rating": ratings.astype(np.int8),
            }
        )

    def _choose_repeats(self, rng: np.random.Generator, users: Ints) -> Ints:
        """The rows that will be repeats, as many as bring the share back to what it should be."""
        able = np.flatnonzero(self._n_lately[users])
        wanted = round(self._law.repeats * (self._n_rows + len(users))) - self._n_repeats
        chosen: Ints = rng.permutation(able)[: max(wanted, 0)]
        return chosen

    def _again(self, rng: np.random.Generator, users: Ints) -> Ints:
        """An item that each user took lately, the latest most likely."""
        n = self._n_lately[users]
        back = np.floor(np.minimum(n, N_REMEMBERED) * rng.random(len(users)) ** 2).astype(np.int64)
        items: Ints = self._lately[users, (n - 1 - back) % N_REMEMBERED].astype(np.int64)
        return items

    def _fresh(self, rng: np.random.Generator, share: float, users: Ints, categories: Ints) -> Ints:
        """An item of each row's category that its user never had; of any category where that cannot be found."""
        ranking = self._items.ranking(share)
        items = np.full(len(users), -1)
        left = np.arange(len(users))
        for draw in range(MAX_DRAWS):
            any_category = rng.integers(0, self._law.n_categories, len(left))
            drawn = self._draw(rng, ranking, categories[left] if draw < MAX_DRAWS // 2 else any_category)
            pairs = users[left] * self._law.n_items + drawn
            accepted = np.zeros(len(left), dtype=bool)
            accepted[np.unique(pairs, return_index=True)[1]] = True
            accepted &= ~self._taken.has(pairs)
            self._taken.add(pairs[accepted])
            items[left[accepted]] = drawn[accepted]
            left, drawn = left[~accepted], drawn[~accepted]
            if not len(left):
                return items
        items[left] = drawn  # these users have nearly everything
        self._n_repeats += len(left)
        return items

    def _draw(self, rng: np.random.Generator, ranking: tuple[Ints, Ints, Ints], categories: Ints) -> Ints:
        """An item of each category by the power law of ranks."""
        order, starts, sizes = ranking
        last = sizes[categories] - 1
        places = self._rank_sums[last] * rng.random(len(categories))
        drawn: Ints = order[starts[categories] + np.minimum(np.searchsorted(self._rank_sums, places, "right"), last)]
        return drawn

    def _remember(self, users: Ints, items: Ints) -> None:
        order = np.argsort(users, kind="stable")
        users, items = users[order], items[order]
        starts = np.flatnonzero(np.diff(users, prepend=-1))
        counts = np.diff(starts, append=len(users))
        place = np.arange(len(users)) - np.repeat(starts, counts)
        kept = place >= np.repeat(counts, counts) - N_REMEMBERED
        slots = (self._n_lately[users] + place) % N_REMEMBERED
        self._lately[users[kept], slots[kept]] = items[kept]
        self._n_lately[users[starts]] += counts


def _shared_out(law: PowerLaw, n_arrived: Ints) -> Ints:
    """How many rows each block has beside one for each arrival: the rest of their sessions, then by users."""
    left = law.n_interactions - law.n_users
    weights = (law.mean_session - 1) * np.diff(n_arrived)
    weights = weights + (left - weights.sum()) * n_arrived[1:] / n_arrived[1:].sum()
    ends: Ints = np.round(np.cumsum(weights) * (left / weights.sum())).astype(np.int64)
    return np.diff(ends, prepend=0)
