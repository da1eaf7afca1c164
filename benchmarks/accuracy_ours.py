"""Trains one model for ``accuracy.py`` in a process of its own, so that its CPU time and memory are its own.

    python accuracy_ours.py TRAIN.parquet OUT --items FILE --users FILE --target next --config CONFIG.json

Writes the model under OUT. The last line of the output is JSON.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import shortlist as sl
from shortlist.training.recipes import RECIPES


class Timed:
    """A recipe with the CPU seconds of all its fits, trials and final ones, and their number."""

    def __init__(self, recipe: Any) -> None:
        self.recipe, self.cpu_seconds = recipe, 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.recipe, name)

    def fit(self, *arguments: Any) -> Any:
        started = time.process_time()
        source = self.recipe.fit(*arguments)
        self.cpu_seconds += time.process_time() - started
        return source

    def variants(self, *arguments: Any) -> Iterator[Any]:
        variants, done = self.recipe.variants(*arguments), object()
        while True:
            started = time.process_time()
            variant = next(variants, done)
            self.cpu_seconds += time.process_time() - started
            if variant is done:
                return
            yield variant


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--items", type=Path, required=True)
    parser.add_argument("--users", type=Path, required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--config", type=json.loads, required=True)
    arguments = parser.parse_args()
    train = sl.Dataset.from_parquet(arguments.train, arguments.items, arguments.users)
    timed = {name: Timed(recipe) for name, recipe in RECIPES.items()}
    RECIPES.update(timed)  # type: ignore[arg-type]
    started = time.process_time()
    say = lambda sentence: print(sentence, file=sys.stderr, flush=True)  # noqa: E731
    model = sl.train(train, arguments.target, arguments.config, progress=say)
    cpu_seconds = time.process_time() - started
    model.save(arguments.out)
    cost = {
        "cpu_seconds": cpu_seconds,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "sources_cpu_seconds": {name: one.cpu_seconds for name, one in timed.items() if one.cpu_seconds},
        "trials": {},
    }
    for trial in model.record["trials"]:
        tried = cost["trials"].setdefault(trial["source"], [])
        tried += [] if trial["settings"] in tried else [trial["settings"]]
    cost["trials"] = {name: len(tried) for name, tried in cost["trials"].items()}
    print(json.dumps(cost))


if __name__ == "__main__":
    main()
