"""The tutorial's two models on MovieLens 100K, random split, item = title; and the two-tower model done right.

    python benchmarks/tutorial_stages.py --data FOLDER

Needs the extra ``train``; FOLDER holds ``u.data`` and ``u.item`` (left out: they are fetched). The split is the
permutation of the file order by ``numpy.random.default_rng(42)``, the first 80,000 rows train. Each figure is the mean
over the seeds, with the least and the greatest. The last line is JSON.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np

from shortlist.data.log import Floats, Log
from shortlist.data.movielens import by_title, movielens
from shortlist.evaluation.metrics import rmse
from shortlist.neural_settings import DONE_RIGHT, RatingNetworkSettings, TwoTowerSettings
from shortlist.retrieval.vectors import IdVectors
from shortlist.training.ranking.rating_network import fit_rating_network
from shortlist.training.retrieval.two_tower import fit_two_tower
from shortlist.training.tutorial import top_k_accuracy

TRAIN_ROWS, ALL_ROWS = 80_000, 100_000


def split_rows(folder: str | None, cut: int, end: int) -> tuple[Log, Log]:
    """The first rows of the permutation, up to the cut, and those after it, up to the end."""
    dataset = by_title(movielens("100k", folder))
    rows = np.random.default_rng(42).permutation(len(dataset))
    parts = (np.sort(rows[:cut]), np.sort(rows[cut:end]))
    train, test = (dataset.with_interactions(dataset.interactions[part]).log() for part in parts)
    return train, test


def seen_items(train: Log) -> np.ndarray:
    """bool (n_users, n_items)."""
    seen = np.zeros((train.n_users, train.n_items), dtype=bool)
    seen[train.user_rows, train.item_rows] = True
    return seen


def catalogue_scores(source: IdVectors) -> Floats:
    """float32 (n_users, n_items), nan where there is no training event."""
    scores: Floats = source.user_vectors @ source.item_vectors.T + source.item_biases
    scores[:, ~source.trained_items] = np.nan
    return scores


def popularity_scores(train: Log) -> Floats:
    counts = np.bincount(train.item_rows, minlength=train.n_items).astype(np.float32)
    return np.tile(counts, (train.n_users, 1))


def ease_scores(train: Log, penalty: float) -> Floats:
    """EASE (Steck 2019, arXiv:1905.03375) with every event alike, in closed form."""
    matrix = seen_items(train).astype(np.float64)
    inverse = np.linalg.inv(matrix.T @ matrix + penalty * np.eye(train.n_items))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return (matrix @ weights).astype(np.float32)


def timed(fit: Callable[[], Any]) -> tuple[Any, float]:
    """What a call returns, and its CPU seconds."""
    start = time.process_time()
    return fit(), time.process_time() - start


def two_towers(settings: TwoTowerSettings, train: Log, test: Log, seeds: range) -> dict[str, Any]:
    runs: list[dict[str, Any]] = []
    for seed in seeds:
        source, cpu_seconds = timed(lambda seed=seed: fit_two_tower(train, settings, seed=seed))
        runs.append({**top_k_accuracy(catalogue_scores(source), train, test), "cpu_seconds": cpu_seconds})
    return summary(runs)


def rating_networks(settings: RatingNetworkSettings, train: Log, test: Log, seeds: range) -> dict[str, Any]:
    runs: list[dict[str, Any]] = []
    for seed in seeds:
        network, cpu_seconds = timed(lambda seed=seed: fit_rating_network(train, settings, seed=seed))
        predicted = network.predict_rows(test.user_rows, test.item_rows)
        runs.append({"rmse": rmse(predicted, test.ratings), "cpu_seconds": cpu_seconds})
    return summary(runs)


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean, least and greatest of every figure of some runs of the same shape."""
    if not isinstance(runs[0], dict):
        return {"mean": float(np.mean(runs)), "min": float(min(runs)), "max": float(max(runs))}
    return {key: summary([run[key] for run in runs]) for key in runs[0]}


def lines(figures: dict[str, Any], path: str = "") -> Iterator[str]:
    for key, value in figures.items():
        if not isinstance(value, dict):
            yield f"{path} {key}: {value:.4f}"
        elif set(value) == {"mean", "min", "max"}:
            yield f"{path} {key}: {value['mean']:.4f} ({value['min']:.4f} to {value['max']:.4f})"
        else:
            yield from lines(value, f"{path} {key}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder with u.data and u.item")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", default="", help="only the parts whose name starts so")
    arguments = parser.parse_args()
    train, test = split_rows(arguments.data, TRAIN_ROWS, ALL_ROWS)
    seeds = range(arguments.seeds)
    tasks: dict[str, Callable[[], dict[str, Any]]] = {
        "popularity": lambda: top_k_accuracy(popularity_scores(train), train, test),
        "ease": lambda: top_k_accuracy(ease_scores(train, penalty=300), train, test),
        "two_tower.tutorial": lambda: two_towers(TwoTowerSettings(), train, test, seeds),
        "two_tower.done_right": lambda: two_towers(DONE_RIGHT, train, test, seeds),
        "rating_network.tutorial": lambda: rating_networks(RatingNetworkSettings(), train, test, seeds),
        "rating_network.averaged": lambda: rating_networks(RatingNetworkSettings(averaging=0.9), train, test, seeds),
    }
    results: dict[str, Any] = {}
    for name, task in tasks.items():
        if not name.startswith(arguments.only):
            continue
        results[name] = task()
        print("\n".join(lines(results[name], name)), flush=True)
    settings = {"done_right": msgspec.to_builtins(DONE_RIGHT), "seeds": len(seeds), "train_rows": len(train)}
    print(json.dumps({"settings": settings, "results": results}))


if __name__ == "__main__":
    main()
