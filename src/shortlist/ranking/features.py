"""The only place where (query, item, time) becomes a row of features.

A feature depends on the query, the item and the moment, never on the other candidates; training and answering use this
same code. Each group of features is one function that returns named columns.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from shortlist.data.log import Floats, Log, Mask
from shortlist.ranking.bias import RatingModel
from shortlist.ranking.blend import FRESH
from shortlist.retrieval.item_item import ItemItem
from shortlist.retrieval.merge import fuse
from shortlist.retrieval.popularity import ItemCounts
from shortlist.stages import Candidates, Queries

Columns = dict[str, NDArray[np.floating] | NDArray[np.integer] | Mask]
LATEST = (1, 3, 10)
AGREEMENT_RANK = 100

NEEDS_ORDER = (
    "trend",
    "popularity_short",
    "popularity_long",
    "item_position",
    FRESH,
    "events_since_taken",
    *(f"similar_to_last_{n}" for n in LATEST),
)
NEEDS_SECONDS = ("item_age", "user_idle", "idle_since_taken", "overdue")
NEEDS_REPEATS = ("times_taken", "events_since_taken", "idle_since_taken", "overdue", "user_repeats")


@dataclass(frozen=True)
class ItemFacts:
    """What is known of each item from a log: one value per item row.

    Attributes:
        first_ticks: int32 (n_items,), the tick of the first event; 0 = none yet.
        mean_ratings: float32 (n_items,), ``nan`` where nobody rated.
        shrunk_ratings: float32 (n_items,), with ten ratings of the overall mean added; ``nan`` without any rating.
        mean_positions: float32 (n_items,), where in histories the item stands, 0 = first, 1 = last; 0.5 = no event.
        attributes: float32 (n_items, n_values), unit rows (or zero): categories and lists as indicators.
        numbers: float32 (n_items, n_numbers), standardised numbers and dates; ``nan`` = not given.
    """

    first_ticks: NDArray[np.int32]
    mean_ratings: Floats
    shrunk_ratings: Floats
    mean_positions: Floats
    attributes: Floats
    numbers: Floats
    number_names: tuple[str, ...]

    @cached_property
    def given_attributes(self) -> sp.csr_matrix:
        """The attributes as a sparse matrix (n_items, n_values): an item has few of all the values."""
        return sp.csr_matrix(self.attributes)

    @cached_property
    def given_numbers(self) -> Floats:
        """float32 (n_items, 2 n_numbers): numbers (0 = not given), 1 where a number is given."""
        known = ~np.isnan(self.numbers)
        return np.hstack([np.where(known, self.numbers, 0), known]).astype(np.float32)

    @classmethod
    def of(
        cls, log: Log, counts: ItemCounts, attributes: Floats, numbers: Floats, number_names: tuple[str, ...]
    ) -> "ItemFacts":
        first = np.zeros(log.n_items, dtype=np.int32)
        np.minimum.at(first, counts.item_rows, counts.ticks)
        rated = ~np.isnan(log.ratings)
        ratings, items = log.ratings[rated].astype(np.float64), log.item_rows[rated]
        n_ratings = np.bincount(items, minlength=log.n_items)
        sums = np.bincount(items, weights=ratings, minlength=log.n_items)
        overall = ratings.mean() if len(ratings) else np.nan
        with np.errstate(invalid="ignore", divide="ignore"):
            means = sums / n_ratings
            shrunk = (sums + 10 * overall) / (n_ratings + 10)
        _, offsets = log.by_user
        lengths = np.diff(offsets)[log.user_rows]
        relative = 1 - log.positions_from_end / np.maximum(lengths - 1, 1)
        n_events = np.bincount(log.item_rows, minlength=log.n_items)
        positions = (np.bincount(log.item_rows, weights=relative, minlength=log.n_items) + 2.5) / (n_events + 5)
        return cls(
            first,
            means.astype(np.float32),
            shrunk.astype(np.float32),
            positions.astype(np.float32),
            attributes,
            numbers,
            number_names,
        )


@dataclass(frozen=True)
class Features:
    """Builds the rows for one fitted first stage.

    Attributes:
        source_names: in the order of the candidates' columns.
        short, long: the popularity windows, in ticks.
        source_weights: of the sources in the fusion: one row for all queries, or two: for those who have been away and
            for those who act just now; none = all alike.
    """

    source_names: tuple[str, ...]
    item_counts: ItemCounts
    item_facts: ItemFacts
    similarity: ItemItem | None
    rating_model: RatingModel | None
    short: int
    long: int
    source_weights: tuple[tuple[float, ...], ...] = ()

    def weights_of(self, queries: Queries) -> NDArray[np.float64] | None:
        """float64 (n_queries, n_sources): the weights of the fusion; ``None`` = all alike."""
        if not self.source_weights:
            return None
        table = np.array(self.source_weights, dtype=np.float64)
        kinds = queries.fresh(self.item_counts.tick_length) if len(table) > 1 else np.zeros(len(queries))
        weights: NDArray[np.float64] = table[kinds.astype(int)]
        return weights

    def build(self, names: tuple[str, ...], queries: Queries, candidates: Candidates) -> Floats:
        """float32 (n_candidates, n_names): the named features in that order.

        docs/architecture.md lists the names; tests/ranking has an example of each, made by hand.
        """
        groups = (
            (self._sources, True),
            (self._popularity, True),
            (self._item, True),
            (self._user, True),
            (self._attributes, any(n == "attribute_match" or n.startswith("distance_") for n in names)),
            (self._latest, any(n.startswith("similar_to_last") for n in names)),
            (self._repeats, any(n in NEEDS_REPEATS for n in names)),
            (self._rating, "predicted_rating" in names),
        )
        columns: Columns = {}
        for group, wanted in groups:
            if wanted:
                columns |= group(queries, candidates)
        table = np.empty((len(names), len(candidates)), dtype=np.float32)
        for position, name in enumerate(names):
            table[position] = columns[name]
        return table.T

    def names(self, *, order: bool, seconds: bool, repeats: bool) -> tuple[str, ...]:
        """All features that these data allow.

        Args:
            order: whether what came first is known.
            seconds: whether the times are seconds, so that days mean something.
            repeats: whether an item may be recommended to somebody who has it.
        """
        names = [f"{source}_{kind}" for source in self.source_names for kind in ("z", "log_rank")]
        names += ["fusion", "agreement", "popularity", "popularity_short", "popularity_long", "trend", "item_age"]
        names += ["item_position", "history_length", FRESH, "user_idle"]
        if self.rating_model is not None:
            names += ["item_rating", "item_rating_shrunk", "user_rating", "predicted_rating"]
        if self.item_facts.attributes.shape[1]:
            names += ["attribute_match"]
        names += [f"distance_{name}" for name in self.item_facts.number_names]
        if self.similarity is not None:
            names += [f"similar_to_last_{n}" for n in LATEST]
        if repeats:
            names += NEEDS_REPEATS
        barred = (() if order else NEEDS_ORDER) + (() if seconds else NEEDS_SECONDS)
        return tuple(name for name in names if name not in barred)

    def _sources(self, queries: Queries, candidates: Candidates) -> Columns:
        columns: Columns = {}
        log_ranks = np.log(candidates.ranks.astype(np.float64))  # (n, n_sources)
        for s, name in enumerate(self.source_names):
            columns[f"{name}_z"] = candidates.standardised[:, s]
            columns[f"{name}_log_rank"] = log_ranks[:, s]
        weights = self.weights_of(queries)
        of_candidate = None if weights is None else weights[candidates.query_rows]
        columns["fusion"] = fuse(candidates.ranks, self.item_counts.n_items, of_candidate)
        near_the_top = min(AGREEMENT_RANK, self.item_counts.n_items)  # n_items + 1 stands for no evidence
        columns["agreement"] = (candidates.ranks <= near_the_top).sum(axis=1)
        return columns

    def _popularity(self, queries: Queries, candidates: Candidates) -> Columns:
        ticks, places = self.item_counts.distinct_ticks(queries.at)
        of_candidate = places[candidates.query_rows]
        counts = {}
        for name, window in (("popularity", np.inf), ("popularity_short", self.short), ("popularity_long", self.long)):
            per_tick = self.item_counts.rows_before(ticks, window)  # (n_ticks, n_items)
            counts[name] = per_tick[of_candidate, candidates.item_rows]
        expected = counts["popularity_long"] * (self.short / self.long)
        columns: Columns = {name: np.log1p(values) for name, values in counts.items()}
        columns["trend"] = np.log((counts["popularity_short"] + 1) / (expected + 1))
        return columns

    def _item(self, queries: Queries, candidates: Candidates) -> Columns:
        facts, items = self.item_facts, candidates.item_rows
        now = self.item_counts.tick_of(queries.at)[candidates.query_rows]
        return {
            "item_age": np.maximum(now - facts.first_ticks[items], 0),
            "item_rating": facts.mean_ratings[items],
            "item_rating_shrunk": facts.shrunk_ratings[items],
            "item_position": facts.mean_positions[items],
        }

    def _user(self, queries: Queries, candidates: Candidates) -> Columns:
        lengths = queries.lengths
        last_event = np.append(queries.timestamps, 0)[queries.offsets[1:] - 1]
        idle = np.where(lengths > 0, (queries.at - last_event) / self.item_counts.tick_length, np.nan)
        rated = ~np.isnan(queries.ratings)
        n_rated = np.bincount(queries.event_queries[rated], minlength=len(queries))
        sums = np.bincount(queries.event_queries[rated], weights=queries.ratings[rated], minlength=len(queries))
        with np.errstate(invalid="ignore"):
            means = sums / n_rated
        rows = candidates.query_rows
        return {
            "history_length": np.log1p(lengths)[rows],
            FRESH: queries.fresh(self.item_counts.tick_length)[rows],
            "user_idle": np.log1p(np.maximum(idle, 0))[rows],
            "user_rating": means[rows],
        }

    def _attributes(self, queries: Queries, candidates: Candidates) -> Columns:
        rows, items, facts = candidates.query_rows, candidates.item_rows, self.item_facts
        history = queries.history_matrix(len(facts.attributes))
        n_values, n_numbers = facts.attributes.shape[1], facts.numbers.shape[1]
        liked = (history @ facts.given_attributes).toarray()  # (n_queries, n_values)
        sums, n_known = np.split(history @ facts.given_numbers, [n_numbers], axis=1)  # (n_queries, n_numbers) each
        columns: Columns = {}
        if n_values:
            norms = np.sqrt(np.square(liked, dtype=np.float64).sum(axis=1))
            products = _row_products(liked, rows, facts.given_attributes[items])
            columns["attribute_match"] = products / np.maximum(norms[rows], 1e-9)
        with np.errstate(invalid="ignore"):
            means = sums / n_known
        for position, name in enumerate(facts.number_names):
            columns[f"distance_{name}"] = facts.numbers[items, position] - means[rows, position]
        return columns

    def _latest(self, queries: Queries, candidates: Candidates) -> Columns:
        """Σ weight · M[i, candidate] over the last 1, 3 and 10 events, in one product with a row per step."""
        assert self.similarity is not None
        n_steps = len(LATEST)
        positions = queries.positions_from_end
        latest = positions < LATEST[-1]
        steps = n_steps - 1 - np.searchsorted(LATEST, positions[latest], side="right")  # the last event is in the last
        lengths = np.bincount(queries.event_queries[latest] * n_steps + steps, minlength=len(queries) * n_steps)
        entries = (queries.weights[latest], queries.item_rows[latest], np.concatenate([[0], np.cumsum(lengths)]))
        history = sp.csr_matrix(entries, shape=(len(lengths), self.similarity.n_items))
        scores = self.similarity.apply(history)  # (n_queries * n_steps, n_items)
        columns: Columns = {}
        total = np.zeros(len(candidates), dtype=np.float32)
        for step, n in enumerate(LATEST):
            total = total + scores[candidates.query_rows * n_steps + n_steps - 1 - step, candidates.item_rows]
            columns[f"similar_to_last_{n}"] = total
        return columns

    def _repeats(self, queries: Queries, candidates: Candidates) -> Columns:
        """How often, how lately and how regularly the user took the candidate up before."""
        n_items = self.item_counts.n_items
        keys = queries.event_queries * n_items + queries.item_rows
        order = np.argsort(keys, kind="stable")  # oldest first within a pair of query and item
        pairs, starts, counts = np.unique(keys[order], return_index=True, return_counts=True)
        first, last = order[starts], order[starts + counts - 1]
        gaps = (queries.timestamps[last] - queries.timestamps[first]) / np.maximum(counts - 1, 1)
        n_distinct = np.bincount(pairs // n_items, minlength=len(queries))
        rows = candidates.query_rows
        wanted = rows * n_items + candidates.item_rows
        pair = np.minimum(np.searchsorted(pairs, wanted), len(pairs) - 1)
        taken = pairs[pair] == wanted if len(pairs) else np.zeros(len(wanted), dtype=bool)
        columns = {name: np.full(len(wanted), np.nan) for name in NEEDS_REPEATS}
        pair = pair[taken]
        idle = np.maximum(queries.at[rows[taken]] - queries.timestamps[last[pair]], 0)
        columns["times_taken"][:] = 0
        columns["times_taken"][taken] = np.log1p(counts[pair])
        columns["events_since_taken"][taken] = np.log1p(queries.positions_from_end[last[pair]])
        columns["idle_since_taken"][taken] = np.log1p(idle / self.item_counts.tick_length)
        regular = gaps[pair] > 0
        ratios = idle[regular] / gaps[pair[regular]]
        columns["overdue"][np.flatnonzero(taken)[regular]] = np.log1p(ratios)
        columns["user_repeats"] = ((queries.lengths - n_distinct) / np.maximum(queries.lengths, 1))[rows]
        return dict(columns)

    def _rating(self, queries: Queries, candidates: Candidates) -> Columns:
        assert self.rating_model is not None
        return {"predicted_rating": self.rating_model.predict(queries, candidates.query_rows, candidates.item_rows)}


def _row_products(left: Floats, left_rows: NDArray[np.int64], right: sp.csr_matrix) -> NDArray[np.float64]:
    """float64 (n,): the dot product of row ``left_rows[i]`` of left and row i of right.

    >>> _row_products(np.array([[1, 2], [3, 4]]), np.array([1, 0]), sp.csr_matrix([[0, 1], [1, 1]]))
    array([4., 3.])
    """
    rows = np.repeat(np.arange(right.shape[0]), np.diff(right.indptr))
    terms = np.multiply(left[left_rows[rows], right.indices], right.data, dtype=np.float64)
    products: NDArray[np.float64] = np.bincount(rows, terms, right.shape[0]).astype(np.float64)
    return products
