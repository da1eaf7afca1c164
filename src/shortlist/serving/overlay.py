"""Items that are new or have changed since the model was trained, as rows beside its arrays.

The arrays of the model are not changed: a model with more rows is made from them, and the next request is answered by
that one. A new item has no evidence in any source but ``content``, which describes it by its attributes; without that
it comes by include_items, by ``where``, in the caller's own candidates, or last of all as a fallback.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from shortlist.cascade import Cascade
from shortlist.data.log import Log
from shortlist.errors import DataError
from shortlist.ranking.bias import RatingBias
from shortlist.ranking.factorization import RatingFactorization
from shortlist.ranking.features import ItemFacts
from shortlist.ranking.network import RatingNetwork
from shortlist.retrieval.content import Content
from shortlist.retrieval.history_tower import HistoryTower
from shortlist.retrieval.item_item import ItemItem
from shortlist.retrieval.popularity import Popularity
from shortlist.retrieval.sequence import SequenceEncoder
from shortlist.retrieval.vectors import FoldedVectors, IdVectors
from shortlist.serving.store.contract import ItemOverlay
from shortlist.stages import Source

LAST = "last"
"""The row of a new item is the last one: that of an unknown item."""
FILLS: dict[type[Any], dict[str, Any]] = {
    IdVectors: {"item_vectors": 0, "item_biases": 0, "trained_items": False},
    FoldedVectors: {"item_vectors": 0, "trained_items": False},
    SequenceEncoder: {"item_vectors": 0, "item_biases": 0, "known_items": False},
    HistoryTower: {"item_vectors": 0, "item_biases": 0, "known_items": False},
    ItemItem: {"indptr": LAST},
    ItemFacts: {
        "first_ticks": 0,
        "mean_ratings": np.nan,
        "shrunk_ratings": np.nan,
        "mean_positions": 0.5,
        "attributes": 0,
        "numbers": np.nan,
    },
    RatingBias: {"item_biases": 0},
    RatingNetwork: {"item_vectors": LAST},
    RatingFactorization: {"items": LAST, "evidence": 0, "item_variances": LAST},
}
"""What the arrays with a row per item hold for one that the model does not know."""


def overlaid(model: Cascade, overlays: Sequence[ItemOverlay]) -> Cascade:
    """The model with changed items changed and new ones added after its own, in the order given.

    An overlay with ids of another kind than the model's is left out.

    Raises:
        DataError: an attribute is of another kind than the model's column.
    """
    kind = int if model.item_vocabulary.kind == "integer" else str
    overlays = [overlay for overlay in overlays if type(overlay.item_id) is kind]
    if not overlays:
        return model
    items = _items(model, overlays)
    n_new = len(items) - len(model.items)
    first = model.first
    counts = replace(first.fallback.item_counts, n_items=len(items))
    sources: list[Source] = []
    for source in first.sources:
        if isinstance(source, Popularity):
            sources.append(replace(source, item_counts=counts))
        elif isinstance(source, Content):
            sources.append(source.for_catalogue(items))
        else:
            sources.append(_padded(source, n_new))
    similar = {source.name: source for source in sources if isinstance(source, ItemItem)}
    features = replace(
        first.features,
        item_counts=counts,
        item_facts=_padded(first.features.item_facts, n_new),
        similarity=similar[first.features.similarity.name] if first.features.similarity else None,
        rating_model=_padded(first.features.rating_model, n_new) if first.features.rating_model else None,
    )
    fallback = replace(first.fallback, item_counts=counts)
    made = replace(
        model,
        items=items,
        log=_padded_log(model.log, n_new),
        first=replace(first, sources=tuple(sources), fallback=fallback, features=features),
    )
    made.__dict__["user_vocabulary"] = model.user_vocabulary  # a cached property: the users are the same
    return made


def fitted(overlay_attributes: dict[str, Any], model: Cascade) -> list[str]:
    """The attributes that the model has no column for.

    Raises:
        DataError: an attribute is of another kind than the model's column.
    """
    for name, value in overlay_attributes.items():
        if name in model.items.columns and name != "item_id":
            _series(name, [value], model.items.schema[name])
    return [name for name in overlay_attributes if name not in model.items.columns]


def _items(model: Cascade, overlays: Sequence[ItemOverlay]) -> pl.DataFrame:
    schema = model.items.schema
    columns = [pl.Series("item_id", [overlay.item_id for overlay in overlays], dtype=schema["item_id"])]
    for name, dtype in schema.items():
        if name != "item_id":
            columns.append(_series(name, [overlay.attributes.get(name) for overlay in overlays], dtype))
    changes = pl.DataFrame(columns).select(model.items.columns)
    rows = model.item_vocabulary.rows(changes["item_id"])
    known = np.flatnonzero(rows >= 0)
    items = pl.concat([model.items, changes.filter(pl.Series(rows < 0))])
    if len(known):
        places = np.arange(len(items))
        places[rows[known]] = len(items) + np.arange(len(known))
        items = pl.concat([items, changes[known]])[places]
    return items.rechunk()


def _series(name: str, values: list[Any], dtype: pl.DataType) -> pl.Series:
    try:
        if dtype.is_temporal():
            moments = [None if value is None else _utc(value) for value in values]
            return pl.Series(name, moments, dtype=pl.Datetime("us")).cast(dtype)
        if dtype.is_integer() or dtype == pl.Boolean:
            wanted = bool if dtype == pl.Boolean else int
            if any(value is not None and type(value) is not wanted for value in values):
                raise TypeError(f"expected {dtype}")
        if isinstance(dtype, pl.List):
            values = [[value] if isinstance(value, str) else value for value in values]
        return pl.Series(name, values, dtype=dtype, strict=True)
    except (TypeError, ValueError, AttributeError, OverflowError, pl.exceptions.PolarsError) as error:
        raise DataError(f"attribute {name!r}: the model has {dtype} there; got {str(values)[:80]}") from error


def _utc(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _padded(component: Any, n_new: int) -> Any:
    if not n_new:
        return component
    padded = {}
    for name, fill in FILLS[type(component)].items():
        array = getattr(component, name)
        rows = np.repeat(array[-1:], n_new, axis=0) if fill is LAST else np.full((n_new, *array.shape[1:]), fill)
        padded[name] = np.concatenate([array, rows.astype(array.dtype)])
    return replace(component, **padded)


def _padded_log(log: Log, n_new: int) -> Log:
    padded = replace(log, n_items=log.n_items + n_new)
    padded.__dict__["by_user"] = log.by_user  # a cached property: the events are the same
    return padded
