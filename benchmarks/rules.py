"""What rules cost: 20 rules on the pool of one query, and binding them to a model.

    python benchmarks/rules.py [MODEL]

Without a model one is trained on MovieLens 100K with the preset ``fast``. CPU time of one thread.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import shortlist as sl
from shortlist.cascade import Cascade
from shortlist.data.log import Rows
from shortlist.rules.acting import Acting
from shortlist.rules.binding import bind

REPEATS = 500


def twenty_rules(model: Cascade) -> str:
    """Four of each kind, some for certain users, some with windows."""
    ids = model.items["item_id"].to_list()
    known = model.items["genres"].explode().drop_nulls().unique().sort().to_list()
    genres = [name for name in known if "'" not in name][:8]
    parts = []
    for n in range(4):
        window = "from = 2020-01-01\nuntil = 2090-01-01\n" if n % 2 else ""
        users = f'users = "age >= {20 + n}"\n' if n % 2 else ""
        parts += [
            f"[[pin]]\nname = 'pin {n}'\nitems = [{ids[(n + 1) * 101]}]\nposition = {3 * n + 1}\n{window}",
            f"[[boost]]\nname = 'boost {n}'\nitems = \"{genres[n]!r} in genres\"\nplaces = {n + 2}\n{users}",
            f"[[bury]]\nname = 'bury {n}'\nitems = \"{genres[n + 4]!r} in genres and item_id > {800 * n}\"\n{window}",
            f"[[exclude]]\nname = 'exclude {n}'\nitems = [{ids[n]}, {ids[n + 50]}]\n{users}",
            f"[[cap]]\nname = 'cap {n}'\nby = 'genres'\nmost = {8 + n}\n{users}",
        ]
    return "".join(parts)


def milliseconds(work: Callable[[], object], repeats: int = REPEATS) -> float:
    """Median CPU milliseconds."""
    work()
    took = []
    for _ in range(repeats):
        begin = time.thread_time()
        work()
        took.append(time.thread_time() - begin)
    return float(np.median(took) * 1e3)


def main() -> None:
    model = sl.load(Path(sys.argv[1])) if sys.argv[1:] else sl.train(sl.movielens("100k"), config="fast")
    text = twenty_rules(model)
    rules = sl.Rules.parse(text)
    bound = model.bound_rules(rules).require_all()
    request = model.request([42])
    queries = request.queries
    allowed = np.ones((1, len(model.items)), dtype=bool)
    pool: Rows = np.random.default_rng(0).permutation(len(model.items))[:200].astype(np.int32)
    scores = np.arange(200.0)[::-1]

    def applied() -> None:
        acting = Acting(bound, 1_800_000_000)
        acting.allowed(queries, allowed)
        acting.wanted(queries, allowed)
        acting.caps(queries, 0)
        acting.act(queries, 0, pool, scores)

    figures = {
        "reading 20 rules": milliseconds(lambda: sl.Rules.parse(text + f"# {time.thread_time_ns()}"), 50),
        "binding them to the model": milliseconds(lambda: bind(rules, model.items, model.users), 20),
        "their part in one query, 200 candidates": milliseconds(applied),
        "one answer, k = 20, without rules": milliseconds(lambda: model.recommend(42, 20), 100),
        "one answer, k = 20, with 20 rules": milliseconds(lambda: model.recommend(42, 20, rules=rules), 100),
    }
    for name, ms in figures.items():
        print(f"{name:<42} {ms:7.3f} ms")


if __name__ == "__main__":
    main()
