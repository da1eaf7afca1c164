"""Fit symmetric trees with CatBoost (Prokhorenkova et al. 2018, arXiv:1706.09516) and hand them on as plain arrays."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shortlist.config import TreesSettings
from shortlist.data.log import Floats
from shortlist.errors import require
from shortlist.ranking.trees import Trees


def fit_trees(
    names: tuple[str, ...],
    features: Floats,
    labels: NDArray[np.bool_],
    settings: TreesSettings,
    *,
    n_trees: int,
    seed: int,
    threads: int,
) -> Trees:
    """Fit trees to labels by log loss.

    Args:
        names: of the columns.
        features: float32 (n, n_features); ``nan`` = not known.
        labels: bool (n,).
        n_trees: exactly so many.
    """
    catboost: Any = require("catboost", "train", "Fitting the trees")
    model = catboost.CatBoostClassifier(
        iterations=n_trees,
        depth=settings.depth,
        learning_rate=settings.learning_rate,
        random_seed=seed,
        thread_count=threads,
        loss_function="Logloss",
        border_count=64,
        bootstrap_type="No",
        boost_from_average=False,
        allow_writing_files=False,
        verbose=False,
    )
    model.fit(features, labels.astype(np.int8))
    return as_arrays(model, names)


def as_arrays(model: Any, names: tuple[str, ...]) -> Trees:
    """The arrays of a CatBoost model of symmetric trees, read from its JSON form."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.json"
        model.save_model(str(path), format="json")
        exported = json.loads(path.read_text())
    trees = exported["oblivious_trees"]
    scale, (bias,) = exported["scale_and_bias"]
    depth = max((len(tree["splits"] or ()) for tree in trees), default=0) or 1
    split_features = np.zeros((len(trees), depth), dtype=np.int32)
    borders = np.full((len(trees), depth), np.inf, dtype=np.float32)
    leaf_values = np.zeros((len(trees), 2**depth))
    leaf_weights = np.zeros((len(trees), 2**depth), dtype=np.float32)
    for t, tree in enumerate(trees):
        for level, split in enumerate(tree["splits"] or ()):
            split_features[t, level] = split["float_feature_index"]
            borders[t, level] = split["border"]
        leaf_values[t, : len(tree["leaf_values"])] = tree["leaf_values"]
        leaf_weights[t, : len(tree["leaf_weights"])] = tree["leaf_weights"]
    leaf_values *= scale
    if len(trees):
        leaf_values[0] += bias
    return Trees(names, split_features, borders, leaf_values, leaf_weights)


def first_trees(trees: Trees, n: int) -> Trees:
    """The ranker made of the first n trees."""
    return _part(trees, 0, n)


def best_size(
    fitted: list[tuple[Trees, Floats]], figure: Callable[[NDArray[np.float64]], float], step: int = 10
) -> tuple[int, NDArray[np.float64]]:
    """How many of the first trees give the best validation figure: sizes step, 2·step, …, the smallest among equals.

    Args:
        fitted: trees with the rows that judge them, float32 (n, n_features); all have as many trees.
        figure: of the margins of all rows, in that order.

    Returns:
        The number, and float64 (n of all rows,), the margins that it gives.
    """
    margins = np.zeros(sum(len(features) for _, features in fitted))
    best, best_figure, best_margins = 0, -np.inf, margins
    for start in range(0, len(fitted[0][0].borders), step):
        stop = start + step
        margins = margins + np.concatenate([_part(trees, start, stop).score(features) for trees, features in fitted])
        value = figure(margins)
        if value > best_figure + 1e-9:
            best, best_figure, best_margins = min(stop, len(fitted[0][0].borders)), value, margins
    return best, best_margins


def _part(trees: Trees, start: int, stop: int) -> Trees:
    return Trees(
        trees.feature_names,
        trees.split_features[start:stop],
        trees.borders[start:stop],
        trees.leaf_values[start:stop],
        None if trees.leaf_weights is None else trees.leaf_weights[start:stop],
    )
