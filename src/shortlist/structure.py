"""Whether the parts of a loaded model fit together, checked before anything is asked of it.

The digests of a saved model find damage, not nonsense, and SciPy's native code trusts its indices: a row number out of
range would end the process.
"""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import DTypeLike

from shortlist.cascade import Cascade
from shortlist.data.log import Log
from shortlist.errors import ArtifactError
from shortlist.ranking.bias import RatingBias
from shortlist.ranking.blend import FRESH, Blend
from shortlist.ranking.factorization import RatingFactorization
from shortlist.ranking.features import ItemFacts
from shortlist.ranking.linear import Linear
from shortlist.ranking.network import RatingNetwork
from shortlist.retrieval.content import N_KNOTS, Content
from shortlist.retrieval.encoder import N_GAPS
from shortlist.retrieval.history_tower import HistoryTower
from shortlist.retrieval.item_item import ItemItem
from shortlist.retrieval.popularity import ItemCounts, Popularity
from shortlist.retrieval.sequence import SequenceEncoder
from shortlist.retrieval.vectors import FoldedVectors, IdVectors

Array = np.ndarray[Any, Any]


def check_structure(model: Cascade) -> None:
    """Refuse a model whose parts do not fit together.

    Raises:
        ArtifactError: an array has another type or shape than its part needs, a row number lies outside its table,
            or the ranker wants a feature that the model does not have.
    """
    n_users, n_items = len(model.users), len(model.items)
    features = model.first.features
    _check_ids(model.items, "item_id")
    _check_ids(model.users, "user_id")
    check_log(model.log, n_users, n_items)
    check_item_counts(features.item_counts, n_items)
    _require(len(model.first.sources) > 0, "there is no source")
    names = [source.name for source in model.first.sources]
    _require(len(set(names)) == len(names), f"two sources have the same name: {names}")
    _require(features.source_names == tuple(names), f"features of {features.source_names}, sources {names}")
    _require(len(features.source_weights) <= 2, f"fusion: {len(features.source_weights)} rows of weights")
    _require(all(len(row) == len(names) for row in features.source_weights), "fusion: not one weight per source")
    for source in model.first.sources:
        if isinstance(source, ItemItem):
            check_item_item(source, n_items)
        elif isinstance(source, IdVectors):
            check_id_vectors(source, n_users, n_items)
        elif isinstance(source, FoldedVectors):
            check_folded_vectors(source, n_items)
        elif isinstance(source, Content):
            check_content(source, n_items)
        elif isinstance(source, SequenceEncoder):
            check_sequence(source, n_items)
        elif isinstance(source, HistoryTower):
            check_history_tower(source, n_users, n_items, model.config.retrieval.history_tower.max_length)
        else:
            _require(isinstance(source, Popularity), f"{source.name}: not a source")
    _require(0 <= model.first.new_share <= 1, f"new_share is {model.first.new_share}")
    check_item_facts(features.item_facts, n_items)
    check_rating_model(features.rating_model, n_users, n_items)
    _require(0 < features.short < features.long, f"features: windows of {features.short} and {features.long} ticks")
    _check_ranker(model)
    _require(model.target in ("window", "next", "random"), f"unknown target {model.target!r}")
    _require(isinstance(model.filter_seen, bool), f"filter_seen is {model.filter_seen!r}")
    if model.validation is not None:
        _check_ids(model.validation, "user_id")
        figures = model.validation.get_column("ndcg", default=pl.Series(dtype=pl.String))
        in_range = figures.dtype == pl.Float64 and figures.is_between(0, 1 + 1e-9).all(ignore_nulls=False)
        _require(bool(in_range), "validation: expected a figure from 0 to 1 for each user")


def _require(condition: bool | np.bool_, message: str) -> None:
    if not condition:
        raise ArtifactError(message)


def _check_array(array: Array, name: str, dtype: DTypeLike, shape: tuple[int | None, ...]) -> None:
    """The type and the shape, in which ``None`` stands for any length."""
    fits = array.ndim == len(shape) and all(n in (None, m) for n, m in zip(shape, array.shape, strict=False))
    _require(
        fits and array.dtype == np.dtype(dtype),
        f"{name}: expected {np.dtype(dtype)} {shape}, got {array.dtype} {array.shape}",
    )


