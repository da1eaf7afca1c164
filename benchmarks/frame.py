"""The two stages against the best source alone, full catalogue, seen items removed.

    python benchmarks/frame.py --data FOLDER                      MovieLens 100K, random split
    python benchmarks/frame.py --data FOLDER --protocol next      MovieLens 1M, each user's last event

FOLDER holds the data set, or a folder or archive of its usual name (left out: MovieLens 100K is fetched). Trains the
preset on the training part, all its choices made inside it, then asks every user of the test. A source alone is its own
list from the full catalogue, with the settings that the model chose. The last line is JSON; the exit code is 1 where a
bar is missed.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import shortlist as sl
from shortlist.data.split import split
from shortlist.evaluation.compare import compare
from shortlist.evaluation.figures import Difference
from shortlist.evaluation.report import Report

K = 10
DATA = {"random": "100k", "next": "1m"}
SOURCE = {"random": "ease", "next": "covisitation"}
SOURCE_BARS = {"random": {"precision": 0.36, "ndcg": 0.43}, "next": {"ndcg": 0.140}}
MODEL_BARS: dict[str, dict[str, float]] = {"random": {}, "next": {"ndcg": 0.152}}


def source_alone(model: sl.Cascade, name: str) -> Callable[[list[Any], int], list[list[Any]]]:
    """One source of a model as a callable: its own list without the user's seen items, nothing else."""
    (source,) = (source for source in model.first.sources if source.name == name)

    def recommend(user_ids: list[Any], k: int) -> list[list[Any]]:
        lists: list[list[Any]] = []
        for _, queries in model.request(user_ids).queries.blocks(128):
            allowed = np.ones((len(queries), len(model.items)), dtype=bool)
            allowed[queries.event_queries, queries.item_rows] = False
            lists += [model.items["item_id"].gather(rows).to_list() for rows in source.propose(queries, k, allowed)]
        return lists

    recommend.__name__ = name
    return recommend


def checks(protocol: str, source: Report, model: Report, model_minus_source: Difference) -> dict[str, bool]:
    """Each bar by name, and whether it is reached."""
    reached = {f"{SOURCE[protocol]} {m} >= {bar}": source.metric(m) >= bar for m, bar in SOURCE_BARS[protocol].items()}
    reached |= {f"model {m} >= {bar}": model.metric(m) >= bar for m, bar in MODEL_BARS[protocol].items()}
    if protocol == "random":
        return reached | {"model not below its source": model_minus_source.interval.high >= 0}
    stages = model.results[0].stages
    assert stages is not None
    best = max(stages.sources, key=lambda one: one.ndcg_alone)
    return reached | {f"model above its best source ({best.name})": best.model_minus_alone.interval.low > 0}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of the data set")
    parser.add_argument("--protocol", choices=tuple(DATA), default="random")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    protocol = arguments.protocol
    train, test = split(sl.movielens(DATA[protocol], arguments.data), protocol)
    started = time.perf_counter()
    model = sl.train(
        train, protocol, {"preset": "fast", "seed": arguments.seed}, progress=lambda s: print(s, file=sys.stderr)
    )
    train_seconds = time.perf_counter() - started
    report = sl.evaluate(model, train, test, protocol=protocol, k=K)
    alone = sl.evaluate(source_alone(model, SOURCE[protocol]), train, test, protocol=protocol, k=K)
    model_minus_source = compare(report, alone)
    reached = checks(protocol, alone, report, model_minus_source["ndcg"])
    print(report.table())
    print(f"{SOURCE[protocol]} alone:", {m: round(alone.metric(m), 4) for m in ("ndcg", "precision", "hit_rate")})
    print(f"trained in {train_seconds:.1f} s, evaluated in {report.seconds}")
    for name, is_reached in reached.items():
        print("reached" if is_reached else "MISSED ", name)
    summary = {
        "protocol": protocol,
        "data": DATA[protocol],
        "checks": reached,
        "model": {m: i.mean for m, i in report.results[0].metrics.items()},
        SOURCE[protocol]: {m: i.mean for m, i in alone.results[0].metrics.items()},
        "model_minus_source": {
            m: [d.interval.mean, d.interval.low, d.interval.high] for m, d in model_minus_source.items()
        },
        "settings_chosen": model.record["settings_chosen"],
        "ranker": model.record.get("blend", model.record["ranker"]),
        "train_seconds": round(train_seconds, 1),
        "evaluate_seconds": report.seconds,
        "report": report.to_dict(),
    }
    print(json.dumps(summary))
    return 0 if all(reached.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
