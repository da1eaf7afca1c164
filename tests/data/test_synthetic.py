"""The known answers are in the logs, and gone from the shuffled ones."""

import numpy as np
import polars as pl
import pytest

from shortlist.data.dataset import attribute_kind
from shortlist.data.synthetic import chain, shop, shuffled_items, two_tastes

MAKERS = [two_tastes, chain, shop]


@pytest.mark.parametrize("make", MAKERS)
def test_same_seed_same_data(make):
    assert make(seed=1).fingerprint == make(seed=1).fingerprint
    assert make(seed=1).fingerprint != make(seed=2).fingerprint
    assert shuffled_items(make(), 1).fingerprint == shuffled_items(make(), 1).fingerprint
    assert shuffled_items(make(), 1).fingerprint != shuffled_items(make(), 2).fingerprint


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(("n_users", "n_items"), [(2, 8), (9, 31), (300, 500)])
def test_sizes(make, n_users, n_items):
    dataset = make(n_users, n_items)
    assert (len(dataset.users), len(dataset.items)) == (n_users, n_items)
    assert dataset.time_kind == "seconds"
    assert dataset.interactions["timestamp"].is_sorted()


def same_group(dataset):
    groups = dataset.interactions.join(dataset.users, on="user_id").join(dataset.items, on="item_id", suffix="_item")
    return (groups["group"] == groups["group_item"]).mean()


def test_two_tastes():
    dataset = two_tastes()
    assert same_group(dataset) == 1
    assert same_group(shuffled_items(dataset)) == pytest.approx(0.5, abs=0.06)
    assert dataset.repeat_share == 0
    assert set(dataset.interactions["rating"]) == {4.0, 5.0}
    span = dataset.interactions["timestamp"].max() - dataset.interactions["timestamp"].min()
    assert 150 * 86_400 < span <= 200 * 86_400
    assert dataset.interactions["timestamp"].is_unique().all()
    kinds = {name: attribute_kind(dataset.items[name]) for name in dataset.items.columns[1:]}
    assert kinds == {"title": "text", "group": "category", "year": "number"}


def steps_of_one(dataset, n_items):
    step = (pl.col("item_id").diff().over("user_id") % n_items) == 1
    return dataset.interactions.select(step).drop_nulls().to_series().mean()


def test_chain():
    dataset = chain()
    assert steps_of_one(dataset, 30) > 0.85
    assert steps_of_one(chain(stray=0), 30) == 1
    assert steps_of_one(shuffled_items(dataset), 30) < 0.1
    assert dataset.repeat_share == 0


def test_shop():
    dataset = shop()
    assert 0.5 < dataset.repeat_share < 0.9
    assert dataset.has_ratings is False
    assert dataset.repeat_share - shuffled_items(dataset).repeat_share > 0.2
    assert dataset.log(events=["purchase"]).positives().end == dataset.log().end
    assert 0 < (dataset.interactions["event"] == "view").mean() < 0.3


@pytest.mark.parametrize("make", MAKERS)
def test_shuffled_keeps_all_but_the_link(make):
    dataset, shuffled = make(), shuffled_items(make())
    other = pl.all().exclude("item_id")
    assert shuffled.interactions.select(other).equals(dataset.interactions.select(other))
    assert shuffled.interactions["item_id"].sort().equals(dataset.interactions["item_id"].sort())
    assert (shuffled.interactions["item_id"] == dataset.interactions["item_id"]).mean() < 0.2
    assert shuffled.name == f"{make.__name__}, shuffled"
    assert shuffled.items.equals(dataset.items)
    assert np.all(shuffled.log().timestamps == dataset.log().timestamps)
    if dataset.repeat_share == 0:
        assert shuffled.repeat_share < 0.01
