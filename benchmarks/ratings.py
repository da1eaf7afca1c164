"""Predicted ratings on the five published splits of MovieLens 100K, u1 to u5.

    python benchmarks/ratings.py --data FOLDER                 every model on every fold, the calibration, the cost
    python benchmarks/ratings.py --data FOLDER --peer          myFM's own recipe on the same folds beside them
    python benchmarks/ratings.py --data FOLDER --validation --set rank=16 --set chains=1
                                                               one trial of settings: nine tenths of u3.base, judged on
                                                               the rest, drawn by numpy.random.default_rng(0)

FOLDER holds u.item, u.user, u1.base, u1.test and so on. Each model is trained by `shortlist.train` with the preset
``ratings`` and asked by `predict_ratings`, with and without the time of each test rating. RMSE is the mean over folds;
its 95% interval comes from resampling users (each with all their ratings in all folds). The last line is JSON.
"""

import argparse
import json
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import scipy.sparse as sp
from numpy.typing import NDArray

import shortlist as sl
from shortlist.evaluation.metrics import rmse
from shortlist.training.ranking.rating_features import BINS, make_design, normalised, one_hot

Doubles = NDArray[np.float64]
RESAMPLES = 2_000
LIKED = 4.0
ONE_CHAIN = {"rating_factorization": {"chains": 1}}
MODELS: dict[str, dict[str, Any]] = {
    "biases": {"rating_model": "bias"},
    "network": {"rating_model": "network", "rating_network": {"averaging": 0.9}},
    "factorization, one chain": ONE_CHAIN,
    "factorization (preset ratings)": {},
}


def read(path: Path) -> pl.DataFrame:
    table = np.loadtxt(path, dtype=np.int64)
    names = ("user_id", "item_id", "rating", "timestamp")
    return pl.DataFrame(dict(zip(names, table.T, strict=True))).with_columns(pl.col("rating").cast(pl.Float64))


def predictions(train: sl.Dataset, test: pl.DataFrame, ranking: dict[str, Any]) -> dict[str, Any]:
    """What one model predicts for the test rows, and what it cost."""
    start = time.process_time()
    model = sl.train(train, config={"preset": "ratings", "threads": 1, "ranking": ranking})
    cpu_seconds = time.process_time() - start
    asked = test.select("user_id", "item_id", "timestamp")
    found: dict[str, Any] = {
        "cpu_seconds": cpu_seconds,
        "with the day": model.predict_ratings(asked)["predicted_rating"].to_numpy(),
        "without": model.predict_ratings(asked.drop("timestamp"))["predicted_rating"].to_numpy(),
    }
    if model.config.ranking.rating_model == "factorization":
        rating_model: Any = model.first.features.rating_model
        arrays = [getattr(rating_model, field.name) for field in fields(rating_model)]
        found["kilobytes"] = sum(array.nbytes for array in arrays if isinstance(array, np.ndarray)) / 1000
        found["milliseconds"] = milliseconds(model)
        found["probability"] = {
            t: model.predict_ratings(asked, at_least=t)["probability"].to_numpy() for t in (2.0, 3.0, 4.0, 5.0)
        }
    return found


def milliseconds(model: sl.Cascade, n_items: int = 200, repeats: int = 200) -> dict[str, float]:
    """Median time to predict 200 items for one user: a fitted one, and one known by a history of 100 alone."""
    rating_model: Any = model.first.features.rating_model
    medians = {}
    for kind, user, history in (("fitted", 1, None), ("from 100 ratings", "nobody", a_history(model, 100))):
        queries = model.request([user], history=history).queries
        pairs = np.zeros(n_items, dtype=np.int64), np.arange(n_items, dtype=np.int32)
        seconds = []
        for _ in range(repeats):
            start = time.perf_counter()
            rating_model.predict(queries, *pairs)
            seconds.append(time.perf_counter() - start)
        medians[kind] = float(np.median(seconds)) * 1000
    return medians


def a_history(model: sl.Cascade, n: int) -> pl.DataFrame:
    items = model.items["item_id"].gather(model.log.item_rows[:n])
    return pl.DataFrame({"item_id": items, "rating": model.log.ratings[:n], "timestamp": model.log.timestamps[:n]})


