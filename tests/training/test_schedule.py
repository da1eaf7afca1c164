"""What training makes of logs large and small, and that its ranker learns from the past alone."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from shortlist.config import load_config
from shortlist.data.dataset import Dataset
from shortlist.data.split import split
from shortlist.data.synthetic import chain, shop, shuffled_items, two_tastes
from shortlist.errors import ConfigError, DataError
from shortlist.evaluation.protocol import evaluate
from shortlist.ranking.blend import Blend
from shortlist.ranking.linear import Linear
from shortlist.retrieval.popularity import ItemCounts
from shortlist.training import recipes
from shortlist.training.leaks import leaking_features
from shortlist.training.ranker import choose_ranker
from shortlist.training.schedule import prepare, train
from shortlist.training.shifts import make_shifts
from shortlist.training.sources import choose, fit_first_stage, make_plan

QUICK = {
    "preset": "fast",
    "threads": 1,
    "retrieval": {
        "candidates": 20,
        "ease": {"regularisation": [50.0], "decay": [1.0, 0.8]},
        "covisitation": {"window": [3], "popularity_power": [0.0], "decay": [0.7]},
        "popularity": {"recent": [14], "half_life": [30.0]},
    },
    "ranking": {"trees": {"max_trees": 20, "depth": 3, "step": 10}},
}


def quick(**ranking):
    return load_config(QUICK | {"ranking": QUICK["ranking"] | ranking})


def silent(sentence):
    pass


def nothing_to_learn_from(model):
    return isinstance(model.ranker, Linear) and model.record["ranker"] == "fusion" and model.record["why"]


@pytest.fixture(scope="module")
def walks():
    return chain(n_users=150, n_items=60)


@pytest.fixture(scope="module")
def walker(walks):
    return train(walks, "next", quick())


@pytest.mark.parametrize("target", ["window", "next", "random"])
@pytest.mark.parametrize("make", [two_tastes, chain, shop])
def test_every_target_on_every_log(make, target):
    said = []
    model = train(make(), target, quick(shifts=3), progress=said.append)
    assert model.target == target
    assert said
    assert model.record["ranker"]
    assert model.filter_seen == model.record["filter_seen"] == (make is not shop)
    assert ("repeats" in model.record["sources_left_out"]) == model.filter_seen
    asked = model.users["user_id"].to_list()[:5]
    assert len(model.recommend(asked, k=5)) == 25
    if target == "random":
        assert {"popularity_decayed", "popularity_recent"} <= set(model.record["sources_left_out"])
        assert not {"trend", "item_age", "user_idle", "item_position"} & set(model.record.get("features", ()))


def test_the_target_follows_from_the_times():
    assert train(two_tastes(), config=quick(ranker="fusion")).target == "window"
    untimed = two_tastes().interactions.drop("timestamp")
    assert train(Dataset.from_frames(untimed), config=quick(ranker="fusion")).target == "random"
    with pytest.raises(DataError, match="needs times"):
        train(Dataset.from_frames(untimed), "window")
    with pytest.raises(ConfigError, match="'soon'"):
        train(two_tastes(), "soon")


def test_the_next_step_of_a_walk_comes_first(walks, walker):
    assert isinstance(walker.ranker, Blend)
    validation = walker.record["validation"]
    assert validation["source popularity"] < 0.3
    users = walks.users["user_id"].to_list()
    first = walker.recommend(users, k=1)
    last = walks.interactions.group_by("user_id", maintain_order=True).last()
    steps = first.join(last, on="user_id", suffix="_last")
    assert ((steps["item_id"] - steps["item_id_last"]) % 60 == 1).mean() > 0.7


def test_trees_gain_on_a_walk(walker):
    validation = walker.record["validation"]
    assert validation["trees"] > validation["fusion"] + 0.015
    assert walker.record["gain"]["mean"] > 3 * walker.record["gain"]["standard_error"]
    assert validation["trees"] <= validation["blend"] <= walker.record["oracle"]


def test_without_structure_the_gain_vanishes():
    model = train(shuffled_items(chain(n_users=150, n_items=60)), "next", quick())
    validation = model.record["validation"]
    best = max(validation.values())
    assert best < validation["fusion"] + 0.05
    assert best < 0.5 * model.record["oracle"]


def rows_of(dataset, target="next"):
    config = quick()
    log, plan = dataset.log(), make_plan(dataset, config, target)
    shifts = make_shifts(log, target, 4, 0, True)
    plan = choose(plan, shifts[:1], True)
    return plan, log, shifts, [prepare(plan, shift, True, silent).rows for shift in shifts[1:]]


def test_shuffled_labels_destroy_the_gain(walks):
    _, _, _, rows = rows_of(walks)
    rng = np.random.default_rng(0)
    dealt_anew = [replace(one, labels=rng.permutation(one.labels)) for one in rows[:-1]]
    honest, senseless = (choose_ranker(early, rows[-1], quick()).record for early in (rows[:-1], dealt_anew))
    gain, without = (r["validation"]["trees"] - r["validation"]["fusion"] for r in (honest, senseless))
    assert gain > 0.015
    assert without < 0.005
    assert honest["ranker"] == "trees"


@pytest.mark.parametrize("target", ["window", "next"])
def test_what_comes_later_changes_no_feature(target):
    dataset = chain()
    plan, log, shifts, rows = rows_of(dataset, target)
    shift = shifts[2]
    later = log.timestamps >= shift.history.end if target == "window" else log.positions_from_end < 3
    items = log.item_rows.copy()
    items[later] = np.random.default_rng(0).permutation(items[later])
    other = make_shifts(replace(log, item_rows=items), target, 4, 0, True)[2]
    assert np.array_equal(other.history.item_rows, shift.history.item_rows)
    assert not np.array_equal(other.relevant.item_rows, shift.relevant.item_rows)
    changed = prepare(plan, other, True, silent).rows
    # A new user of a window brings the first half of its events along.
    own, others = ((one.queries.user_rows >= 0)[part.query_rows] for one, part in ((shift, rows[1]), (other, changed)))
    assert own.any()
    assert changed.features[others].tobytes() == rows[1].features[own].tobytes()
    assert changed.item_rows[others].tobytes() == rows[1].item_rows[own].tobytes()


def test_a_planted_future_feature_is_caught(walks):
    plan, log, shifts, rows = rows_of(walks)

    def honest(whole, shift):
        return fit_first_stage(plan, shift.history)

    def peeking(whole, shift):
        first = fit_first_stage(plan, shift.history)
        counts = ItemCounts.of(whole)  # of everything, the labels too
        return replace(first, features=replace(first.features, item_counts=counts))

    def all_knowing(whole, shift):
        return fit_first_stage(plan, whole)

    def caught(fit):
        return set(leaking_features(fit, log, shifts[-1], rows[-1].names, 20, True))

    assert caught(honest) == set()
    assert {"popularity", "popularity_long"} <= caught(peeking) <= {
        "popularity", "popularity_short", "popularity_long", "trend", "item_age"
    }  # fmt: skip
    assert caught(all_knowing)


@pytest.mark.parametrize(
    ("columns", "target"),
    [
        ({"user_id": [1, 1], "item_id": [1, 2]}, "random"),
        ({"user_id": [1, 1], "item_id": [1, 2]}, "next"),
        ({"user_id": [1, 2], "item_id": [7, 7], "timestamp": [1, 2]}, "window"),
        ({"user_id": [1] * 30, "item_id": list(range(30)), "timestamp": list(range(30))}, "window"),
        ({"user_id": [1] * 30, "item_id": list(range(30)), "rating": [3.0] * 30}, "next"),
        ({"user_id": list(range(30)), "item_id": [1] * 30, "timestamp": list(range(30))}, "window"),
        ({"user_id": list(range(40)), "item_id": [1, 2, 3, 4] * 10, "timestamp": list(range(40))}, "next"),
        ({"user_id": [1, 2] * 20, "item_id": [1] * 40, "timestamp": list(range(40))}, None),
        ({"user_id": [1, 2] * 20, "item_id": list(range(40)), "weight": [0.0, 1.0] * 20}, "random"),
    ],
)
def test_a_log_too_small_falls_back_to_fusion(columns, target):
    model = train(Dataset.from_frames(columns), target, quick())
    assert nothing_to_learn_from(model)
    table = model.recommend([1, "nobody"], k=3, filter_seen=False)
    assert len(table) == 2 * min(3, len(model.items))


def test_all_events_at_one_time():
    frame = two_tastes().interactions.with_columns(timestamp=1_600_000_000)
    model = train(Dataset.from_frames(frame), config=quick(shifts=3))
    assert model.target == "random"
    assert len(model.recommend(0, k=3)) == 3


def test_one_rating_value_teaches_nothing_and_breaks_nothing():
    rated = two_tastes().interactions.with_columns(rating=3.0)
    model = train(Dataset.from_frames(rated), "window", quick(shifts=3))
    predicted = model.predict_ratings(rated.head(5))["predicted_rating"]
    assert predicted.to_list() == [3.0] * 5


def test_no_ratings_no_rating_model():
    model = train(chain(), "next", quick(ranker="fusion"))
    assert not model.predicts_ratings
    assert "predicted_rating" not in model.recommend(0).columns
    with pytest.raises(ConfigError, match="no ratings"):
        train(chain(), "next", quick(ranker="rating"))


def test_only_an_order():
    frame = two_tastes().interactions.with_columns(timestamp=pl.int_range(pl.len()))
    model = train(Dataset.from_frames(frame), "window", quick(shifts=3))
    assert not model.log.in_seconds
    assert not {"item_age", "user_idle"} & set(model.ranker.feature_names)


def test_events_and_ratings_that_do_not_count():
    model = train(
        shop(), "window", load_config({"positive": {"events": ["purchase"]}, "ranking": {"ranker": "fusion"}})
    )
    assert model.record["data"]["positives"] < model.record["data"]["interactions"]
    liked = load_config({"positive": {"min_rating": 5.0}, "ranking": {"ranker": "fusion"}})
    model = train(two_tastes(), "window", liked)
    assert 0 < model.record["data"]["positives"] < len(two_tastes())
    with pytest.raises(DataError, match="none of the"):
        train(two_tastes(), "window", load_config({"positive": {"min_rating": 6.0}}))


def test_items_without_events_are_in_the_catalogue():
    dataset = two_tastes()
    items = pl.concat([dataset.items, pl.DataFrame({"item_id": [900, 901]})], how="diagonal")
    model = train(Dataset.from_frames(dataset.interactions, items), "window", quick(shifts=3))
    table = model.recommend(0, k=100, filter_seen=False)
    assert len(table) == len(items)
    assert table.tail(2)["item_id"].to_list() == [900, 901]
    assert table.tail(2)["sources"].to_list() == [["fallback"]] * 2


def test_a_catalogue_too_large_for_ease_does_without(monkeypatch):
    monkeypatch.setattr(recipes, "MAX_ITEMS", 10)
    model = train(chain(), "next", quick(shifts=3))
    assert "20" not in model.record["sources_left_out"]["ease"]
    assert "ease" not in {source.name for source in model.first.sources}
    alone = load_config({"retrieval": {"sources": ["ease"]}, "ranking": {"ranker": "fusion"}})
    assert [source.name for source in train(chain(), "next", alone).first.sources] == ["popularity"]


def test_neural_sources_are_fitted_once_for_the_shifts_and_once_more(monkeypatch):
    fitted = []
    real = recipes.TwoTower.fit

    def counting(recipe, plan, log, settings):
        fitted.append(len(log))
        return real(recipe, plan, log, settings)

    monkeypatch.setattr(recipes.TwoTower, "fit", counting)
    changes = {"retrieval": {"sources": ["popularity", "two_tower"], "candidates": 10, "two_tower": {"epochs": 1}}}
    config = load_config(QUICK | changes)
    log = two_tastes().log()
    for target in ("window", "random"):
        fitted.clear()
        train(two_tastes(), target, config)
        towers = list(fitted)
        assert towers[-1] == len(log)
        # window: on the earliest shift and on everything; random: on two folds, then on four and on everything.
        assert len(towers) == (2 if target == "window" else 7)
        assert max(towers[:-1]) < len(log)


def test_validation_figures_are_those_of_an_evaluation_on_what_was_held_out():
    """One source, nothing to choose: judged as by `evaluate` on each user's last event."""
    dataset = two_tastes()
    parts = split(dataset, "next")
    config = QUICK | {"ranking": {"ranker": "fusion"}}
    config["retrieval"] = config["retrieval"] | {
        "sources": ["ease"],
        "ease": {"regularisation": [50.0], "decay": [1.0]},
    }
    figures = train(dataset, "next", config).validation
    report = evaluate(train(parts.train, "next", config), parts.train, parts.test)
    assert figures["user_id"].to_list() == report.results[0].user_ids
    assert figures["ndcg"].to_list() == report.results[0].per_user["ndcg"].tolist()


@pytest.mark.parametrize("target", ["window", "next", "random"])
def test_who_was_judged_by_is_in_the_model(target):
    model = train(two_tastes(), target, quick())
    figures = model.validation
    assert figures.columns == ["user_id", "ndcg"]
    assert figures["user_id"].is_unique().all()
    assert figures["user_id"].is_in(model.users["user_id"]).all()
    assert figures["ndcg"].is_between(0, 1).all()
    if target == "next":  # the other targets are judged by more than the last shift
        assert figures["ndcg"].mean() > 0.3


def test_a_model_that_sorts_by_rating_is_not_judged():
    assert train(two_tastes(), "random", "tutorial").validation is None


def test_the_same_seed_gives_the_same_record():
    records = [train(two_tastes(), "window", quick(shifts=3)).record for _ in range(2)]
    for record in records:
        record.pop("fit_seconds")
    assert records[0] == records[1]
