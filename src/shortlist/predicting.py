"""Predicted ratings of pairs of user and item that a caller names."""

from typing import Any

import numpy as np
import polars as pl

from shortlist.data.columns import to_polars
from shortlist.data.log import Log
from shortlist.data.vocabulary import Vocabulary
from shortlist.errors import DataError, QueryError
from shortlist.ranking.bias import RatingModel
from shortlist.ranking.factorization import RatingFactorization
from shortlist.requests import parse_times
from shortlist.stages import QUERIES_AT_ONCE, stored_queries

WHERE = "ratings to predict"


def predict_ratings(
    model: RatingModel | None, users: Vocabulary, items: Vocabulary, log: Log, frame: Any, at_least: float | None
) -> pl.DataFrame:
    """See `Cascade.predict_ratings`."""
    if model is None:
        raise QueryError(
            "predict_ratings: the model has no rating model; its data had no ratings, or none was asked for"
        )
    if at_least is not None and not isinstance(model, RatingFactorization):
        raise QueryError(
            "predict_ratings: at_least: only the rating model 'factorization' knows probabilities; train with "
            'ranking.rating_model = "factorization"'
        )
    table = to_polars(frame, WHERE)
    for name in ("user_id", "item_id"):
        if name not in table.columns:
            raise DataError(f"{WHERE}: column {name!r} is missing; there are {', '.join(table.columns)}")
    user_rows, item_rows = users.rows(table["user_id"]), items.rows(table["item_id"])
    timed = "timestamp" in table.columns
    at = np.full(len(table), log.end, dtype=np.int64)
    if timed:
        at = parse_times(table["timestamp"], log.in_seconds, WHERE)
    predicted, probable = np.empty((2, len(table)), dtype=np.float32)
    asked, query_rows = np.unique(np.stack([user_rows, at], axis=1), axis=0, return_inverse=True)
    order = np.argsort(query_rows, kind="stable")
    for start in range(0, len(asked), QUERIES_AT_ONCE):
        stop = min(start + QUERIES_AT_ONCE, len(asked))
        block = asked[start:stop]
        queries = stored_queries(log, block[:, 0].astype(np.int32), block[:, 1], strictly_before=timed)
        rows = order[slice(*np.searchsorted(query_rows, [start, stop], sorter=order))]
        pairs = query_rows[rows] - start, item_rows[rows]
        predicted[rows] = model.predict(queries, *pairs)
        if at_least is not None and isinstance(model, RatingFactorization):
            probable[rows] = model.probabilities(queries, *pairs, at_least)
    table = table.with_columns(pl.Series("predicted_rating", predicted))
    return table if at_least is None else table.with_columns(pl.Series("probability", probable))