def myfm_recipe(train: sl.Dataset, test: pl.DataFrame, head: str) -> dict[str, Any]:
    """myFM's notebook ml-100k-extended: rank 10, 512 iterations, all samples, its own priors.

    Its features: date; user, occupation, first figure of the zip code, age in ten bins, rated items; item, year in ten
    bins, genres, raters.
    """
    import myfm

    start = time.process_time()
    log = train.log()
    design = make_design(log)
    users = (
        sp.identity(log.n_users),
        *(categories(column) for column in (train.users["occupation"], train.users["zip_code"].str.head(1))),
        binned(train.users["age"]),
        design.taken_up,
    )
    raters = sp.csr_matrix((np.ones(len(log)), (log.item_rows, log.user_rows)), shape=(log.n_items, log.n_users))
    genres = train.items["genres"].list.eval(pl.element())
    listed = pl.DataFrame({"row": np.arange(log.n_items), "genre": genres}).explode("genre").drop_nulls()
    items = (
        sp.identity(log.n_items),
        binned(train.items["year"]),
        categories(listed["genre"], listed["row"].to_numpy(), log.n_items),
        normalised(raters),
    )
    rows = {
        name: (train.users["user_id"], train.items["item_id"])[name == "item_id"] for name in ("user_id", "item_id")
    }
    places = {name: dict(zip(ids, range(len(ids)), strict=True)) for name, ids in rows.items()}
    of_user, of_item = (test[name].replace_strict(places[name]).to_list() for name in ("user_id", "item_id"))
    blocks = sp.hstack(users, format="csr"), sp.hstack(items, format="csr")
    fitted = [myfm.RelationBlock(r.tolist(), b) for r, b in zip((log.user_rows, log.item_rows), blocks, strict=True)]
    asked = [myfm.RelationBlock(r, b) for r, b in zip((of_user, of_item), blocks, strict=True)]
    numbers = test["timestamp"].to_numpy() // 86_400
    days = np.searchsorted(design.day_numbers, numbers)
    known = np.append(design.day_numbers, -1)[days] == numbers
    sizes = [len(design.day_numbers), *(group.shape[1] for group in (*users, *items))]
    cls = myfm.MyFMOrderedProbit if head == "probit" else myfm.MyFMRegressor
    targets = (log.ratings - 1).astype(int) if head == "probit" else log.ratings
    machine = cls(rank=10, random_seed=0)
    machine.fit(design.days, targets, X_rel=fitted, group_shapes=sizes, n_iter=512, n_kept_samples=512,
                callback=lambda *_: (False, None))  # fmt: skip
    cpu_seconds = time.process_time() - start
    found: dict[str, Any] = {"cpu_seconds": cpu_seconds}
    for name, rows_of_day in (("with the day", np.where(known, days, -1)), ("without", np.full(len(test), -1))):
        features = one_hot(rows_of_day, len(design.day_numbers))
        if head == "probit":
            found[name] = 1 + machine.predict_proba(features, asked) @ np.arange(5)
        else:
            found[name] = np.clip(machine.predict(features, asked), 1, 5)
    return found


def categories(values: pl.Series, rows: NDArray[np.int64] | None = None, n_rows: int = 0) -> sp.csr_matrix:
    """A one for each row's value, or for each of the pairs (row, value)."""
    found, places = np.unique(values.fill_null("").to_numpy().astype(str), return_inverse=True)
    if rows is None:
        return one_hot(places, len(found))
    return sp.csr_matrix((np.ones(len(rows)), (rows, places)), shape=(n_rows, len(found)))


def binned(values: pl.Series) -> sp.csr_matrix:
    numbers = values.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    edges = np.unique(np.nanquantile(numbers, np.linspace(0, 1, BINS + 1)[1:-1]))
    return one_hot(np.where(np.isnan(numbers), -1, np.searchsorted(edges, numbers, side="right")), len(edges) + 1)


class Errors:
    """Squared errors per user and fold, for the mean RMSE over folds and its interval."""

    def __init__(self, n_folds: int) -> None:
        self.sums, self.counts = np.zeros((2, 1_000, n_folds))

    def add(self, fold: int, test: pl.DataFrame, predicted: NDArray[np.floating]) -> None:
        squares = np.square(predicted.astype(np.float64) - test["rating"].to_numpy())
        np.add.at(self.sums[:, fold], test["user_id"].to_numpy(), squares)
        np.add.at(self.counts[:, fold], test["user_id"].to_numpy(), 1)

    def folds(self) -> Doubles:
        return np.sqrt(self.sums.sum(axis=0) / self.counts.sum(axis=0))

    def resampled(self) -> Doubles:
        """float64 (RESAMPLES,): the mean over folds when users are drawn with replacement; the same draws each time."""
        users = np.flatnonzero(self.counts.sum(axis=1))
        rng = np.random.default_rng(0)
        drawn = rng.multinomial(len(users), np.full(len(users), 1 / len(users)), size=RESAMPLES)
        return np.sqrt((drawn @ self.sums[users]) / (drawn @ self.counts[users])).mean(axis=1)

    def summary(self, than: "Errors | None") -> dict[str, Any]:
        low, high = np.quantile(self.resampled(), [0.025, 0.975]).tolist()
        found = {"mean": float(self.folds().mean()), "low": low, "high": high, "folds": self.folds().tolist()}
        if than is not None:
            difference = self.resampled() - than.resampled()
            found["than_preset"] = [
                float((self.folds() - than.folds()).mean()),
                *np.quantile(difference, [0.025, 0.975]).tolist(),
            ]
        return found


