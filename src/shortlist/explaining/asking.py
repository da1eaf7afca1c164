"""A model and a question -> explanations: `Cascade.explain`, and the rows of an answer."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import polars as pl

from shortlist.data.log import Log, Mask, Rows
from shortlist.data.vocabulary import Vocabulary
from shortlist.errors import QueryError
from shortlist.explaining.explainer import Explainer
from shortlist.explaining.explanation import Explanation
from shortlist.explaining.sentences import Language
from shortlist.first_stage import FirstStage
from shortlist.requests import parse_ids
from shortlist.stages import Candidates, Queries, Ranked, Ranker


def explainer_of(items: pl.DataFrame, first: FirstStage, ranker: Ranker, log: Log) -> Explainer:
    """What explains a model's answers; made once for each model."""
    rated = log.ratings[~np.isnan(log.ratings)]
    bounds = (float(rated.min()), float(rated.max())) if len(rated) else (0.0, 0.0)
    return Explainer(items, first.sources, first.features, ranker, bounds, log.in_seconds)


def explain_answer(
    explainer: Explainer, query: Queries, ranked: Ranked, language: Language, until: float = np.inf
) -> list[Explanation]:
    """One explanation per row of an answer; see `Explainer.explain`.

    Args:
        query: the one that was answered.
    """
    candidates = _at(ranked.candidates, ranked.places)
    return explainer.explain(
        query, candidates, language, ranked=~np.isnan(ranked.scores), rules=ranked.marks, until=until
    )


def explain_items(
    first: FirstStage,
    n: int,
    explainer: Explainer,
    query: Queries,
    rows: Rows,
    allowed: Mask,
    language: Language,
) -> list[Explanation]:
    """One explanation per item, whether it would be recommended or not.

    Args:
        n: candidates that stage 1 proposes.
        query: one.
        rows: int32 (n,), each once.
        allowed: bool (1, n_items), what could be recommended: only that do sources propose.
    """
    if not len(rows):
        return []
    asked = np.zeros_like(allowed)
    asked[0, rows] = True
    found = first.further(query, first.tables(query), allowed, n, asked, len(rows))
    order = np.argsort(found.item_rows)[np.searchsorted(np.sort(found.item_rows), rows)]
    return explainer.explain(query, _at(found, order), language, fallback=False)


def known_rows(vocabulary: Vocabulary, items: Iterable[Any]) -> tuple[list[Any], Rows]:
    """Some items, each once, and their rows.

    Raises:
        QueryError: one is not in the catalogue.
    """
    item_ids = list(dict.fromkeys(parse_ids(items, "items")))
    rows = vocabulary.rows(item_ids)
    unknown = [item_ids[place] for place in np.flatnonzero(rows < 0)]
    if unknown:
        raise QueryError(f"items: not in the catalogue: {', '.join(map(repr, unknown[:5]))}")
    return item_ids, rows


def _at(candidates: Candidates, places: np.ndarray[Any, np.dtype[np.int64]]) -> Candidates:
    """Some candidates of one query, in the order given."""
    return Candidates(
        np.array([0, len(places)]),
        candidates.item_rows[places],
        candidates.retrieval_scores[places],
        candidates.scores[places],
        candidates.standardised[places],
        candidates.ranks[places],
        candidates.proposers[places],
    )