def _check_rows(rows: Array, name: str, n: int) -> None:
    """int32 row numbers in [0, n)."""
    _check_array(rows, name, np.int32, (None,))
    _require(not len(rows) or (rows.min() >= 0 and rows.max() < n), f"{name}: a row number lies outside [0, {n})")


def _check_ids(table: pl.DataFrame, column: str) -> None:
    _require(column in table.columns, f"the table of {column}s has no column {column!r}")
    ids = table[column]
    kind_fits = ids.dtype in (pl.Int64, pl.String)
    _require(kind_fits and not ids.null_count() and not ids.is_duplicated().any(), f"{column}: not distinct ids")


def check_log(log: Log, n_users: int, n_items: int) -> None:
    n = len(log.user_rows)
    _require((log.n_users, log.n_items) == (n_users, n_items), "log: other numbers of users and items than the tables")
    _check_rows(log.user_rows, "log.user_rows", n_users)
    _check_rows(log.item_rows, "log.item_rows", n_items)
    _check_array(log.item_rows, "log.item_rows", np.int32, (n,))
    _check_array(log.timestamps, "log.timestamps", np.int64, (n,))
    _check_array(log.ratings, "log.ratings", np.float32, (n,))
    _check_array(log.weights, "log.weights", np.float32, (n,))
    _require(not (np.diff(log.timestamps) < 0).any(), "log.timestamps: they decrease")


def check_item_counts(counts: ItemCounts, n_items: int) -> None:
    n = len(counts.ticks)
    _require(counts.n_items == n_items, f"item_counts: {counts.n_items} items, {n_items} in the table")
    _check_array(counts.ticks, "item_counts.ticks", np.int32, (None,))
    _check_rows(counts.item_rows, "item_counts.item_rows", n_items)
    _check_array(counts.item_rows, "item_counts.item_rows", np.int32, (n,))
    _check_array(counts.counts, "item_counts.counts", np.float32, (n,))
    _require(not n or counts.ticks[-1] < 0, "item_counts.ticks: a tick after the end")
    _require(not (np.diff(counts.ticks) < 0).any(), "item_counts.ticks: they decrease")
    _require(counts.tick_length > 0, f"item_counts: ticks of length {counts.tick_length}")


def check_item_item(source: ItemItem, n_items: int) -> None:
    name, nnz = source.name, len(source.item_rows)
    _check_array(source.indptr, f"{name}.indptr", np.int64, (n_items + 1,))
    _check_rows(source.item_rows, f"{name}.item_rows", n_items)
    _check_array(source.values, f"{name}.values", np.float32, (nnz,))
    rises = source.indptr[0] == 0 and source.indptr[-1] == nnz and not (np.diff(source.indptr) < 0).any()
    _require(rises, f"{name}.indptr: it does not rise from 0 to {nnz}")
    _require(0 < source.decay <= 1 and source.latest >= 0, f"{name}: decay {source.decay}, latest {source.latest}")


def check_id_vectors(source: IdVectors, n_users: int, n_items: int) -> None:
    name = source.name
    _check_array(source.user_vectors, f"{name}.user_vectors", np.float32, (n_users, None))
    _check_array(source.item_vectors, f"{name}.item_vectors", np.float32, (n_items, source.user_vectors.shape[1]))
    _check_array(source.item_biases, f"{name}.item_biases", np.float32, (n_items,))
    _check_array(source.trained_users, f"{name}.trained_users", np.bool_, (n_users,))
    _check_array(source.trained_items, f"{name}.trained_items", np.bool_, (n_items,))


def check_folded_vectors(source: FoldedVectors, n_items: int) -> None:
    name = source.name
    _check_array(source.item_vectors, f"{name}.item_vectors", np.float32, (n_items, None))
    d = source.item_vectors.shape[1]
    _check_array(source.prior, f"{name}.prior", np.float32, (d, d))
    _check_array(source.trained_items, f"{name}.trained_items", np.bool_, (n_items,))
    solvable = bool(np.isfinite(source.prior).all()) and np.linalg.eigvalsh(source.prior.astype(np.float64)).min() > 0
    _require(solvable, f"{name}.prior: not positive definite")
    _require(0 < source.decay <= 1 and source.ridge >= 0, f"{name}: decay {source.decay}, ridge {source.ridge}")


