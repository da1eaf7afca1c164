"""Whether a network ranks better than trees, or adds to them: cross layers with one head (click) or two (and rating).

    python benchmarks/network_trial.py --data FOLDER                  MovieLens 100K, targets window, next, random
    python benchmarks/network_trial.py --preset default --data FOLDER

The rows and the rule are those of `ranker_trial.py`: fitted on all shifts but the last, judged on the last; trees and
epochs are the best there, so the figures compare and are too high as estimates; the test part is never read. The
network: features as normal scores of their ranks, and a flag where one is missing; two cross layers (Wang et al. 2021,
DCN V2) beside two layers of 64; log loss over all rows, and with the second head a squared error over the rated
positives. The last line is JSON.
"""

import argparse
import json
import time
from typing import Any

import numpy as np
import torch
from ranker_trial import PROTOCOL, catboost, standardised
from scipy.special import ndtri
from torch import nn

import shortlist as sl
from shortlist.config import load_config
from shortlist.training.ranker import Rows
from shortlist.training.schedule import prepare
from shortlist.training.shifts import Shift, make_shifts
from shortlist.training.sources import choose, make_plan

NEGATIVES, EPOCHS, BATCH = 40, 30, 2048
SIZES = (40, 80, 120, 200)
N_SEEDS = 3


def rows_of(edition: str, folder: str | None, target: str, preset: str) -> list[tuple[Rows, Any]]:
    """Each shift's rows, and float32 (n,) the rating of every rated positive, else ``nan``."""
    dataset = sl.movielens(edition, folder)
    train = sl.split(dataset, PROTOCOL[target]).train  # type: ignore[arg-type]
    config = load_config(preset)
    log, plan = train.log(), make_plan(train, config, target)  # type: ignore[arg-type]
    shifts = make_shifts(log, target, config.ranking.shifts, 0, True)  # type: ignore[arg-type]
    plan = choose(plan, shifts[: 2 if target == "random" else 1], True)
    prepared = [prepare(plan, shift, True, lambda sentence: None) for shift in shifts[1:]]
    keys = log.user_rows.astype(np.int64) * log.n_items + log.item_rows
    order = np.argsort(keys)
    return [(one.rows, ratings_of(one.rows, one.shift, keys[order], log.ratings[order])) for one in prepared]


def ratings_of(rows: Rows, shift: Shift, keys: Any, ratings: Any) -> Any:
    wanted = shift.users[rows.query_rows].astype(np.int64) * shift.history.n_items + rows.item_rows
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(rows.labels & (keys[place] == wanted), ratings[place], np.nan).astype(np.float32)


def sampled(rows: list[tuple[Rows, Any]]) -> tuple[Any, Any, Any]:
    """Features, labels and ratings of all positives and some of the other candidates of those who took something up."""
    rng = np.random.default_rng(0)
    parts = []
    for one, ratings in rows:
        asked = np.zeros(len(one.ideal), dtype=bool)
        asked[one.query_rows[one.labels]] = True
        sizes = np.bincount(one.query_rows, minlength=len(one.ideal))
        some = rng.random(len(one.labels)) < (NEGATIVES / np.maximum(sizes, 1))[one.query_rows]
        keep = asked[one.query_rows] & (one.labels | some)
        parts.append((one.features[keep], one.labels[keep].astype(np.float32), ratings[keep]))
    features, labels, rated = (np.concatenate(side) for side in zip(*parts, strict=True))
    return features, labels, rated


class Inputs:
    """Features as normal scores of their ranks in training, 0 where missing, and flags of what is missing."""

    def __init__(self, features: Any) -> None:
        self.columns = [np.sort(column[~np.isnan(column)]) for column in features.T]
        self.flagged = np.isnan(features).any(axis=0)

    def __call__(self, features: Any) -> torch.Tensor:
        scored = np.zeros(features.shape, dtype=np.float32)
        for position, known in enumerate(self.columns):
            if len(known):
                column = features[:, position]
                place = np.searchsorted(known, column, "left") + np.searchsorted(known, column, "right")
                normal = ndtri((place / 2 + 0.5) / (len(known) + 1))
                scored[:, position] = np.where(np.isnan(column), 0, normal)
        flags = np.isnan(features[:, self.flagged]).astype(np.float32)
        return torch.from_numpy(np.concatenate([scored, flags], axis=1))