def calibration(probability: NDArray[np.floating], reached: NDArray[np.bool_], n_bins: int = 10) -> dict[str, Any]:
    """Expected calibration error over bins of equal width, and the bins."""
    bins = np.minimum((probability * n_bins).astype(int), n_bins - 1)
    table = [
        {
            "from": b / n_bins,
            "n": int((bins == b).sum()),
            "predicted": float(probability[bins == b].mean()),
            "observed": float(reached[bins == b].mean()),
        }
        for b in range(n_bins)
        if (bins == b).any()
    ]
    error = sum(row["n"] * abs(row["predicted"] - row["observed"]) for row in table) / len(probability)
    brier = float(np.square(probability - reached).mean())
    return {"expected_calibration_error": error, "brier": brier, "bins": table}


def settings_of(pairs: list[str]) -> dict[str, Any]:
    return {name: json.loads(value) for name, _, value in (pair.partition("=") for pair in pairs)}


def validate(whole: sl.Dataset, folder: Path, changes: dict[str, Any]) -> None:
    base = read(folder / "u3.base")
    order = np.random.default_rng(0).permutation(len(base))
    held_out, fitted = (base[np.sort(part)] for part in np.split(order, [len(base) // 10]))
    found = predictions(whole.with_interactions(fitted), held_out, {"rating_factorization": changes})
    actual = held_out["rating"].to_numpy()
    figures = {name: rmse(found[name], actual) for name in ("with the day", "without")}
    print(json.dumps({"settings": changes, "rmse": figures, "cpu_seconds": found["cpu_seconds"]}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--folds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--peer", action="store_true")
    parser.add_argument("--validation", action="store_true")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="of rating_factorization")
    arguments = parser.parse_args()
    whole = sl.movielens("100k", arguments.data)
    changes = settings_of(arguments.set)
    if arguments.validation:
        return validate(whole, arguments.data, changes)
    results, calibrations = measure(whole, arguments, changes)
    for name, figures in results.items():
        print(name, {key: value for key, value in figures.items() if key != "folds"}, figures.get("folds"))
    print(json.dumps({"results": results, "calibration": calibrations, "settings": changes}))
    return None


def measure(
    whole: sl.Dataset, arguments: argparse.Namespace, changes: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    errors: dict[str, Errors] = {}
    costs: dict[str, list[dict[str, Any]]] = {}
    told: dict[float, list[NDArray[np.floating]]] = {}
    actual: list[Doubles] = []
    for place, fold in enumerate(arguments.folds):
        base, test = (read(arguments.data / f"u{fold}.{part}") for part in ("base", "test"))
        train = whole.with_interactions(base)
        mean = np.full(len(test), float(base["rating"].mean()))
        found: dict[str, dict[str, Any]] = {"mean": {"with the day": mean, "without": mean, "cpu_seconds": 0.0}}
        for name, ranking in MODELS.items():
            own = ranking.get("rating_factorization", {})
            found[name] = predictions(train, test, ranking | {"rating_factorization": changes | own})
        if arguments.peer:
            found |= {f"myFM, {head}": myfm_recipe(train, test, head) for head in ("regression", "probit")}
        for name, one in found.items():
            for kind in ("with the day", "without"):
                errors.setdefault(f"{name}, {kind}", Errors(len(arguments.folds))).add(place, test, one[kind])
            costs.setdefault(name, []).append(
                {k: one[k] for k in ("cpu_seconds", "kilobytes", "milliseconds") if k in one}
            )
            print(f"u{fold}", name, round(rmse(one["with the day"], test["rating"].to_numpy()), 4), flush=True)
        for t, probability in found["factorization (preset ratings)"]["probability"].items():
            told.setdefault(t, []).append(probability)
        actual.append(test["rating"].to_numpy())
    preset = errors["factorization (preset ratings), with the day"]
    results: dict[str, Any] = {name: one.summary(None if one is preset else preset) for name, one in errors.items()}
    results["cost"] = costs
    ratings = np.concatenate(actual)
    return results, {str(t): calibration(np.concatenate(told[t]), ratings >= t) for t in told}


if __name__ == "__main__":
    main()
