"""Items like an item."""

from typing import Any

import numpy as np
import polars as pl

from shortlist import answers
from shortlist.data.log import Floats, Rows
from shortlist.data.vocabulary import Vocabulary
from shortlist.errors import QueryError
from shortlist.requests import parse_ids, parse_k
from shortlist.retrieval.item_item import ItemItem
from shortlist.stages import Source
from shortlist.topk import top_k


def similar_items(
    sources: tuple[Source, ...], vocabulary: Vocabulary, catalogue: pl.Series, items: Any, k: int
) -> pl.DataFrame:
    """See `Cascade.similar_items`."""
    k = parse_k(k)
    item_ids = parse_ids(items, "items")
    rows = vocabulary.rows(item_ids)
    known = np.flatnonzero(rows >= 0)
    scores = similarities(sources, rows[known])  # (n_known, n_items)
    allowed = ~np.isnan(scores)
    allowed[np.arange(len(known)), rows[known]] = False
    best = top_k(scores, k, allowed)
    return answers.similar_table(
        [item_ids[i] for i in known], best, [scores[i][b] for i, b in enumerate(best)], catalogue
    )


def similarities(sources: tuple[Source, ...], rows: Rows) -> Floats:
    """float32 (n, n_items), by an item-item source, or else the cosine of item vectors; ``nan`` = nothing in common.

    Raises:
        QueryError: no source compares items.
    """
    by_name: dict[str, Source] = {source.name: source for source in sources}
    for name in ("ease", "covisitation"):
        source = by_name.get(name)
        if isinstance(source, ItemItem):
            weights = source.matrix[rows].toarray()
            return np.where(weights > 0, weights, np.nan).astype(np.float32)
    for source in sources:
        vectors = getattr(source, "item_vectors", None)
        if vectors is not None:
            units = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
            return np.asarray(units[rows] @ units.T, dtype=np.float32)
    raise QueryError(f"similar_items: none of the sources ({', '.join(by_name)}) compares items")
