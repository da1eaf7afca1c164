"""Why items stand where they stand: the reasons of both stages, exact, and a sentence made of them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl

from shortlist.data.log import Mask
from shortlist.explaining.explanation import Explanation, GroupShare, RatingTerm
from shortlist.explaining.facts import FactFinder
from shortlist.explaining.sentences import Language
from shortlist.explaining.stage_one import source_reasons
from shortlist.explaining.stage_two import Shares, shares_of
from shortlist.ranking.features import Features
from shortlist.stages import Candidates, Queries, Ranker, Source


@dataclass(frozen=True, eq=False)
class Explainer:
    """Explains the answers of one model.

    Attributes:
        items: the catalogue with its attributes.
        sources: stage 1.
        features: what stage 2 reads from it.
        ranker: stage 2.
        rating_bounds, in_seconds: see `FactFinder`.
    """

    items: pl.DataFrame
    sources: tuple[Source, ...]
    features: Features
    ranker: Ranker
    rating_bounds: tuple[float, float]
    in_seconds: bool

    def explain(
        self,
        query: Queries,
        candidates: Candidates,
        language: Language,
        *,
        ranked: Mask | None = None,
        fallback: bool = True,
        rules: Sequence[tuple[str, ...]] | None = None,
        until: float = np.inf,
    ) -> list[Explanation]:
        """One explanation per candidate, in their order.

        Args:
            query: one.
            candidates: of that query, any number.
            ranked: bool (n,), which of them have a score; ``None`` = all.
            fallback: they are an answer, which one that no source proposed only fills.
            rules: per candidate the names of the rules that touched it.
            until: when to give up, on the clock of `time.perf_counter`.

        Raises:
            TimeoutError: it was not done by then.
        """
        ranked = np.ones(len(candidates), dtype=bool) if ranked is None else ranked
        reasons = source_reasons(self.sources, query, candidates, self._item_ids)
        _check(until)
        shares = shares_of(self.ranker, self.features, query, candidates) if ranked.any() else None
        ratings = self._ratings(query, candidates)
        _check(until)
        explanations = []
        for place, facts in enumerate(self._finder.facts(query, candidates, reasons, shares, language.item)):
            touched = rules[place] if rules else ()
            fills = fallback and not reasons[place] and not touched
            told = replace(facts, fallback=fills, rules=touched)
            score, base, ranking = _score(shares if ranked[place] else None, place, language)
            rating = None if ratings is None else ratings[place]
            explanations.append(Explanation(language.sentence(told), reasons[place], score, base, ranking, rating))
            _check(until)
        return explanations

    def _ratings(self, query: Queries, candidates: Candidates) -> list[list[RatingTerm]] | None:
        model = self.features.rating_model
        if model is None:
            return None
        names, values = model.terms(query, np.zeros(len(candidates), dtype=np.int64), candidates.item_rows)
        return [[RatingTerm(name, value) for name, value in zip(names, row, strict=True)] for row in values.tolist()]

    @cached_property
    def _item_ids(self) -> list[int | str]:
        return self.items["item_id"].to_list()

    @cached_property
    def _finder(self) -> FactFinder:
        return FactFinder(self.items, self.sources, self.features, self.rating_bounds, self.in_seconds)


def _score(shares: Shares | None, place: int, language: Language) -> tuple[float | None, float, list[GroupShare]]:
    if shares is None:
        return None, 0.0, []
    return float(shares.scores[place]), float(shares.bases[place]), shares.groups(place, language.groups)


def _check(until: float) -> None:
    if time.perf_counter() > until:
        raise TimeoutError