class CrossNetwork(nn.Module):
    """x_{l+1} = x_0 ⊙ (W_l x_l + b_l) + x_l, twice, beside a perceptron; one linear head per task."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.cross = nn.ModuleList([nn.Linear(width, width) for _ in range(2)])
        self.deep = nn.Sequential(nn.Linear(width, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 64), nn.ReLU())
        self.heads = nn.Linear(width + 64, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        crossed = x
        for layer in self.cross:
            crossed = x * layer(crossed) + crossed  # (n, width)
        out: torch.Tensor = self.heads(torch.cat([crossed, self.deep(x)], dim=1))  # (n, 2)
        return out


def fitted(train: tuple[Any, Any, Any], judged: Rows, two_heads: bool, seed: int) -> list[Any]:
    """The margins of the judged rows after each epoch."""
    torch.manual_seed(seed)
    features, labels, ratings = train
    inputs = Inputs(features)
    x, y, rated = inputs(features), torch.from_numpy(labels), torch.from_numpy(ratings)
    rated = (rated - rated[~rated.isnan()].mean()) / rated[~rated.isnan()].std()
    x_judged = inputs(judged.features)
    network = CrossNetwork(x.shape[1])
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=1e-2)
    margins = []
    for _ in range(EPOCHS):
        network.train()
        for batch in torch.randperm(len(x)).split(BATCH):
            click, rating = network(x[batch]).T
            loss = nn.functional.binary_cross_entropy_with_logits(click, y[batch])
            known = ~rated[batch].isnan()
            if two_heads and known.any():
                loss = loss + 0.1 * nn.functional.mse_loss(rating[known], rated[batch][known])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        network.eval()
        with torch.no_grad():
            margins.append(network(x_judged)[:, 0].double().numpy())
    return margins


def trial(edition: str, folder: str | None, target: str, preset: str) -> list[dict[str, Any]]:
    *early, (judged, _) = rows_of(edition, folder, target, preset)
    train = sampled(early)
    started = time.process_time()
    predict, _ = catboost("Logloss")(train[0], train[1], None)
    cpu = {"trees": time.process_time() - started}
    by_size = {size: np.asarray(predict(judged.features, size)) for size in SIZES}
    trees = max(by_size.values(), key=judged.ndcg)
    found = {"trees": judged.ndcg(trees)}
    for name, two_heads in (("network, click", False), ("network, click and rating", True)):
        started = time.process_time()
        runs = [fitted(train, judged, two_heads, seed) for seed in range(N_SEEDS)]
        cpu[name] = (time.process_time() - started) / N_SEEDS
        averaged = [np.mean(epoch, axis=0) for epoch in zip(*runs, strict=True)]
        best = max(averaged, key=judged.ndcg)
        found[name] = float(np.mean([max(map(judged.ndcg, run)) for run in runs]))
        found[f"{name}, mean of {N_SEEDS}"] = judged.ndcg(best)
        found[f"trees + {name}, mean of {N_SEEDS}"] = judged.ndcg(
            standardised(trees, judged) + standardised(best, judged)
        )
    return [
        {"data": edition, "target": target, "ranker": name, "ndcg_at_10": figure, "fit_cpu_seconds": cpu.get(name)}
        for name, figure in found.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder or archive of the edition; left out: fetched")
    parser.add_argument("--edition", default="100k")
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--targets", nargs="+", default=list(PROTOCOL), choices=list(PROTOCOL))
    arguments = parser.parse_args()
    results = [one for t in arguments.targets for one in trial(arguments.edition, arguments.data, t, arguments.preset)]
    print("| data, target | ranker | NDCG@10 | one fit, CPU s |")
    print("|---|---|---|---|")
    for one in results:
        seconds = "" if one["fit_cpu_seconds"] is None else f"{one['fit_cpu_seconds']:.1f}"
        print(f"| {one['data']}, `{one['target']}` | {one['ranker']} | {one['ndcg_at_10']:.4f} | {seconds} |")
    print(json.dumps({"preset": arguments.preset, "results": results}))


if __name__ == "__main__":
    main()
