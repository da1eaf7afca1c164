"""The well-known tutorial's two-stage system, as it is: two towers retrieve ten titles, a rating network sorts them.

Its protocol: MovieLens 100K, the permutation of the file order by ``numpy.random.default_rng(42)``, the first 80,000
rows train; an item is a title (1,664 of them); top-k accuracy per test row over the whole catalogue.
"""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from shortlist.cascade import Cascade
from shortlist.config import Config, load_config
from shortlist.data.dataset import Dataset
from shortlist.data.log import Floats, Log
from shortlist.data.movielens import by_title
from shortlist.evaluation.metrics import accuracy_at, average_ranks, rmse
from shortlist.neural_settings import DONE_RIGHT
from shortlist.retrieval.popularity import ItemCounts, Popularity
from shortlist.stages import Source, stored_queries
from shortlist.training.retrieval.ease import fit_ease
from shortlist.training.retrieval.two_tower import fit_two_tower
from shortlist.training.schedule import train

KS = (1, 5, 10, 50, 100)
TRAIN_SHARE = 0.8
Accuracy = dict[str, dict[str, float]]


@dataclass(frozen=True)
class TutorialRun:
    """What came of it.

    Attributes:
        model: both stages as one cascade.
        train, test: the rows, items by title.
        accuracy: ``seen_kept`` and ``seen_removed``: share of the test rows whose title is among the first k.
        rmse: of the rating network on the test rows.
        fit_seconds: wall time of both fits.
        shortlist: the user's ten in the order of retrieval, with predicted ratings; see `Cascade.recommend`.
    """

    model: Cascade
    train: Dataset
    test: Dataset
    accuracy: Accuracy
    rmse: float
    fit_seconds: float
    shortlist: pl.DataFrame


def run_tutorial(dataset: Dataset, user_id: Any = 42, config: Config | dict[str, Any] | None = None) -> TutorialRun:
    """Fit and judge the tutorial's system.

    Args:
        dataset: MovieLens, items by id.
        user_id: who gets the ten titles.
        config: other settings than those of the preset ``tutorial``.
    """
    train_part, test_part = split_by_title(dataset)
    started = time.perf_counter()
    model = train(train_part, "random", load_config(config) if config else load_config("tutorial"))
    fit_seconds = time.perf_counter() - started
    test = test_part.log()
    scores = catalogue_scores(model.first.sources[0], model.log)
    predicted = model.predict_ratings(test_part.interactions.select("user_id", "item_id"))["predicted_rating"]
    actual = test_part.interactions["rating"].to_numpy()
    shortlist = model.recommend(user_id, k=10).sort("retrieval_rank")
    accuracy = top_k_accuracy(scores, model.log, test)
    return TutorialRun(
        model, train_part, test_part, accuracy, rmse(predicted.to_numpy(), actual), fit_seconds, shortlist
    )


def split_by_title(dataset: Dataset) -> tuple[Dataset, Dataset]:
    """Training and test rows of the tutorial's split, items by title, both parts in file order.

    Cut by row number: a film that stands under two ids may have one user's two rows in both parts, as in the tutorial.
    """
    titles = by_title(dataset)
    rows = np.random.default_rng(42).permutation(len(titles))
    n_train = round(TRAIN_SHARE * len(titles))
    parts = (np.sort(rows[:n_train]), np.sort(rows[n_train:]))
    train_part, test_part = (titles.with_interactions(titles.interactions[part]) for part in parts)
    return train_part, test_part


def beside_it(run: TutorialRun) -> dict[str, Accuracy]:
    """The same accuracy, on the same rows, of popularity, EASE (λ = 300) and the two towers done right."""
    log, test = run.model.log, run.test.log()
    sources: dict[str, Source] = {
        "popularity": Popularity("popularity", ItemCounts.of(log)),
        "ease": fit_ease(log, regularisation=300.0, neighbours=log.n_items),
        "two_tower_done_right": fit_two_tower(log, DONE_RIGHT, seed=run.model.config.seed),
    }
    return {name: top_k_accuracy(catalogue_scores(source, log), log, test) for name, source in sources.items()}


def catalogue_scores(source: Source, log: Log) -> Floats:
    """float32 (n_users, n_items): what a source says of everything to every user; ``nan`` = no evidence."""
    users = np.arange(log.n_users, dtype=np.int32)
    queries = stored_queries(log, users, np.full(len(users), log.end), strictly_before=False)
    return np.concatenate([source.score_catalogue(block) for _, block in queries.blocks(256)])


def top_k_accuracy(scores: Floats, train_log: Log, test: Log) -> Accuracy:
    """Share of the test rows whose item is among the first k of all, the user's training items kept and removed.

    Args:
        scores: float32 (n_users, n_items), ``nan`` last; ties take their average rank.
        train_log, test: in the same row numbers.
    """
    seen = np.zeros(scores.shape, dtype=bool)
    seen[train_log.user_rows, train_log.item_rows] = True
    found: Accuracy = {}
    for name, excluded in (("seen_kept", None), ("seen_removed", seen)):
        accuracy = accuracy_at(average_ranks(scores, test.user_rows, test.item_rows, excluded), KS)
        found[name] = {str(k): value for k, value in accuracy.items()}
    return found
