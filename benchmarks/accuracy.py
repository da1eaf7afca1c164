"""Accuracy beside others: every source, fusion, the cascade and the peers, on the same cuts, judged by the same code.

    python benchmarks/accuracy.py --data FOLDER --edition 100k --protocol random --peers VENVS
    python benchmarks/accuracy.py --data FOLDER --edition 1m --protocol next --preset best --peers VENVS
    python benchmarks/accuracy.py --shape shop --protocol time            an invented log that is not like MovieLens
    python benchmarks/accuracy.py --log FILE --items FILE --protocol next          a log of your own

Protocols: ``random`` 80/20; ``next``, each user's last event; ``time``, one cut; ``rolling``, three windows of 30 days,
each fitted anew. FOLDER holds the data set. The preset is trained in a process of its own, by its training part alone.
A source alone is its own list from the full catalogue, with the settings that the model chose on validation; ``fusion``
is the order of retrieval. Seen items are removed unless the data repeat. VENVS holds the peers' environments, made on
first use from ``requirements-implicit.txt`` and ``requirements-rectools.txt``; of each peer ``--trials`` settings are
tried, on a cut inside the training part. ``--peer-lists`` keeps the peers' lists, so that only ours is run again.

Predicted ratings, and myFM beside them, are in ``ratings.py``. The last line is JSON; the exit code is 1 where a must
is missed. Needs the extra ``train``.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from accuracy_bars import Bar, accuracy_bars, cost_bars, said, short
from accuracy_data import SHAPE_NAMES, Case, from_file, invented
from accuracy_judge import Judge
from accuracy_peers import PEERS, cannot, peer_lists, say
from accuracy_published import published_table
from accuracy_systems import BEST_ON_VALIDATION, OURS, Cost, Row, System, best_source, rows_of, validation_ndcg
from tutorial_clock import answer_times

import shortlist as sl

HERE = Path(__file__).parent


def main() -> int:
    arguments = parsed()
    case = case_of(arguments)
    systems: dict[str, System] = {}
    records = [measured(case, part, arguments, systems) for part in case.parts()]
    return told(case, arguments, systems, records)


def measured(case: Case, part: sl.Split, arguments: argparse.Namespace, systems: dict[str, System]) -> dict[str, Any]:
    """Add the figures of one cut to the systems; the record of what was tried."""
    say(part.description)
    judge = Judge(part.train, part.test, case.evaluated_as)
    with tempfile.TemporaryDirectory() as work:
        model, cost = trained(case, part, arguments, Path(work))
        figures = {name: judge.figures(lists) for name, lists in judge.lists_of_model(model).items()}
        users = next(iter(judge.groups.values())).questions.user_ids
        latency = answer_times(lambda user: model.recommend(user, k=10), users, 200)
    validation = validation_ndcg(model.record)
    best = {group: best_source(model.record, group) for group in judge.groups}
    if case.evaluated_as == "time":
        figures[BEST_ON_VALIDATION] = {group: figures[name][group] for group, name in best.items()}
    for name, found in figures.items():
        systems.setdefault(name, System()).figures.append(found)
    for name, one in costs_of(cost).items():
        systems[name].costs.append(one)
    peers = peers_of(case, part, arguments)
    for name, (table, record) in peers.items():
        system = systems.setdefault(name, System())
        system.figures.append(judge.figures(judge.lists_of_table(table)))
        system.costs.append(Cost(record["cpu_seconds"], record["peak_mb"], len(record["trials"])))
    kept = ("sources_left_out", "settings_chosen", "trials", "ranker", "blend", "why", "candidate_recall")
    return {
        "cut": part.description,
        "best_on_validation": best,
        "validation_ndcg": validation,
        "latency_ms": latency,
        "peers": {name: record for name, (_, record) in peers.items()},
    } | {name: model.record[name] for name in kept if name in model.record}


def costs_of(cost: dict[str, Any]) -> dict[str, Cost]:
    """Of the sources what their fits took, trials included; of fusion their sum; of the cascade all."""
    seconds, trials = cost["sources_cpu_seconds"], cost["trials"]
    costs = {name: Cost(one, None, trials.get(name)) for name, one in seconds.items()}
    costs["fusion"] = Cost(sum(seconds.values()), None, sum(trials.values()))
    return costs | {OURS: Cost(cost["cpu_seconds"], cost["peak_mb"], sum(trials.values()))}


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of MovieLens; left out: the cache, or it is fetched")
    parser.add_argument("--edition", choices=("100k", "1m"), default="100k")
    parser.add_argument("--shape", choices=SHAPE_NAMES, help="an invented log instead")
    parser.add_argument("--log", type=Path, help="a log of your own instead, CSV or Parquet")
    parser.add_argument("--items", type=Path, help="its items")
    parser.add_argument("--users", type=Path, help="its users")
    parser.add_argument("--protocol", choices=("random", "next", "time", "rolling"), default="random")
    parser.add_argument("--preset", default="default")
    parser.add_argument("--seed", type=int, default=0, help="of the model")
    parser.add_argument("--split-seed", type=int, default=42, help="of the random split")
    parser.add_argument("--threads", type=int, default=1, help="of the trees' trainer")
    parser.add_argument("--peers", type=Path, help="folder of the peers' environments; left out: no peers")
    parser.add_argument("--only", nargs="+", choices=tuple(PEERS), default=list(PEERS), help="these peers")
    parser.add_argument("--trials", type=int, default=12, help="settings tried of each peer")
    parser.add_argument("--peer-lists", type=Path, help="folder where the peers' lists are kept")
    return parser.parse_args()


def case_of(arguments: argparse.Namespace) -> Case:
    if arguments.shape:
        name, dataset = arguments.shape, invented(arguments.shape)
    elif arguments.log:
        name, dataset = arguments.log.stem, from_file(arguments.log, arguments.items, arguments.users)
    else:
        name, dataset = arguments.edition, sl.movielens(arguments.edition, arguments.data)
    return Case(name, dataset, arguments.protocol, arguments.split_seed)


def trained(case: Case, part: sl.Split, arguments: argparse.Namespace, work: Path) -> tuple[sl.Cascade, dict[str, Any]]:
    """The preset trained in a process of its own, and what that cost."""
    tables = {"train": part.train.interactions, "items": part.train.items, "users": part.train.users}
    for name, table in tables.items():
        table.write_parquet(work / f"{name}.parquet")
    config = {"preset": arguments.preset, "seed": arguments.seed, "threads": arguments.threads}
    command = [sys.executable, HERE / "accuracy_ours.py", work / "train.parquet", work / "model"]
    command += ["--items", work / "items.parquet", "--users", work / "users.parquet"]
    command += ["--target", case.target, "--config", json.dumps(config)]
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"} if arguments.threads == 1 else {}
    ran = subprocess.run(command, env=os.environ | one_thread, stdout=subprocess.PIPE, text=True)
    if ran.returncode:
        sys.exit(f"training failed (exit code {ran.returncode})")
    return sl.load(work / "model"), json.loads(ran.stdout.splitlines()[-1])


def peers_of(case: Case, part: sl.Split, arguments: argparse.Namespace) -> dict[str, Any]:
    """By name: the peer's lists and record."""
    found = {}
    for name in arguments.only if arguments.peers else []:
        if why := cannot(name, case):
            say(f"{name} is left out: {why}")
            continue
        found[name] = peer_lists(name, case, part, arguments.peers, arguments.trials, arguments.peer_lists)
    return found


