"""Which trees rank best, at what cost: CatBoost and LightGBM, binary and ranking losses, on the same rows.

    pip install lightgbm
    python benchmarks/ranker_trial.py --data FOLDER                   MovieLens 100K, targets window, next, random
    python benchmarks/ranker_trial.py --edition 1m --data FOLDER --targets next

The rows are those of the schedule, made of the training part of each protocol's split; the test part is never read.
Every trainer learns from all shifts but the last and is judged on the last by NDCG@10; the number of trees is the best
there for each, so that the figures compare trainers with each other and are too high as estimates. Answering 200
candidates is timed with the library's own predict and, for symmetric trees, as plain arrays. The last line is JSON.
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import shortlist as sl
from shortlist.config import load_config
from shortlist.training.ranker import Rows
from shortlist.training.ranking.trees import as_arrays
from shortlist.training.schedule import prepare
from shortlist.training.shifts import make_shifts
from shortlist.training.sources import choose, make_plan

PROTOCOL = {"window": "time", "next": "next", "random": "random"}
SIZES = (40, 80, 120, 200, 300)
NEGATIVES = 40
CALLS = 200
Scores = NDArray[np.float64]


def rows_of(edition: str, folder: str | None, target: str) -> tuple[list[Rows], Rows]:
    """The rows of the early shifts and of the last one."""
    dataset = sl.movielens(edition, folder)
    train = sl.split(dataset, PROTOCOL[target]).train  # type: ignore[arg-type]
    config = load_config("fast")
    log, plan = train.log(), make_plan(train, config, target)  # type: ignore[arg-type]
    shifts = make_shifts(log, target, config.ranking.shifts, 0, True)  # type: ignore[arg-type]
    plan = choose(plan, shifts[: 2 if target == "random" else 1], True)
    rows = [prepare(plan, shift, True, lambda sentence: None).rows for shift in shifts[1:]]
    return rows[:-1], rows[-1]


def table(rows: list[Rows]) -> tuple[Any, Any, Any]:
    """Features, labels and group of each training row: all positives and some of the other candidates."""
    rng = np.random.default_rng(0)
    features, labels, groups, start = [], [], [], 0
    for one in rows:
        asked = np.zeros(len(one.ideal), dtype=bool)
        asked[one.query_rows[one.labels]] = True
        sizes = np.bincount(one.query_rows, minlength=len(one.ideal))
        keep = asked[one.query_rows] & (
            one.labels | (rng.random(len(one.labels)) < (NEGATIVES / sizes)[one.query_rows])
        )
        features.append(one.features[keep])
        labels.append(one.labels[keep])
        groups.append(one.query_rows[keep] + start)
        start += len(one.ideal)
    return np.concatenate(features), np.concatenate(labels).astype(np.int8), np.concatenate(groups)


def catboost(loss: str, depth: int = 6) -> Callable[..., Any]:
    def fit(features: Any, labels: Any, groups: Any) -> Any:
        import catboost

        model = catboost.CatBoost(
            {
                "loss_function": loss,
                "iterations": max(SIZES),
                "depth": depth,
                "learning_rate": 0.1,
                "border_count": 64,
                "random_seed": 0,
                "thread_count": 2,
                "verbose": False,
                "allow_writing_files": False,
            }
        )
        pool = catboost.Pool(features, labels, group_id=None if loss == "Logloss" else groups)
        model.fit(pool)
        return lambda x, size: model.predict(x, ntree_end=size), model

    return fit


def lightgbm(objective: str) -> Callable[..., Any]:
    def fit(features: Any, labels: Any, groups: Any) -> Any:
        import lightgbm

        sizes = np.unique(groups, return_counts=True)[1]
        settings = {
            "objective": objective,
            "num_leaves": 31,
            "learning_rate": 0.1,
            "num_threads": 2,
            "verbose": -1,
            "seed": 0,
        }
        data = lightgbm.Dataset(features, labels, group=sizes if objective == "lambdarank" else None)
        model = lightgbm.train(settings, data, max(SIZES))
        return lambda x, size: model.predict(x, num_iteration=size, raw_score=True), model

    return fit


TRAINERS: dict[str, Callable[..., Any]] = {
    "CatBoost Logloss, symmetric depth 6": catboost("Logloss"),
    "CatBoost YetiRank, symmetric depth 6": catboost("YetiRank"),
    "CatBoost QuerySoftMax, symmetric depth 6": catboost("QuerySoftMax"),
    "LightGBM binary, 31 leaves": lightgbm("binary"),
    "LightGBM lambdarank, 31 leaves": lightgbm("lambdarank"),
}


def answer_ms(predict: Callable[[Any], Any], features: Any) -> float:
    """Median milliseconds of scoring 200 candidates."""
    taken = []
    for _ in range(CALLS):
        started = time.perf_counter()
        predict(features[:200])
        taken.append(1000 * (time.perf_counter() - started))
    return float(np.median(taken))


def standardised(scores: Scores, rows: Rows) -> Scores:
    """Per query, so that margins of different losses can be averaged."""
    n = np.bincount(rows.query_rows, minlength=len(rows.ideal))
    mean = np.bincount(rows.query_rows, scores, len(rows.ideal)) / np.maximum(n, 1)
    spread = np.sqrt(
        np.bincount(rows.query_rows, (scores - mean[rows.query_rows]) ** 2, len(rows.ideal)) / np.maximum(n, 1)
    )
    return (scores - mean[rows.query_rows]) / np.maximum(spread, 1e-12)[rows.query_rows]


def trial(edition: str, folder: str | None, target: str) -> list[dict[str, Any]]:
    early, last = rows_of(edition, folder, target)
    features, labels, groups = table(early)
    results, margins = [], {}
    for name, fit in TRAINERS.items():
        started = time.process_time()
        predict, model = fit(features, labels, groups)
        cpu_seconds = time.process_time() - started
        by_size = {size: last.ndcg(np.asarray(predict(last.features, size))) for size in SIZES}
        size = max(by_size, key=lambda one: by_size[one])
        margins[name] = standardised(np.asarray(predict(last.features, size)), last)
        result = {"data": edition, "target": target, "trainer": name, "trees": size, "ndcg_at_10": by_size[size]}
        result |= {"by_trees": by_size, "fit_cpu_seconds": cpu_seconds}
        result["own_predict_ms"] = answer_ms(lambda x, p=predict, n=size: p(x, n), last.features)  # type: ignore[misc]
        if name.startswith("CatBoost"):
            model.shrink(size)
            trees = as_arrays(model, last.names)
            result["arrays_ms"] = answer_ms(trees.score, last.features)
        results.append(result)
    binary, ranking = "LightGBM binary, 31 leaves", "LightGBM lambdarank, 31 leaves"
    for name, pair in (
        ("average of LightGBM's two", (binary, ranking)),
        ("average of CatBoost Logloss and YetiRank", tuple(TRAINERS)[:2]),
    ):
        figure = last.ndcg(margins[pair[0]] + margins[pair[1]])
        results.append({"data": edition, "target": target, "trainer": name, "ndcg_at_10": figure})
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder or archive of the edition; left out: fetched")
    parser.add_argument("--edition", default="100k")
    parser.add_argument("--targets", nargs="+", default=list(PROTOCOL), choices=list(PROTOCOL))
    arguments = parser.parse_args()
    results = []
    for target in arguments.targets:
        results += trial(arguments.edition, arguments.data, target)
    print("| data, target | trainer | trees | NDCG@10 | fit, CPU s | 200 candidates, ms | as arrays, ms |")
    print("|---|---|---|---|---|---|---|")
    for one in results:
        cells = [
            f"{one['data']}, `{one['target']}`",
            one["trainer"],
            one.get("trees", ""),
            f"{one['ndcg_at_10']:.4f}",
            *(f"{one[key]:.2f}" if key in one else "" for key in ("fit_cpu_seconds", "own_predict_ms", "arrays_ms")),
        ]
        print("| " + " | ".join(map(str, cells)) + " |")
    print(json.dumps({"results": results}))


if __name__ == "__main__":
    main()
