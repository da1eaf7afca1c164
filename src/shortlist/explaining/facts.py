"""What is true of an item and may be said of it: nothing that the explanation's numbers or the counts do not show."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.data.log import DAY, Mask, Rows
from shortlist.explaining.explanation import Because, SourceReason
from shortlist.explaining.sentences import Facts
from shortlist.explaining.stage_two import Shares
from shortlist.ranking.features import Features
from shortlist.retrieval.content import Content
from shortlist.retrieval.encoder import HistoryEncoder
from shortlist.retrieval.popularity import Popularity
from shortlist.retrieval.vectors import IdVectors
from shortlist.stages import Candidates, Queries, Source

TITLE_COLUMNS = ("title", "name", "label", "headline", "product_name")
"""The first of these that is there, and is text, names the items; the page goes by the same."""
LIKED = 0.75
"""Of the way from the lowest rating to the highest: from here on a rating says that the item was liked."""
OFTEN = 0.05
"""The most taken-up items of a period that count as taken up a lot, of those taken up in it at all."""
FEWEST = 3
"""Events in a period, for an item to count as taken up a lot in it."""
SECOND = 0.5
"""A second item is named if its share is at least this much of the first one's."""


@dataclass(frozen=True, eq=False)
class FactFinder:
    """Knows what facts are made of.

    Attributes:
        items: the catalogue with its attributes.
        sources: stage 1.
        features: what stage 2 reads from it.
        rating_bounds: the lowest and the highest rating of the log; the same where it has none, or all are alike.
        in_seconds: whether times are seconds.
    """

    items: pl.DataFrame
    sources: tuple[Source, ...]
    features: Features
    rating_bounds: tuple[float, float]
    in_seconds: bool

    def facts(
        self,
        query: Queries,
        candidates: Candidates,
        reasons: Sequence[Sequence[SourceReason]],
        shares: Shares | None,
        untitled: str,
    ) -> Iterator[Facts]:
        """Of each candidate in turn; ``rules`` and ``fallback`` are the caller's to add.

        Args:
            query: one.
            reasons: of each candidate, from `shortlist.explaining.stage_one`.
            shares: ``None`` = the candidates have no scores.
            untitled: what stands for an item without a title; ``{id}`` is its id.
        """
        rows, counts = candidates.item_rows, self.features.item_counts
        tick = int(counts.tick_of(query.at)[0])
        n_events, n_lately = counts.before(tick), counts.before(tick, self.features.short)
        lately = often(n_lately, rows) & self._pushed(candidates, shares, "popular_now")
        popular = often(n_events, rows) & self._pushed(candidates, shares, "popular")
        predicted = self._predicted(shares, len(candidates))
        history = set(query.item_rows.tolist())
        known = bool(history) or self._knows_by_id(query)
        liked = self._liked(query)
        for place, row in enumerate(rows.tolist()):
            named, share, by_attributes = self._carriers(reasons[place], row)
            proposers = [source for source, one in zip(self.sources, candidates.proposers[place], strict=True) if one]
            yield Facts(
                named=tuple(self._titles[one] or untitled.format(id=self._ids[one]) for one in named),
                liked=bool(named) and liked.issuperset(named),
                share=share,
                by_attributes=by_attributes,
                taken_before=row in history,
                lately=any(isinstance(source, HistoryEncoder) for source in proposers),
                profile=any(isinstance(source, IdVectors) for source in proposers),
                popular_now=bool(lately[place]),
                window_days=self._window_days,
                long_ago=tick < -self.features.short,
                popular=bool(popular[place]),
                n_events=float(n_events[row]),
                predicted_rating=predicted[place] if known else None,
                has_history=known,
                proposed=bool(proposers),
            )

    def _carriers(self, reasons: Sequence[SourceReason], row: int) -> tuple[list[int], float, bool]:
        """Item rows of the history, at most two, that carry the best source that can tell; their share; its kind.

        A source that proposed the item comes before one that did not, then the one that ranks it higher. An item that
        was taken up before does not explain itself.
        """
        proposed = any(reason.proposed for reason in reasons)
        for reason in reasons:
            others = [because for because in reason.because if because.share > 0 and self._row(because) != row]
            if others and reason.proposed == proposed:
                others.sort(key=lambda because: -because.share)
                named = [because for because in others[:2] if because.share >= SECOND * others[0].share]
                share = sum(because.share for because in named)
                return [self._row(because) for because in named], share, reason.source in self._by_attributes
        return [], 1.0, False

    def _pushed(self, candidates: Candidates, shares: Shares | None, group: str) -> Mask:
        """bool (n,): where popularity proposed the item, or a group of features raises its score."""
        lists = [s for s, source in enumerate(self.sources) if isinstance(source, Popularity)]
        proposed = candidates.proposers[:, lists].sum(axis=1) > 0
        raised = proposed if shares is None else shares.of_groups((group,)) > 0
        either: Mask = proposed | raised
        return either

    def _predicted(self, shares: Shares | None, n: int) -> list[float | None]:
        """The predicted rating where it is of the upper half and raises the score."""
        if shares is None or "predicted_rating" not in shares.names:
            return [None] * n
        column = shares.names.index("predicted_rating")
        middle = sum(self.rating_bounds) / 2
        pairs = zip(shares.values[:, column].tolist(), shares.contributions[:, column].tolist(), strict=True)
        return [value if value >= middle and contribution > 0 else None for value, contribution in pairs]

    def _liked(self, query: Queries) -> set[int]:
        """Item rows of the history whose latest rating says that they were liked."""
        lowest, highest = self.rating_bounds
        rated = dict(zip(query.item_rows.tolist(), query.ratings.tolist(), strict=True))
        bar = lowest + LIKED * (highest - lowest)
        return {row for row, rating in rated.items() if lowest < highest and rating >= bar}

    def _knows_by_id(self, query: Queries) -> bool:
        return bool(query.user_rows[0] >= 0) and any(isinstance(source, IdVectors) for source in self.sources)

    @cached_property
    def _by_attributes(self) -> set[str]:
        return {source.name for source in self.sources if isinstance(source, Content)}

    @cached_property
    def _window_days(self) -> int | None:
        days = self.features.short * self.features.item_counts.tick_length / DAY
        return int(days) if self.in_seconds and days == int(days) > 0 else None

    def _row(self, because: Because) -> int:
        return self._rows[because.item_id]

    @cached_property
    def _ids(self) -> list[int | str]:
        return self.items["item_id"].to_list()

    @cached_property
    def _rows(self) -> dict[int | str, int]:
        return {item_id: row for row, item_id in enumerate(self._ids)}

    @cached_property
    def _titles(self) -> list[str | None]:
        """Of each item, from the first column that looks like one."""
        column = next((name for name in TITLE_COLUMNS if self.items.schema.get(name) == pl.String), None)
        return [None] * len(self.items) if column is None else self.items[column].to_list()


def often(counts: NDArray[np.float64], rows: Rows) -> Mask:
    """bool (n,): which of some items are among the most counted, where these stand out.

    >>> often(np.array([9.0, 8, 2, 0] + [1] * 20), np.array([0, 1, 2, 3]))
    array([ True,  True, False, False])
    >>> often(np.full(24, 5.0), np.array([0, 1])).any()
    np.False_
    """
    n_most = int(np.ceil(OFTEN * (counts > 0).sum()))
    if not n_most:
        return np.zeros(len(rows), dtype=bool)
    bar = np.partition(counts, len(counts) - n_most)[len(counts) - n_most]
    if (counts >= bar).sum() > 2 * n_most:  # many have as many: then only who has more
        bar = np.nextafter(bar, np.inf)
    most: Mask = counts[rows] >= max(FEWEST, bar)
    return most
