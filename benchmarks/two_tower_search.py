"""How the settings `DONE_RIGHT` were found: a random search on a validation part of the training rows.

    python benchmarks/two_tower_search.py --data FOLDER --trials 40

Of the 80,000 training rows of the random split (see ``tutorial_stages.py``) the last 8,000 in the order of the
permutation validate; the test rows are not read. Each trial draws its settings, runs up to 40 epochs, looks at the
validation rows after every second one and stops after ten without a better one. Trials are ordered by the share of
validation rows among the first 100 unseen titles of their user; the same with seen titles kept stands beside it. The
last line is JSON.
"""

import argparse
import json
import time
from typing import Any

import msgspec
import numpy as np
import torch
from tutorial_stages import TRAIN_ROWS, catalogue_scores, split_rows, top_k_accuracy

from shortlist.data.log import Log
from shortlist.neural_settings import TwoTowerSettings
from shortlist.training.loop import one_thread
from shortlist.training.retrieval.two_tower import Towers, hits_share

VALIDATION_ROWS = 8_000
MAX_EPOCHS = 40
PATIENCE = 10


def draw(rng: np.random.Generator) -> TwoTowerSettings:
    """One point of the space; in-batch with the logQ correction throughout."""
    adam = bool(rng.random() < 0.5)
    return TwoTowerSettings(
        dimension=int(rng.choice([32, 64, 128])),
        epochs=MAX_EPOCHS,
        batch_size=int(rng.choice([2048, 8192])),
        optimizer="adam" if adam else "adagrad",
        learning_rate=round(float(10 ** (rng.uniform(-2.6, -1.9) if adam else rng.uniform(-1.4, -0.7))), 4),
        logq=True,
        remove_accidental_hits=bool(rng.random() < 0.5),
        item_bias=bool(rng.random() < 0.7),
        weight_decay=round(float(10 ** rng.uniform(-2.3, -0.7)), 4),
        dropout=float(rng.choice([0.0, 0.1, 0.2, 0.3])),
    )


def trial(settings: TwoTowerSettings, seed: int, fitted: Log, held_out: Log) -> dict[str, Any]:
    """The best epoch of one point, and its figures."""
    towers = Towers(fitted, settings, torch.Generator().manual_seed(seed))
    best_share, best_epoch, best = -1.0, 0, towers.source("two_tower")
    start = time.process_time()
    for epoch in range(1, settings.epochs + 1):
        towers.run_epoch()
        if epoch % 2:
            continue
        source = towers.source("two_tower")
        share = hits_share(source, fitted, held_out, depth=100)
        if share > best_share:
            best_share, best_epoch, best = share, epoch, source
        elif epoch - best_epoch >= PATIENCE:
            break
    accuracy = top_k_accuracy(catalogue_scores(best), fitted, held_out)
    return {
        "seen_removed": accuracy["seen_removed"]["100"],
        "seen_kept": accuracy["seen_kept"]["100"],
        "epochs": best_epoch,
        "cpu_seconds": round(time.process_time() - start, 1),
        "settings": msgspec.to_builtins(msgspec.structs.replace(settings, epochs=best_epoch)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder with u.data and u.item")
    parser.add_argument("--trials", type=int, default=40)
    arguments = parser.parse_args()
    cut = TRAIN_ROWS - VALIDATION_ROWS
    fitted, held_out = split_rows(arguments.data, cut, TRAIN_ROWS)
    rng = np.random.default_rng(0)
    results = []
    with one_thread():
        for number in range(arguments.trials):
            results.append(trial(draw(rng), number, fitted, held_out))
            print(json.dumps(results[-1]), flush=True)
    results.sort(key=lambda result: -result["seen_removed"])
    print(json.dumps({"fitted_rows": len(fitted), "validation_rows": len(held_out), "best": results[:10]}))


if __name__ == "__main__":
    main()
