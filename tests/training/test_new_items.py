"""Items come and go, and what users take up follows from an attribute: who asks shall see what came today."""

import numpy as np
import polars as pl
import pytest

from shortlist.config import load_config
from shortlist.data.dataset import Dataset
from shortlist.data.split import split
from shortlist.data.synthetic import two_tastes
from shortlist.evaluation.protocol import evaluate
from shortlist.training.schedule import train
from shortlist.training.shifts import make_shifts
from shortlist.training.sources import choose, fit_first_stage, make_plan, share_of_new

DAY = 86_400
N_STYLES, LIFE, DAYS = 12, 15, 120
SETTINGS = {
    "threads": 1,
    "filter_seen": True,
    "retrieval": {
        "candidates": 40,
        "ease": {"regularisation": [50.0], "decay": [0.9]},
        "covisitation": {"window": [5], "popularity_power": [0.0], "decay": [0.8]},
        "popularity": {"recent": [14], "half_life": [7.0]},
        "als": {"regularisation": [0.2], "decay": [0.9], "dimension": 8},
        "content": {"decay": [1.0], "dimension": 16},
    },
    "ranking": {"shifts": 3, "rating_model": "none", "trees": {"max_trees": 40, "depth": 4}},
}
WITHOUT = ["popularity", "popularity_decayed", "popularity_recent", "ease", "covisitation", "als"]


def fashion(n_users=150, n_items=240, n_events=24, seed=0):
    """An item lives for two weeks; a user takes up what lives and is of one of two styles."""
    rng = np.random.default_rng(seed)
    styles, born = rng.integers(0, N_STYLES, n_items), rng.integers(-LIFE, DAYS, n_items)
    events = []
    for user in range(n_users):
        liked, taken = rng.permutation(N_STYLES)[:2], set()
        for day in np.sort(rng.uniform(0, DAYS, n_events)):
            lives = np.flatnonzero(np.isin(styles, liked) & (born <= day) & (day < born + LIFE))
            left = sorted(set(lives.tolist()) - taken)
            if left:
                taken.add(item := int(rng.choice(left)))
                events.append((user, item, int(day * DAY)))
    events = pl.DataFrame(events, schema=["user_id", "item_id", "timestamp"], orient="row")
    items = pl.DataFrame({"item_id": np.arange(n_items), "style": [f"style {style}" for style in styles]})
    return Dataset.from_frames(events, items=items)


def settings(sources):
    return load_config(SETTINGS | {"retrieval": SETTINGS["retrieval"] | {"sources": sources}})


@pytest.fixture(scope="module")
def trained():
    parts = split(fashion(), "time")
    return parts, [train(parts.train, "window", settings(sources)) for sources in (WITHOUT, [*WITHOUT, "content"])]


def test_content_puts_new_items_on_top_where_new_items_are_what_users_take_up(trained):
    parts, (without, with_content) = trained
    touched = parts.train.interactions["item_id"].unique().implode()
    shown = [
        model.recommend(parts.train.users["user_id"].to_list()).filter(~pl.col("item_id").is_in(touched))
        for model in (without, with_content)
    ]
    assert len(shown[0]) == 0
    test = parts.test.interactions.select("user_id", "item_id")
    taken = shown[1].join(test, on=["user_id", "item_id"])
    n_new = len(test.filter(~pl.col("item_id").is_in(touched)))
    assert len(taken) > 0.3 * n_new
    assert with_content.record["share_of_new"] == with_content.first.new_share > 0.3


def test_which_more_than_doubles_the_accuracy(trained):
    parts, models = trained
    before, after = (evaluate(model, parts.train, parts.test, protocol="time").metric("ndcg", k=10) for model in models)
    assert after > 2 * before


def test_the_share_of_new_items_is_counted():
    dataset = fashion()
    shifts = make_shifts(dataset.log(), "window", 2, 0, True)[:2]
    shares = []
    for shift in shifts:
        touched = set(shift.history.item_rows[shift.history.weights > 0].tolist())
        labelled = shift.relevant.item_rows.tolist()
        shares.append(sum(item not in touched for item in labelled) / len(labelled))
    assert min(shares) > 0.3
    assert share_of_new(shifts) == pytest.approx(min(0.5, np.mean(shares)), abs=1e-4)
    plan = choose(make_plan(dataset, settings(["popularity", "content"]), "window"), shifts[:1], True)
    assert plan.new_share == share_of_new(shifts[:1])
    assert fit_first_stage(plan, dataset.log()).new_share == plan.new_share


def test_where_all_items_are_known_a_hundredth_of_the_places_is_kept():
    assert share_of_new(make_shifts(two_tastes().log(), "random", 2, 0, True)) == 0.01
