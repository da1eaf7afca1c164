"""What acting after the score costs: 200 candidates, lists of 20, on one thread of BLAS.

    python benchmarks/rerank.py [--data FOLDER_100K] [--model MODEL]

For each of exploration, diversity, caps, and all three: milliseconds of the step alone (`shortlist.ranking.rerank`, the
score being there), and of a whole `recommend` call beside one without. Medians and 95th percentiles over users of wall
time; ``cpu`` = CPU milliseconds of all calls divided by their number. At most three films of a genre is more than 200
candidates can mostly give a list of 20: that line has the time for the rest of the catalogue in it. Without --model the
preset ``fast`` is trained on MovieLens 100K. The last line is JSON; the exit code is 1 where the bar is missed.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402

import shortlist as sl  # noqa: E402
from shortlist.filters import allowed_masks  # noqa: E402
from shortlist.ranking.rerank import rerank  # noqa: E402

K, N = 20, 200
BAR_MS = 0.5
ACTS: dict[str, dict[str, Any]] = {
    "diversity 0.3": {"diversity": 0.3},
    "caps genres=8": {"caps": {"genres": 8}},
    "diversity 0.3, caps genres=8": {"diversity": 0.3, "caps": {"genres": 8}},
    "explore 0.1": {"explore": 0.1},
    "all three": {"diversity": 0.3, "caps": {"genres": 8}, "explore": 0.1},
    "caps genres=3": {"caps": {"genres": 3}},
}
BARRED = ("diversity 0.3", "caps genres=8", "diversity 0.3, caps genres=8")


def milliseconds(calls: list[Callable[[], Any]]) -> dict[str, float]:
    for call in calls[:20]:
        call()
    wall, cpu = [], time.process_time()
    for call in calls:
        start = time.perf_counter()
        call()
        wall.append((time.perf_counter() - start) * 1e3)
    cpu = (time.process_time() - cpu) * 1e3 / len(calls)
    p50, p95 = np.percentile(wall, [50, 95]).round(3).tolist()
    return {"p50": p50, "p95": p95, "cpu": round(cpu, 3)}


def step_alone(model: sl.Cascade, users: list[Any], acts: dict[str, Any]) -> dict[str, float]:
    request = model.request(users)
    word = model.last_word(request, **acts)
    assert word is not None
    calls = []
    for q in range(len(users)):
        queries, seen = request.queries.block(q, q + 1), request.seen.block(q, q + 1)
        allowed = allowed_masks(np.ones(len(model.items), dtype=bool), 1, seen)
        (ranked,) = model.rank(queries, allowed, N)
        pool, own = ranked.candidates, word.block(q, q + 1)
        scores = np.empty(N)
        scores[ranked.places] = ranked.scores
        rest = model._rest(queries, model.first.tables(queries), allowed, N)
        calls.append(
            lambda own=own, queries=queries, pool=pool, scores=scores, rest=rest: rerank(
                own, queries, 0, pool, scores, N, K, rest
            )
        )
    return milliseconds(calls)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of MovieLens 100K; left out: it is fetched")
    parser.add_argument("--model", help="a saved model of it, with at least 200 candidates")
    arguments = parser.parse_args()
    model = (
        sl.load(arguments.model) if arguments.model else sl.train(sl.movielens("100k", arguments.data), config="fast")
    )
    users = model.users["user_id"].to_list()[:300]
    results: dict[str, Any] = {"k": K, "candidates": N, "users": len(users)}
    results["recommend"] = {"nothing": milliseconds([lambda user=user: model.recommend(user, k=K) for user in users])}
    print(f"recommend, nothing acts: {results['recommend']['nothing']}", flush=True)
    results["step"] = {}
    for name, acts in ACTS.items():
        results["step"][name] = step_alone(model, users, acts)
        calls = [lambda user=user, acts=acts: model.recommend(user, k=K, **acts) for user in users]
        results["recommend"][name] = milliseconds(calls)
        print(f"{name}: step {results['step'][name]}, recommend {results['recommend'][name]}", flush=True)
    missed = [name for name in BARRED if results["step"][name]["p50"] > BAR_MS]
    results["bars"] = {f"{name} <= {BAR_MS} ms": name not in missed for name in BARRED}
    print(json.dumps(results))
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
