"""Leaks that are planted must be loud; honest models must be left in peace."""

import numpy as np
import polars as pl
import pytest

import shortlist as sl
from shortlist.data.split import check_leakage, split
from shortlist.data.synthetic import chain, shop, shuffled_items, two_tastes
from shortlist.errors import LeakageError
from shortlist.evaluation.protocol import evaluate

FUSION = {"ranking": {"ranker": "fusion"}, "retrieval": {"candidates": 20}}


def test_a_callable_that_knows_the_test_is_suspicious():
    train, test = split(two_tastes(n_items=200), "random")
    taken = dict(test.interactions.group_by("user_id").agg(pl.col("item_id").unique()).iter_rows())
    report = evaluate(lambda users, k: {user: taken[user] for user in users}, train, test)
    assert "mostly come from a model that has seen the test" in report.warnings[0]
    assert "SUSPICIOUS: " in report.table()
    assert report.to_dict()["warnings"] == list(report.warnings)


def test_a_callable_that_knows_a_part_of_the_test_is_suspicious():
    train, test = split(shuffled_items(two_tastes(n_users=30, n_items=600)), "random", test_share=0.05)
    taken = dict(test.interactions.group_by("user_id").agg(pl.col("item_id").unique()).iter_rows())
    report = evaluate(lambda users, k: {user: taken[user][:4] for user in users}, train, test)
    assert 0.5 < report.metric("ndcg") < 0.7
    assert "mostly come from a model that has seen the test" in report.warnings[0]


def test_a_source_that_knows_the_test_is_suspicious():
    """The gain over the best source alone, on a random split, by a ranker that sorts by the labels."""
    train, test = split(two_tastes(n_users=120), "random")
    model = sl.train(train, "random", FUSION)
    pairs = test.interactions.select("user_id", "item_id").iter_rows()
    labels = {(user, item) for user, item in pairs}
    report = evaluate(model, train, test)
    assert report.warnings == ()
    users, items = model.users["user_id"].to_list(), model.items["item_id"].to_list()
    honest = model.rank

    def leaky(queries, allowed, k, *word):
        answers = honest(queries, allowed, len(items), *word)
        for q, one in enumerate(answers):
            user = users[queries.user_rows[q]]
            known = np.array([(user, items[row]) in labels for row in one.item_rows])
            order = np.argsort(~known, kind="stable")
            one.item_rows[:] = one.item_rows[order]
        return answers

    object.__setattr__(model, "rank", leaky)
    report = evaluate(model, train, test)
    assert any("a feature, or an attribute, may know the labels" in sentence for sentence in report.warnings)


@pytest.mark.parametrize("protocol", ["time", "next", "random"])
@pytest.mark.parametrize("make", [two_tastes, chain, shop])
def test_honest_models_are_left_in_peace(make, protocol):
    train, test = split(make(), protocol)
    target = {"time": "window"}.get(protocol, protocol)
    assert evaluate(sl.train(train, target, FUSION), train, test, protocol=protocol).warnings == ()


@pytest.mark.parametrize("protocol", ["next", "random"])
def test_copies_with_altered_times_are_refused(protocol):
    train, test = split(two_tastes(), protocol)
    copies = test.interactions.with_columns(pl.col("timestamp") - 1)
    leaky = train.with_interactions(pl.concat([train.interactions, copies]))
    with pytest.raises(LeakageError, match="look like copies with altered times"):
        check_leakage(leaky, test, protocol)


def test_data_that_repeat_are_no_copies():
    for protocol in ("time", "next", "random"):
        check_leakage(*split(shop(), protocol), protocol)


def test_some_copies_in_a_log_that_hardly_repeats_are_named():
    train, test = split(two_tastes(n_users=200), "time")
    some = test.interactions[::20].with_columns(pl.col("timestamp") - 10**7)
    leaky = train.with_interactions(pl.concat([train.interactions, some]))
    assert "look like copies with altered times" in check_leakage(leaky, test, "time")[0]
    assert check_leakage(train, test, "time") == []


def test_copies_in_a_log_that_repeats_are_named_by_their_common_distance():
    train, test = split(shop(), "time")
    assert check_leakage(train, test, "time") == []
    shifted = test.interactions.with_columns(pl.col("timestamp") - 100 * 86_400)
    leaky = train.with_interactions(pl.concat([train.interactions, shifted]))
    assert "exactly 8,640,000 seconds apart" in check_leakage(leaky, test, "time")[0]
