"""How long the main calls take, on one thread of BLAS.

    python benchmarks/speed.py [--data FOLDER_100K] [--million FOLDER_1M]

Measured: the two-tower fit in the tutorial's setting (CPU seconds), one user's ``recommend`` with 200 candidates
(p50, p95 in ms), and, where MovieLens 1M is given, all users' lists of 100 from both stages (wall and CPU seconds).
The last line is JSON. Needs the extra ``train``.
"""

import argparse
import json
import os
import time
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402

import shortlist as sl  # noqa: E402
from shortlist.data.dataset import Dataset  # noqa: E402
from shortlist.data.movielens import by_title  # noqa: E402
from shortlist.neural_settings import TwoTowerSettings  # noqa: E402
from shortlist.training.retrieval.two_tower import fit_two_tower  # noqa: E402


def two_tower_seconds(dataset: Dataset, runs: int = 3) -> dict[str, float]:
    """CPU seconds of the tutorial's ten epochs on 80,000 rows; the first run, with the imports, is not counted."""
    log = sl.split(by_title(dataset), "random").train.log()
    seconds = []
    for seed in range(runs + 1):
        start = time.process_time()
        fit_two_tower(log, TwoTowerSettings(), seed=seed)
        seconds.append(time.process_time() - start)
    return {"median": float(np.median(seconds[1:])), "max": max(seconds[1:])}


def single_user_ms(model: Any, users: list[Any], k: int = 10) -> dict[str, float]:
    for user in users[:20]:
        model.recommend(user, k=k)
    times = []
    for user in users:
        start = time.perf_counter()
        model.recommend(user, k=k)
        times.append((time.perf_counter() - start) * 1e3)
    return {"p50": float(np.percentile(times, 50)), "p95": float(np.percentile(times, 95)), "users": len(users)}


def all_users_seconds(model: Any, k: int = 100) -> dict[str, float]:
    users = model.users["user_id"].to_list()
    model.recommend(users[:128], k=k)
    wall, cpu = time.perf_counter(), time.process_time()
    table = model.recommend(users, k=k)
    assert len(table) == len(users) * k
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "users": len(users)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of MovieLens 100K; left out: it is fetched")
    parser.add_argument("--million", help="folder of MovieLens 1M; left out: that part is skipped")
    arguments = parser.parse_args()
    dataset = sl.movielens("100k", arguments.data)
    results: dict[str, Any] = {"two_tower_fit_cpu_seconds": two_tower_seconds(dataset)}
    print("two-tower fit, tutorial's setting, CPU seconds:", results["two_tower_fit_cpu_seconds"], flush=True)
    model = sl.train(dataset, "window", "fast")
    results["recommend_one_user_ms"] = single_user_ms(model, model.users["user_id"].to_list())
    print("recommend, one user, 200 candidates, ms:", results["recommend_one_user_ms"], flush=True)
    if arguments.million:
        split = sl.split(sl.movielens("1m", arguments.million), "next")
        model = sl.train(split.train, "next", "fast")
        results["million_one_user_ms"] = single_user_ms(model, model.users["user_id"].to_list()[:500])
        results["million_all_users_seconds"] = all_users_seconds(model)
        print("MovieLens 1M, one user, ms:", results["million_one_user_ms"])
        print("MovieLens 1M, lists of 100 for all users, seconds:", results["million_all_users_seconds"], flush=True)
    else:
        print("MovieLens 1M: skipped, no --million FOLDER was given")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
