"""What explanations cost: CPU milliseconds per answer, on top of the answer itself.

    python benchmarks/explain.py MODEL [--users 200]

MODEL is a saved model, for the figures of docs/benchmarks.md preset ``default`` on MovieLens 100K:

    shortlist train movielens:100k --target next --out MODEL

Run with OMP_NUM_THREADS=1 and OPENBLAS_NUM_THREADS=1, as a server's worker runs. The last line is JSON.
"""

import argparse
import json
import time

import msgspec
import numpy as np

import shortlist as sl
from shortlist.explaining.asking import explain_answer
from shortlist.explaining.sentences import language_of
from shortlist.filters import allowed_masks


def milliseconds(work, repeats=3):
    """The least CPU time of some repeats: the others waited for something."""
    times = []
    for _ in range(repeats):
        begin = time.process_time()
        work()
        times.append((time.process_time() - begin) * 1e3)
    return min(times)


def measure(model, k, n_users):
    """CPU milliseconds of answer, explanation and tree contributions, for many users, and the bytes of the JSON."""
    english, everything = language_of("en"), np.ones(len(model.items), dtype=bool)
    users = np.random.default_rng(0).choice(model.users["user_id"].to_numpy(), n_users)
    answers, explanations, trees, n_bytes = [], [], [], []
    worst = 0.0
    for user in users.tolist():
        request = model.request([user])
        query = request.queries
        mask = allowed_masks(everything, 1, request.seen)
        answers.append(milliseconds(lambda query=query, mask=mask: model.rank(query, mask, k)))
        (ranked,) = model.rank(query, mask, k)
        explain = lambda query=query, ranked=ranked: explain_answer(model.explainer, query, ranked, english)  # noqa: E731
        explanations.append(milliseconds(explain))
        found = explain()
        n_bytes.append(len(msgspec.json.encode(found)))
        sums = [one.base + sum(group.contribution for group in one.ranking) - one.score for one in found]
        worst = max(worst, *map(abs, sums))
        if hasattr(model.ranker, "trees"):
            features = np.zeros((k, len(model.ranker.feature_names)), dtype=np.float32)
            trees.append(milliseconds(lambda features=features: model.ranker.contributions(features)))
    return {
        "k": k,
        "answer_cpu_ms": round(float(np.median(answers)), 2),
        "explanation_cpu_ms": round(float(np.median(explanations)), 2),
        "explanation_cpu_ms_p95": round(float(np.percentile(explanations, 95)), 2),
        "of_it_tree_contributions_cpu_ms": round(float(np.median(trees)), 2) if trees else None,
        "json_kilobytes": round(float(np.mean(n_bytes)) / 1e3, 1),
        "largest_error_of_a_sum": worst,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--users", type=int, default=200)
    arguments = parser.parse_args()
    model = sl.load(arguments.model)
    begin = time.process_time()
    model.explain(k=1)
    once = (time.process_time() - begin) * 1e3
    rows = [measure(model, k, arguments.users) for k in (10, 20)]
    for row in rows:
        print(row)
    print(
        json.dumps({"model": repr(model), "users": arguments.users, "first_time_cpu_ms": round(once, 1), "rows": rows})
    )


if __name__ == "__main__":
    main()