def check_content(source: Content, n_items: int) -> None:
    name, columns = source.name, source.columns
    _check_array(source.item_vectors, f"{name}.item_vectors", np.float32, (n_items, None))
    _check_array(source.described, f"{name}.described", np.bool_, (n_items,))
    _check_array(columns.hashes, f"{name}.hashes", np.int64, (None,))
    _require((np.diff(columns.hashes) > 0).all(), f"{name}.hashes: they do not increase")
    _check_array(columns.idf, f"{name}.idf", np.float32, (len(columns.hashes),))
    strange = set(columns.kinds) - {"category", "list", "text", "number", "date"}
    _require(not strange and len(columns.names) == len(columns.kinds), f"{name}: attributes of kinds {columns.kinds}")
    n_numbers = sum(kind in ("number", "date") for kind in columns.kinds)
    _check_array(columns.knots, f"{name}.knots", np.float64, (n_numbers, N_KNOTS))
    _check_array(source.weights, f"{name}.weights", np.float32, (len(columns), source.item_vectors.shape[1]))
    _require(0 < source.decay <= 1, f"{name}: decay {source.decay}")


def check_sequence(source: SequenceEncoder, n_items: int) -> None:
    name = source.name
    _check_array(source.item_vectors, f"{name}.item_vectors", np.float32, (n_items, None))
    d = source.item_vectors.shape[1]
    _check_array(source.distances, f"{name}.distances", np.float32, (None, None, None))
    n, heads, length = source.distances.shape
    _require(n > 0 and length > 0 and heads > 0 and d % heads == 0, f"{name}: {heads} heads cannot share {d} numbers")
    _check_array(source.network_weights_1, f"{name}.network_weights_1", np.float32, (n, d, None))
    width = source.network_weights_1.shape[2]
    for field, shape in (
        ("item_biases", (n_items,)),
        ("gaps", (n, heads, None)),
        ("attention_norms", (n, 2, d)),
        ("attention_inputs", (n, d, 3 * d)),
        ("attention_outputs", (n, d, d)),
        ("network_norms", (n, 2, d)),
        ("network_biases_1", (n, width)),
        ("network_weights_2", (n, width, d)),
        ("network_biases_2", (n, d)),
        ("final_norm", (2, d)),
    ):
        _check_array(getattr(source, field), f"{name}.{field}", np.float32, shape)
    _check_array(source.known_items, f"{name}.known_items", np.bool_, (n_items,))
    _require(source.gaps.shape[2] > 0, f"{name}.gaps: none")


def check_history_tower(source: HistoryTower, n_users: int, n_items: int, max_length: int) -> None:
    name = source.name
    _check_array(source.item_vectors, f"{name}.item_vectors", np.float32, (n_items, None))
    d = source.item_vectors.shape[1]
    for field, shape in (
        ("item_biases", (n_items,)),
        ("attention", (d,)),
        ("distances", (max_length,)),
        ("gaps", (1 if len(source.gaps) == 1 else N_GAPS,)),
        ("projection", (d, d)),
        ("prior", (d,)),
        ("user_vectors", (1 if len(source.user_vectors) == 1 else n_users + 1, d)),
        ("final_norm", (2, d)),
    ):
        _check_array(getattr(source, field), f"{name}.{field}", np.float32, shape)
    _check_array(source.known_items, f"{name}.known_items", np.bool_, (n_items,))
    _require(d > 0, f"{name}: vectors of no length")


def check_item_facts(facts: ItemFacts, n_items: int) -> None:
    _check_array(facts.first_ticks, "item_facts.first_ticks", np.int32, (n_items,))
    for field in ("mean_ratings", "shrunk_ratings", "mean_positions"):
        _check_array(getattr(facts, field), f"item_facts.{field}", np.float32, (n_items,))
    _check_array(facts.attributes, "item_facts.attributes", np.float32, (n_items, None))
    _check_array(facts.numbers, "item_facts.numbers", np.float32, (n_items, len(facts.number_names)))


