"""The tutorial's models in Shortlist: the other half of ``tutorial.py``, with the same tasks as ``tutorial_peer.py``.

python tutorial_ours.py TASK ROWS [--options JSON]
"""

import argparse
import json
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from tutorial_clock import Clock, answer_times, laps_of

import shortlist as sl
from shortlist.data.log import Log
from shortlist.evaluation.metrics import rmse
from shortlist.neural_settings import RatingNetworkSettings, TwoTowerSettings
from shortlist.ranking.bias import RatingBias
from shortlist.stages import stored_queries
from shortlist.training.loop import one_thread
from shortlist.training.ranking.rating_network import Network, mean_squared_error
from shortlist.training.retrieval.two_tower import fit_two_tower
from shortlist.training.tutorial import catalogue_scores, top_k_accuracy

Results = dict[str, Any]


class Rows:
    """The rows of the file in the order of the permutation."""

    def __init__(self, path: str) -> None:
        arrays = np.load(path)
        self.user_ids, self.titles = arrays["user_ids"], arrays["titles"]
        self.user_rows, self.item_rows, self.ratings = (arrays[name] for name in ("user_rows", "item_rows", "ratings"))

    def log(self, start: int, stop: int) -> Log:
        n = stop - start
        users, items, ratings = (x[start:stop] for x in (self.user_rows, self.item_rows, self.ratings))
        sizes = len(self.user_ids), len(self.titles)
        return Log(users, items, np.arange(n), ratings, np.ones(n, np.float32), *sizes, in_seconds=False)

    def dataset(self, stop: int) -> sl.Dataset:
        log = self.log(0, stop)
        users, titles = self.user_ids[log.user_rows], self.titles[log.item_rows]
        return sl.Dataset.from_frames({"user_id": users, "item_id": titles.tolist(), "rating": log.ratings})


def retrieval(rows: Rows, *, seed: int, train_rows: int, epochs: int, fits: int, repeats: int) -> Results:
    """Fit some times in one process, then judge the last fit on the rows behind the training rows.

    An evaluation scores the catalogue for all users and finds both accuracies, seen items kept and removed: the
    peer's has the first only.
    """
    log, test = rows.log(0, train_rows), rows.log(train_rows, len(rows.ratings))
    laps = []
    for _ in range(fits):
        clock = Clock()
        source = fit_two_tower(log, TwoTowerSettings(epochs=epochs), seed=seed)
        laps.append(clock.lap())
    evaluate = lambda: top_k_accuracy(catalogue_scores(source, log), log, test)  # noqa: E731
    return {"laps": laps, "accuracy": evaluate()["seen_kept"], "evaluations": laps_of(evaluate, repeats)}


def ranking(
    rows: Rows,
    *,
    seed: int,
    fitted_rows: int,
    train_rows: int,
    batch_size: int,
    learning_rate: float,
    target: float,
    epochs: int,
) -> Results:
    """Fit epoch by epoch until the RMSE on the validation rows is at most the target, or the epochs are used up."""
    log, validation = rows.log(0, fitted_rows), rows.log(fitted_rows, train_rows)
    settings = RatingNetworkSettings(batch_size=batch_size, learning_rate=learning_rate)
    with one_thread():
        Network(log, settings, torch.Generator().manual_seed(seed)).run_epoch()  # not counted, as the peer's tracing
        clock = Clock()
        network = Network(log, settings, torch.Generator().manual_seed(seed))
        set_up = clock.lap()
        laps: list[list[float]] = []
        errors: list[float] = []
        while len(laps) < epochs and not (errors and errors[-1] <= target):
            clock.lap()
            network.run_epoch()
            laps.append(clock.lap())
            errors.append(mean_squared_error(network.answering_side(), validation) ** 0.5)
    return {"set_up": set_up, "laps": laps, "rmse": errors}


def biases(rows: Rows, *, seed: int, fitted_rows: int, train_rows: int, repeats: int) -> Results:
    """The rating model of the preset ``fast``, a closed form: fitted, and all validation rows predicted."""
    log, validation = rows.log(0, fitted_rows), rows.log(fitted_rows, train_rows)

    def predicted() -> np.ndarray:
        users, which = np.unique(validation.user_rows, return_inverse=True)
        queries = stored_queries(log, users, np.full(len(users), log.end), strictly_before=False)
        return RatingBias.of(log).predict(queries, which, validation.item_rows)

    return {"laps": laps_of(predicted, repeats), "rmse": [rmse(predicted(), validation.ratings)]}


def answers(rows: Rows, *, seed: int, train_rows: int, calls: int, k: int, rating_epochs: int) -> Results:
    """One user's k titles from both stages, each user in turn: three models."""
    network = {"rating_network": {"epochs": rating_epochs}}
    configs: dict[str, dict[str, Any]] = {
        "fast_200": {"preset": "fast"},
        "tutorial_200": {"preset": "tutorial", "retrieval": {"candidates": 200}, "ranking": network},
        "tutorial_10": {"preset": "tutorial", "ranking": network},
    }
    found = {}
    for name, config in configs.items():
        model = sl.train(rows.dataset(train_rows), "random", {**config, "seed": seed})
        found[name] = answer_times(lambda user, model=model: model.recommend(user, k=k), rows.user_ids.tolist(), calls)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["retrieval", "ranking", "biases", "answers"])
    parser.add_argument("rows")
    parser.add_argument("--options", type=json.loads, default={})
    arguments = parser.parse_args()
    task = {"retrieval": retrieval, "ranking": ranking, "biases": biases, "answers": answers}[arguments.task]
    result = task(Rows(arguments.rows), **arguments.options)
    print(json.dumps({**result, "versions": {"shortlist": version("shortlist"), "torch": torch.__version__}}))


if __name__ == "__main__":
    main()
