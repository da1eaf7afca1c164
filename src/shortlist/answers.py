"""Row numbers -> the tables that callers see."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import polars as pl

from shortlist.data.log import Floats, Mask, Rows
from shortlist.explaining.explanation import Explanation
from shortlist.stages import Ranked

if TYPE_CHECKING:
    from shortlist.requests import Request

FALLBACK = "fallback"


def id_series(name: str, ids: Sequence[Any], like: pl.DataType) -> pl.Series:
    """The caller's ids as a column: integers or texts; where they are mixed, texts; without any, as in the model.

    >>> id_series("user_id", [7, None, "x"], pl.Int64()).to_list()
    ['7', None, 'x']
    """
    kinds = {type(value) for value in ids if value is not None}
    if not kinds:
        return pl.Series(name, ids, dtype=like)
    if kinds == {int} and all(value is None or -(2**63) <= value < 2**63 for value in ids):
        return pl.Series(name, ids, dtype=pl.Int64)
    return pl.Series(name, [None if value is None else str(value) for value in ids], dtype=pl.String)


def to_table(
    user_ids: pl.Series, ranked: list[Ranked], item_ids: pl.Series, source_names: tuple[str, ...], *, ratings: bool
) -> pl.DataFrame:
    """The recommendations as a long table; see `Cascade.recommend` for the columns.

    Args:
        user_ids: one per query.
        item_ids: the catalogue's.
        ratings: whether there are predicted ratings.
    """
    lengths = [len(one.item_rows) for one in ranked]
    columns = [
        _gather(user_ids, np.repeat(np.arange(len(ranked)), lengths)),
        _gather(item_ids, _joined([one.item_rows for one in ranked], np.int32)),
        pl.Series("rank", _joined([np.arange(1, n + 1) for n in lengths], np.int32)),
        pl.Series("score", _joined([one.scores for one in ranked], np.float64), nan_to_null=True),
        pl.Series("retrieval_rank", _joined([retrieval_ranks(one) for one in ranked], np.int32)),
        pl.Series(
            "retrieval_score", _joined([one.candidates.retrieval_scores[one.places] for one in ranked], np.float64)
        ),
        _sources(ranked, source_names),
    ]
    if ratings:
        columns.append(pl.Series("predicted_rating", _joined([one.predicted_ratings for one in ranked], np.float32)))
    if any(one.propensities is not None for one in ranked):
        columns.append(pl.Series("propensity", _joined([one.propensities for one in ranked], np.float64)))
    if any(one.marks is not None for one in ranked):
        marks = [list(names) for one in ranked for names in one.marks or ()]
        columns.append(pl.Series("rules", marks, dtype=pl.List(pl.String)))
    return pl.DataFrame(columns)


def explanations(explained: list[list[Explanation]], item_id: pl.DataType) -> pl.Series:
    """A column ``explanation``, a struct, for the rows of all answers together.

    Args:
        item_id: the type of the catalogue's ids.
    """
    share = {"contribution": pl.Float64()}
    because = pl.List(pl.Struct({"item_id": item_id, "share": pl.Float64()}))
    source = {"source": pl.String(), "rank": pl.Int32(), "score": pl.Float64(), "proposed": pl.Boolean()}
    features = pl.List(pl.Struct({"feature": pl.String(), "value": pl.Float64(), **share}))
    kind = pl.Struct(
        {
            "sentence": pl.String(),
            "sources": pl.List(pl.Struct({**source, "because": because})),
            "score": pl.Float64(),
            "base": pl.Float64(),
            "ranking": pl.List(pl.Struct({"group": pl.String(), **share, "features": features})),
            "rating": pl.List(pl.Struct({"term": pl.String(), **share})),
        }
    )
    rows = [msgspec.to_builtins(explanation) for of_query in explained for explanation in of_query]
    return pl.Series("explanation", rows, dtype=kind)


def _joined(parts: list[Any], dtype: Any) -> Any:
    return np.concatenate(parts).astype(dtype) if parts else np.empty(0, dtype=dtype)


def _gather(series: pl.Series, rows: Any) -> pl.Series:
    """Series.gather builds a query plan, which takes a tenth of a millisecond; indexing does not."""
    gathered: pl.Series = series[rows] if len(rows) else series.clear()
    return gathered


def retrieval_ranks(one: Ranked) -> Any:
    """The place of each item in its query's shortlist, from 1."""
    offsets = one.candidates.offsets
    first = offsets[np.searchsorted(offsets, one.places, side="right") - 1]
    return one.places - first + 1


