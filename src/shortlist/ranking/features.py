"""The only place where (query, item, time) becomes a row of features.

A feature depends on the query, the item and the moment, never on the other candidates; training and answering use this
same code. Each group of features is one function that returns named columns.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.data.log import Floats, Log
from shortlist.ranking.bias import RatingModel
from shortlist.retrieval.item_item import ItemItem
from shortlist.retrieval.merge import fuse
from shortlist.retrieval.popularity import ItemCounts
from shortlist.stages import Candidates, Queries

Columns = dict[str, NDArray[np.floating] | NDArray[np.integer]]
LATEST = (1, 3, 10)
AGREEMENT_RANK = 100

NEEDS_ORDER = ("trend", "popularity_short", "popularity_long", "item_position", *(f"similar_to_last_{n}" for n in LATEST))
NEEDS_SECONDS = ("item_age", "user_idle")


@dataclass(frozen=True)
class ItemFacts:
    """What is known of each item from a log: one value per item row.

    Attributes:
        first_ticks: int32 (n_items,), the tick of the first event; 0 = none yet.
        mean_ratings, shrunk_ratings: float32 (n_items,), ``nan`` where nobody rated.
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
        ticks_per_day: 1 where ticks are days.
    """

    source_names: tuple[str, ...]
    item_counts: ItemCounts
    item_facts: ItemFacts
    similarity: ItemItem | None
    rating_model: RatingModel | None
    short: int
    long: int

    def build(self, names: tuple[str, ...], queries: Queries, candidates: Candidates) -> Floats:
        """float32 (n_candidates, n_names): the named features in that order.

        >>> # see docs/architecture.md for the list of names and tests/ranking for hand-made examples
        """
        groups = (
            (self._sources, True),
            (self._popularity, True),
            (self._item, True),
            (self._user, True),
            (self._attributes, any(n == "attribute_match" or n.startswith("distance_") for n in names)),
            (self._latest, any(n.startswith("similar_to_last") for n in names)),
            (self._rating, "predicted_rating" in names),
        )
        columns: Columns = {}
        for group, wanted in groups:
            if wanted:
                columns |= group(queries, candidates)
        table = np.empty((len(candidates), len(names)), dtype=np.float32)
        for position, name in enumerate(names):
            table[:, position] = columns[name]
        return table

    def names(self, *, order: bool, seconds: bool) -> tuple[str, ...]:
        """All features that these data allow.

        Args:
            order: whether what came first is known.
            seconds: whether the times are seconds, so that days mean something.
        """
        names = [f"{source}_{kind}" for source in self.source_names for kind in ("z", "log_rank")]
        names += ["fusion", "agreement", "popularity", "popularity_short", "popularity_long", "trend", "item_age"]
        names += ["item_position", "history_length", "user_idle"]
        if self.rating_model is not None:
            names += ["item_rating", "item_rating_shrunk", "user_rating", "predicted_rating"]
        if self.item_facts.attributes.shape[1]:
            names += ["attribute_match"]
        names += [f"distance_{name}" for name in self.item_facts.number_names]
        if self.similarity is not None:
            names += [f"similar_to_last_{n}" for n in LATEST]
        barred = (() if order else NEEDS_ORDER) + (() if seconds else NEEDS_SECONDS)
        return tuple(name for name in names if name not in barred)

    def _sources(self, queries: Queries, candidates: Candidates) -> Columns:
        columns: Columns = {}
        for s, name in enumerate(self.source_names):
            columns[f"{name}_z"] = candidates.standardised[:, s]
            columns[f"{name}_log_rank"] = np.log(candidates.ranks[:, s].astype(np.float64))
        columns["fusion"] = fuse(candidates.ranks, self.item_counts.n_items)
        columns["agreement"] = (candidates.ranks <= AGREEMENT_RANK).sum(axis=1)
        return columns

    def _popularity(self, queries: Queries, candidates: Candidates) -> Columns:
        ticks, tick_rows = np.unique(self.item_counts.tick_of(queries.at), return_inverse=True)
        of_candidate = tick_rows[candidates.query_rows]
        counts = {}
        for name, window in (("popularity", np.inf), ("popularity_short", self.short), ("popularity_long", self.long)):
            per_tick = np.stack([self.item_counts.before(int(t), window) for t in ticks])  # (n_ticks, n_items)
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
            "user_idle": np.log1p(np.maximum(idle, 0))[rows],
            "user_rating": means[rows],
        }

    def _attributes(self, queries: Queries, candidates: Candidates) -> Columns:
        rows, items, facts = candidates.query_rows, candidates.item_rows, self.item_facts
        history = queries.history_matrix(len(facts.attributes))  # (n_queries, n_items)
        columns: Columns = {}
        if facts.attributes.shape[1]:
            profile = history @ facts.attributes  # (n_queries, n_values)
            norms = np.sqrt(np.square(profile, dtype=np.float64).sum(axis=1))
            products = (profile[rows] * facts.attributes[items]).sum(axis=1, dtype=np.float64)
            columns["attribute_match"] = products / np.maximum(norms[rows], 1e-9)
        known = ~np.isnan(facts.numbers)
        sums = history @ np.where(known, facts.numbers, 0)
        n_known = history @ known.astype(np.float32)  # (n_queries, n_numbers)
        with np.errstate(invalid="ignore"):
            means = sums / n_known
        for position, name in enumerate(facts.number_names):
            columns[f"distance_{name}"] = facts.numbers[items, position] - means[rows, position]
        return columns

    def _latest(self, queries: Queries, candidates: Candidates) -> Columns:
        assert self.similarity is not None
        columns: Columns = {}
        for n in LATEST:
            history = queries.history_matrix(self.similarity.n_items, latest=n)
            scores = (history @ self.similarity.matrix).toarray()  # (n_queries, n_items)
            columns[f"similar_to_last_{n}"] = scores[candidates.query_rows, candidates.item_rows]
        return columns

    def _rating(self, queries: Queries, candidates: Candidates) -> Columns:
        assert self.rating_model is not None
        return {"predicted_rating": self.rating_model.predict(queries, candidates.query_rows, candidates.item_rows)}