def told(case: Case, arguments: argparse.Namespace, systems: dict[str, System], records: list[dict[str, Any]]) -> int:
    """Print tables, bars and JSON; the exit code."""
    groups = {name: rows_of(systems, name) for name in systems[OURS].figures[0]}
    print(f"{case.dataset}, protocol {case.protocol}, preset {arguments.preset}")
    for name, rows in groups.items():
        print(f"\n{table_of(name, rows, case.protocol)}")
    if others := published_table(case.name, case.protocol):
        print(f"\n{others}")
    latency = records[-1]["latency_ms"]
    print(f"\none recommend call: p50 {latency['p50']:.2f} ms, p95 {latency['p95']:.2f}, CPU {latency['cpu']:.2f} ms")
    minutes = max(cost.cpu_seconds for cost in systems[OURS].costs) / 60
    found = [
        *accuracy_bars(case.name, case.protocol, arguments.preset, groups, list(records[-1]["validation_ndcg"])),
        *cost_bars(case.name, arguments.preset, minutes, latency["p50"]),
    ]
    for bar in found:
        print(bar.line)
    print(json.dumps(summary(case, arguments, groups, found, records)))
    return int(any(bar.must is False for bar in found))


def table_of(group: str, rows: dict[str, Row], protocol: str) -> str:
    """Markdown: one line per system."""
    n = rows[OURS].metrics["ndcg"].n
    extra = [("P@10", "precision")] if protocol == "random" else []
    shown = [("HR@10", "hit_rate"), ("R@10", "recall"), *extra]
    head = [f"{group}: {n:,} users", "NDCG@10 [95%]", *(title for title, _ in shown), "top-100"]
    head += ["cascade − it [95%], p (Holm)", "trials", "CPU s", "peak MB"]
    lines = [head, ["---"] * len(head)]
    for name, row in rows.items():
        ndcg = row.metrics["ndcg"]
        cells = [name, f"{short(ndcg.mean)} [{short(ndcg.low)}, {short(ndcg.high)}]"]
        cells += [short(row.metrics[metric].mean) for _, metric in shown] + [short(row.top_100)]
        minus = row.cascade_minus
        cells.append("" if minus is None else f"{said(minus.interval)}, {short(minus.p)}")
        cells += cost_cells(row.cost)
        lines.append(cells)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def cost_cells(cost: Cost | None) -> list[str]:
    if cost is None:
        return ["", "", ""]
    trials, peak = (("" if value is None else f"{value:,.0f}") for value in (cost.trials, cost.peak_mb))
    return [trials, f"{cost.cpu_seconds:,.1f}", peak]


def summary(
    case: Case,
    arguments: argparse.Namespace,
    groups: dict[str, dict[str, Row]],
    found: list[Bar],
    records: list[dict[str, Any]],
) -> dict[str, Any]:
    """Plain values; everything that was tried is in ``cuts``."""
    return {
        "data": case.name,
        "events": len(case.dataset),
        "protocol": case.protocol,
        "preset": arguments.preset,
        "seed": arguments.seed,
        "split_seed": arguments.split_seed,
        "groups": {group: {name: asdict(row) for name, row in rows.items()} for group, rows in groups.items()},
        "bars": [asdict(bar) for bar in found],
        "cuts": records,
    }


if __name__ == "__main__":
    sys.exit(main())