def _sources(ranked: list[Ranked], names: tuple[str, ...]) -> pl.Series:
    """Who proposed each item. Few combinations occur, so each one's list is made once."""
    bits = 1 << np.arange(len(names))
    codes = _joined([one.candidates.proposers[one.places] @ bits for one in ranked], np.int64)
    codes += (1 << len(names)) * _joined([topped_up(one) for one in ranked], np.int64)
    distinct, where = np.unique(codes, return_inverse=True)
    named = [*zip((1 << np.arange(len(names) + 1)).tolist(), (*names, FALLBACK), strict=True)]
    lists = [[name for bit, name in named if code & bit] for code in distinct.tolist()]
    return _gather(pl.Series("sources", lists, dtype=pl.List(pl.String)), where)


def topped_up(one: Ranked) -> Mask:
    """bool (n,): the items that no source has evidence for; popularity's order, or none, put them where they are."""
    candidates, places = one.candidates, one.places
    topped: Mask = (candidates.retrieval_scores[places] == 0) & ~candidates.proposers[places].any(axis=1)
    return topped


def to_details(
    request: "Request", user_ids: pl.Series, ranked: list[Ranked], k: int, n_allowed: list[int], n_items: int
) -> pl.DataFrame:
    """One row per query; see `Answer`."""
    returned = [len(one.item_rows) for one in ranked]
    notes = [[*request_notes(request, q), *one.notes] for q, one in enumerate(ranked)]
    return pl.DataFrame(
        {
            "user_id": user_ids,
            "asked": pl.Series([k] * len(ranked), dtype=pl.Int32),
            "returned": pl.Series(returned, dtype=pl.Int32),
            "allowed": pl.Series(n_allowed, dtype=pl.Int32),
            "reason": pl.Series([shortage(k, n, n_items) if n < k else None for n in n_allowed], dtype=pl.String),
            "degraded": pl.Series([False] * len(ranked), dtype=pl.Boolean),
            "acted": pl.Series([list(one.acted) for one in ranked], dtype=pl.List(pl.String)),
            "known_user": request.queries.user_rows >= 0,
            "history_items": request.queries.lengths.astype(np.int32),
            "unknown_history_items": request.unknown_items.astype(np.int32),
            "notes": pl.Series(notes, dtype=pl.List(pl.String)),
        }
    )


def request_notes(request: "Request", q: int) -> list[str]:
    """What is to be known about query q."""
    unknown = int(request.unknown_items[q])
    past = "the moment of asking lies before the end of the training data: the model's weights know later events"
    ignored = [f"{unknown} history items are not in the catalogue and were ignored"] if unknown else []
    return [*ignored, *([past] if request.in_past[q] else [])]


def shortage(k: int, n_allowed: int, n_items: int) -> str:
    """Why there are fewer than k."""
    if k > n_items and n_allowed == n_items:
        return f"the catalogue has only {n_items} items"
    return f"only {n_allowed} of {n_items} items are allowed after filters and seen items"


def similar_table(item_ids: list[Any], best: list[Rows], scores: list[Floats], catalogue: pl.Series) -> pl.DataFrame:
    """See `Cascade.similar_items`."""
    lengths = [len(rows) for rows in best]
    return pl.DataFrame(
        {
            "item_id": _gather(
                id_series("item_id", item_ids, catalogue.dtype), np.repeat(np.arange(len(best)), lengths)
            ),
            "similar_item_id": _gather(catalogue, _joined(best, np.int32)),
            "rank": _joined([np.arange(1, n + 1) for n in lengths], np.int32),
            "score": _joined(scores, np.float32),
        }
    )
