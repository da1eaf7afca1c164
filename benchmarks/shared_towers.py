"""What the tutorial does to its retrieval by training the rating network on the same two towers afterwards.

    python benchmarks/shared_towers.py --data FOLDER

The two-tower model is fitted and measured, its vectors are handed to the rating network as its start, that is fitted,
and the changed vectors are measured as retrieval again. The last line is JSON.
"""

import argparse
import json

import numpy as np
import torch
from tutorial_stages import ALL_ROWS, TRAIN_ROWS, catalogue_scores, split_rows, top_k_accuracy

from shortlist.data.log import Floats
from shortlist.evaluation.metrics import rmse
from shortlist.neural_settings import RatingNetworkSettings, TwoTowerSettings
from shortlist.training.loop import one_thread
from shortlist.training.ranking.rating_network import Network
from shortlist.training.retrieval.two_tower import Towers


def first_ten(scores: Floats) -> list[list[int]]:
    """Each user's ten best titles, seen ones among them."""
    best: list[list[int]] = np.argsort(-np.nan_to_num(scores, nan=-np.inf), axis=1)[:, :10].tolist()
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder with u.data and u.item")
    parser.add_argument("--epochs", type=int, default=100, help="of the rating network")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    train, test = split_rows(arguments.data, TRAIN_ROWS, ALL_ROWS)
    results = {}
    with one_thread():
        generator = torch.Generator().manual_seed(arguments.seed)
        towers = Towers(train, TwoTowerSettings(), generator)
        for _ in range(towers.settings.epochs):
            towers.run_epoch()
        scores = catalogue_scores(towers.source("two_tower"))
        first = first_ten(scores)
        results["before"] = top_k_accuracy(scores, train, test)
        network = Network(train, RatingNetworkSettings(epochs=arguments.epochs), generator)
        network.users.copy_(towers.users)
        network.items.copy_(towers.items)
        for epoch in range(1, arguments.epochs + 1):
            network.run_epoch()
            if epoch in (1, 3, 10, 30, arguments.epochs):
                towers.users.copy_(network.users)
                towers.items.copy_(network.items)
                scores = catalogue_scores(towers.source("two_tower"))
                results[f"after {epoch} epochs of the rating network"] = top_k_accuracy(scores, train, test)
    kept = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(first, first_ten(scores), strict=True)])
    predicted = network.answering_side().predict_rows(test.user_rows, test.item_rows)
    rating = {"first_ten_kept": float(kept), "rmse": rmse(predicted, test.ratings)}
    for name, accuracy in results.items():
        kept, removed = accuracy["seen_kept"]["100"], accuracy["seen_removed"]["100"]
        print(f"{name}: top-100 accuracy {kept:.4f} seen kept, {removed:.4f} seen removed")
    print(f"{kept:.1%} of the users' first ten are the same at the end; RMSE {rating['rmse']:.4f}")
    print(json.dumps({**results, **rating}))


if __name__ == "__main__":
    main()