def check_rating_model(model: Any, n_users: int, n_items: int) -> None:
    if isinstance(model, RatingBias):
        _check_array(model.item_biases, "rating_model.item_biases", np.float32, (n_items,))
    elif isinstance(model, RatingNetwork):
        _check_array(model.user_vectors, "rating_model.user_vectors", np.float32, (n_users + 1, None))
        d = model.user_vectors.shape[1]
        _check_array(model.item_vectors, "rating_model.item_vectors", np.float32, (n_items + 1, d))
        _require(len(model.weights) == len(model.biases), "rating_model: a layer without weights or biases")
        width = 2 * d
        for layer, (weights, biases) in enumerate(zip(model.weights, model.biases, strict=True)):
            _check_array(weights, f"rating_model.weights {layer}", np.float32, (width, None))
            width = weights.shape[1]
            _check_array(biases, f"rating_model.biases {layer}", np.float32, (width,))
        _require(width == 1, f"rating_model: the last layer gives {width} numbers, not 1")
    elif isinstance(model, RatingFactorization):
        check_factorization(model, n_users, n_items)
    else:
        _require(model is None, "rating_model: it predicts no ratings")


def check_factorization(model: RatingFactorization, n_users: int, n_items: int) -> None:
    name = "rating_model"
    _check_array(model.users, f"{name}.users", np.float32, (n_users, None))
    _check_array(model.days, f"{name}.days", np.float32, (None, None))
    width, of_day = model.users.shape[1], model.days.shape[1]
    _require(width >= of_day >= 1, f"{name}: {width} numbers per user, {of_day} per day")
    side, n_levels = 1 + width - of_day, len(model.levels)
    _check_array(model.items, f"{name}.items", np.float32, (n_items + 1, width))
    _check_array(model.evidence, f"{name}.evidence", np.float32, (n_items, width))
    _check_array(model.prior, f"{name}.prior", np.float64, (width,))
    _check_array(model.newcomer, f"{name}.newcomer", np.float32, (width,))
    _check_array(model.precision, f"{name}.precision", np.float64, (side, side))
    _check_array(model.day_numbers, f"{name}.day_numbers", np.int32, (len(model.days),))
    _check_array(model.usual_days, f"{name}.usual_days", np.float32, (n_users + 1, of_day))
    _check_array(model.user_variances, f"{name}.user_variances", np.float32, (n_users + 1,))
    _check_array(model.item_variances, f"{name}.item_variances", np.float32, (n_items + 1,))
    _check_array(model.rated_counts, f"{name}.rated_counts", np.int32, (n_users,))
    _check_array(model.group_edges, f"{name}.group_edges", np.float32, (None,))
    _check_array(model.user_groups, f"{name}.user_groups", np.int32, (n_users,))
    _check_rows(model.user_groups, f"{name}.user_groups", len(model.group_edges) + 1)
    _check_array(model.levels, f"{name}.levels", np.float64, (None,))
    _require(n_levels > 0 and (np.diff(model.levels) >= 0).all(), f"{name}.levels: none, or they fall")
    if model.thresholds is not None:
        n_groups = len(model.group_edges) + 1
        _check_array(model.thresholds, f"{name}.thresholds", np.float64, (n_groups, n_levels - 1))
    _require(model.noise > 0, f"{name}: noise of variance {model.noise}")


def _check_ranker(model: Cascade) -> None:
    ranker, features = model.ranker, model.first.features
    if isinstance(ranker, Blend):
        trees = ranker.trees
        _check_array(trees.split_features, "trees.split_features", np.int32, (None, None))
        _check_array(trees.borders, "trees.borders", np.float32, (None, None))
        _check_array(trees.leaf_values, "trees.leaf_values", np.float64, (None, None))
        if trees.leaf_weights is not None:
            _check_array(trees.leaf_weights, "trees.leaf_weights", np.float32, (None, None))
            counted = trees.leaf_weights.min(initial=0) >= 0 and (trees.leaf_weights.sum(axis=1) > 0).all()
            _require(counted and np.isfinite(trees.leaf_weights).all(), "trees.leaf_weights: no counts of rows")
        n_parts = len(ranker.source_features)
        sizes = {n_parts, len(ranker.ranker_weights), len(ranker.source_weights)}
        _require(sizes in ({1}, {2}), f"blend: expected one or two parts, got {sizes}")
        strange = {*ranker.source_features, *([FRESH] if n_parts > 1 else [])} - set(trees.feature_names)
        _require(not strange, f"the trees do not read {sorted(strange)}")
    else:
        _require(isinstance(ranker, Linear), "there is no ranker")
    if isinstance(ranker, Linear):
        _require(len(ranker.weights) == len(ranker.feature_names), "linear ranker: not one weight per feature")
    strangers = set(ranker.feature_names) - set(features.names(order=True, seconds=True, repeats=True))
    _require(not strangers, f"the ranker wants features that the model does not have: {sorted(strangers)}")
