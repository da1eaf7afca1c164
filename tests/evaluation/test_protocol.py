"""Evaluation against answers known by hand, and against itself asked in another way."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pytest

import shortlist as sl
from shortlist.config import PositiveSettings
from shortlist.data.split import split
from shortlist.data.synthetic import chain, shop, two_tastes
from shortlist.errors import ConfigError, DataError, LeakageError, QueryError
from shortlist.evaluation.protocol import evaluate
from shortlist.evaluation.questions import infer_protocol

FUSION = {"ranking": {"ranker": "fusion"}, "retrieval": {"candidates": 100}}


def dataset(rows, **columns):
    """A data set of (user, item, time) rows."""
    users, items, times = zip(*rows, strict=True)
    return sl.Dataset.from_frames({"user_id": users, "item_id": items, "timestamp": times} | columns)


@pytest.fixture(scope="module")
def next_case():
    train, test = split(chain(), "next")
    return train, test, sl.train(train, "next", FUSION)


@pytest.fixture(scope="module")
def time_case():
    """Two tastes by time; two more users come after the cut, one with five events and one with a single one."""
    whole = two_tastes()
    train, test = split(whole, "time")
    late = int(test.interactions["timestamp"].max())
    new = pl.DataFrame(
        {
            "user_id": [100] * 5 + [101],
            "item_id": [0, 2, 4, 6, 8, 3],
            "timestamp": [late + 10, late + 20, late + 30, late + 40, late + 50, late + 60],
            "rating": [4.0] * 6,
        }
    )
    test = test.with_interactions(pl.concat([test.interactions, new.select(test.interactions.columns)]))
    return train, test, sl.train(train, "window", FUSION)


def oracle(test):
    taken = dict(test.interactions.group_by("user_id", maintain_order=True).agg(pl.col("item_id").unique()).iter_rows())
    return lambda users, k: {user: taken[user] for user in users}


# By hand --------------------------------------------------------------------------------------------------------------

TRAIN = [(1, "a", 1), (1, "b", 2), (2, "a", 3), (2, "c", 4), (3, "a", 5), (3, "b", 6), (3, "d", 7)]
TEST = [(1, "c", 8), (2, "b", 9), (3, "z", 10)]


def test_figures_by_hand():
    answers = {1: ["d", "c"], 2: ["b", "d"], 3: ["c"]}
    report = evaluate(lambda users, k: answers, dataset(TRAIN), dataset(TEST), protocol="next", k=2)
    assert report.metric("ndcg") == pytest.approx((1 / np.log2(3) + 1 + 0) / 3)
    assert report.metric("hit_rate", k=2) == pytest.approx(2 / 3)
    assert report.metric("mrr") == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert report.metric("precision") == pytest.approx((1 / 2 + 1 / 2 + 0) / 3)
    head = report.results[0]
    assert head.top_k_accuracy[1] == pytest.approx(1 / 3)
    assert head.top_k_accuracy[5] == pytest.approx(2 / 3)
    assert head.coverage == pytest.approx(3 / 5)  # b, c, d of a, b, c, d, z
    assert report.data["unknown_items"] == 1
    assert report.data["unknown_item_rows"] == 1
    assert head.n_rows == 3


def test_baselines_by_hand():
    """Counts a 3, b 2, c 1, d 1; unseen: user 1 has c, d; user 2 has b, d; user 3 has c. After c came nothing."""
    report = evaluate(lambda users, k: [[]] * len(users), dataset(TRAIN), dataset(TEST), protocol="next", k=1)
    by_name = {one.name: one for one in report.results[0].baselines}
    assert by_name["popularity"].per_user["hit_rate"].tolist() == [1, 1, 0]
    # After b (user 1) came d once; after c and d nothing, so popularity decides.
    assert by_name["co-visitation of the last item"].per_user["hit_rate"].tolist() == [0, 1, 0]
    assert by_name["popularity"].differences["hit_rate"].interval.mean == pytest.approx(-2 / 3)


def test_seen_items_removed_and_kept():
    train = dataset([(1, "a", 1), (1, "b", 2), (2, "a", 3)])
    test = dataset([(1, "a", 8), (1, "c", 9), (2, "a", 10)])
    report = evaluate(lambda users, k: [["a", "c"]] * len(users), train, test, protocol="time", k=2)
    kept, removed = report.result(seen="kept"), report.result(seen="removed")
    assert kept.metrics["recall"].mean == 1.0
    assert kept.n_rows == 3
    assert removed.per_user["mrr"][0] == 1.0  # a is struck out, c moves up
    assert np.isnan(removed.per_user["mrr"][1])
    assert (removed.without_relevant, kept.without_relevant) == (1, 0)
    assert removed.metrics["mrr"].n == 1
    assert removed.n_rows == 1
    assert "2 seen items were struck" in report.notes[0]


# Known ends -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["time", "next", "random"])
def test_an_oracle_is_perfect_and_chance_is_not(protocol):
    train, test = split(two_tastes(n_items=400, n_users=20), protocol)
    best = evaluate(oracle(test), train, test, protocol=protocol, k=300)
    for metric in ("ndcg", "recall", "hit_rate", "mrr", "map"):
        assert best.metric(metric) == 1.0
    rng = np.random.default_rng(0)
    items = train.items["item_id"].to_list()
    chance = evaluate(lambda users, k: [rng.permutation(items)[:k] for _ in users], train, test, protocol=protocol)
    assert chance.metric("ndcg") < 0.35
    assert chance.metric("ndcg") < best.metric("ndcg") / 2


def test_the_popularity_baseline_is_what_a_popularity_callable_gets(next_case):
    train, test, _ = next_case
    counts = np.bincount(train.item_vocabulary.rows(train.interactions["item_id"]), minlength=len(train.items))
    order = train.items["item_id"].gather(np.argsort(-counts, kind="stable")).to_list()
    report = evaluate(lambda users, k: [order] * len(users), train, test)
    for seen in ("removed", "kept"):
        result = report.result(seen=seen)
        baseline = result.baselines[0]
        assert baseline.name == "popularity"
        for metric in result.per_user:
            assert result.per_user[metric].tolist() == baseline.per_user[metric].tolist()
        difference = baseline.differences["ndcg"]
        assert (difference.interval.mean, difference.interval.low, difference.interval.high) == (0, 0, 0)
        assert difference.p == 1.0
    assert report.verdict.startswith(("Not clearly different", "Worse"))


def test_the_co_visitation_baseline_finds_the_chain():
    train, test = split(chain(stray=0), "next")
    report = evaluate(lambda users, k: [[]] * len(users), train, test, k=1)
    last = report.results[0].baselines[-1]
    assert last.means["hit_rate"] == 1.0


# The same in another way ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_what", ["polars", "pandas", "mapping", "lists"])
def test_a_cascade_and_its_lists_give_the_same_figures(next_case, as_what):
    train, test, model = next_case
    whole = evaluate(model, train, test, protocol="next")

    def recommend(users, k):
        table = model.recommend(users, k=k)
        by_user = {user: part["item_id"].to_list() for (user,), part in table.group_by("user_id", maintain_order=True)}
        forms = {
            "polars": table.sample(fraction=1, shuffle=True, seed=1),
            "pandas": table.to_pandas(),
            "mapping": by_user,
            "lists": [by_user[user] for user in users],
        }
        return forms[as_what]

    lists = evaluate(recommend, train, test, protocol="next")
    assert whole.result(seen="removed").user_ids == lists.result(seen="removed").user_ids
    for metric, values in whole.result(seen="removed").per_user.items():
        assert values.tolist() == lists.result(seen="removed").per_user[metric].tolist()
    assert whole.result(seen="removed").metrics == lists.result(seen="removed").metrics
    assert whole.result(seen="removed").top_k_accuracy == lists.result(seen="removed").top_k_accuracy
    assert whole.result(seen="removed").coverage == lists.result(seen="removed").coverage
    assert lists.result().stages is None


def test_a_shortlist_shorter_than_the_deep_lists_changes_no_answer(next_case):
    train, test, model = next_case
    report = evaluate(model, train, test, n=3, k=5)
    short = replace(model, config=sl.load_config({"ranking": {"ranker": "fusion"}, "retrieval": {"candidates": 3}}))
    for seen in ("removed", "kept"):
        lists = evaluate(
            lambda users, k, seen=seen: short.recommend(users, k=5, filter_seen=seen == "removed"), train, test, k=5
        )
        assert lists.result(seen=seen).metrics == report.result(seen=seen).metrics
    assert report.n == report.results[0].stages.n == 3


def test_the_order_of_the_files_does_not_matter(time_case):
    train, test, model = time_case
    shuffled = test.with_interactions(test.interactions.sample(fraction=1, shuffle=True, seed=3))
    one, other = (evaluate(model, train, part, seed=5).to_dict() for part in (test, shuffled))
    for report in (one, other):
        del report["latency_ms"], report["seconds"]
    assert one == other


# Protocols and users --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["time", "next", "random"])
def test_the_protocol_is_read_off_the_data(protocol):
    train, test = split(chain(), protocol)
    assert infer_protocol(train, test) == protocol


def test_new_users_are_folded_in_apart(time_case):
    train, test, model = time_case
    report = evaluate(model, train, test)
    counts = report.users
    assert (counts.fold_in, counts.not_askable, counts.without_positive) == (1, 1, 0)
    assert counts.warm + counts.fold_in + counts.not_askable == counts.in_test
    folded = report.result(users="fold_in")
    assert folded.user_ids == [100]
    assert folded.n_rows == 3  # 0 and 2 are the history, 4, 6 and 8 are to be found
    at = int(test.interactions.filter((pl.col("user_id") == 100) & (pl.col("item_id") == 4))["timestamp"][0])
    listed = model.recommend(100, k=10, at=at, history=[0, 2])["item_id"].to_list()
    assert folded.per_user["precision"].tolist() == [len({4, 6, 8} & set(listed)) / 10]
    assert 100 not in report.result(users="warm").user_ids


def test_a_callable_is_not_asked_for_users_who_need_a_history(time_case):
    train, test, _ = time_case
    asked = []
    report = evaluate(lambda users, k: asked.extend(users) or [[]] * len(users), train, test)
    assert 100 not in asked
    assert [one.users for one in report.results] == ["warm", "warm"]
    assert report.notes[0].startswith("1 new users were not asked")


def test_nobody_to_ask():
    train = dataset([(1, "a", 1), (1, "b", 2)])
    with pytest.raises(DataError, match="nobody can be asked: of 2 test users 2 are new with a single event"):
        evaluate(lambda users, k: [], train, dataset([(2, "a", 5), (3, "b", 6)]), protocol="time")
    with pytest.raises(DataError, match="a callable cannot be given their histories"):
        evaluate(lambda users, k: [], train, dataset([(2, "a", 5), (2, "b", 6)]), protocol="time")


def test_only_positives_are_to_be_found():
    train = dataset([(1, "a", 1), (2, "b", 2), (1, "b", 3)], rating=[5, 5, 5])
    test = dataset([(1, "c", 4), (1, "d", 5), (2, "c", 6)], rating=[5, 1, 1])
    report = evaluate(
        lambda users, k: [["d", "c"]], train, test, protocol="time", positive=PositiveSettings(min_rating=4)
    )
    assert report.users.without_positive == 1
    assert report.metric("mrr") == 0.5
    assert report.metric("recall") == 1.0


# Leaks ----------------------------------------------------------------------------------------------------------------


def test_a_planted_leak_is_refused(next_case):
    train, test, model = next_case
    leaky = train.with_interactions(pl.concat([train.interactions, test.interactions[:1]]))
    with pytest.raises(LeakageError, match="are in the test too"):
        evaluate(model, leaky, test, protocol="next")
    with pytest.raises(LeakageError, match="are in the test too"):
        evaluate(lambda users, k: [], leaky, test)


def test_a_model_that_knows_the_test_is_refused(next_case):
    train, test, _ = next_case
    with pytest.raises(LeakageError, match="are in the test too"):
        evaluate(sl.train(chain(), "next", FUSION), train, test, protocol="next")


def test_a_model_of_other_events_is_named(next_case):
    train, test, _ = next_case
    fewer = train.with_interactions(train.interactions[:-50])
    report = evaluate(sl.train(fewer, "next", FUSION), train, test, protocol="next")
    assert f"the model was trained on {len(fewer)} events that are not the {len(train)} given" in " ".join(
        report.leakage
    )


def test_the_leakage_check_stands_at_the_head():
    train, test = split(two_tastes(), "random")
    report = evaluate(lambda users, k: [[]] * len(users), train, test)
    assert "later than the first test event" in report.leakage[0]
    assert report.table().splitlines()[2].startswith("Leakage: ")


# Stages ---------------------------------------------------------------------------------------------------------------


def test_the_stages_agree_with_each_other(next_case):
    train, test, model = next_case
    stages = evaluate(model, train, test, n=5).results[0].stages
    for source in stages.sources:
        assert source.recall <= stages.recall_union
        assert source.ndcg_same_candidates <= stages.ndcg_oracle
    assert stages.recall_candidates <= stages.recall_union
    assert stages.ndcg_oracle == pytest.approx(stages.recall_candidates)  # one relevant item each: all or nothing
    assert stages.ndcg_fusion == stages.ndcg_ranker  # fusion is the ranker here
    assert stages.ranker_lift.interval.mean == 0
    assert {source.name for source in stages.sources} >= {"ease", "covisitation", "popularity"}


def test_source_figures_are_those_of_the_source_as_a_callable(next_case):
    train, test, model = next_case
    (source,) = (one for one in model.first.sources if one.name == "covisitation")

    def alone(users, k):
        queries = model.request(users).queries
        allowed = np.ones((len(queries), len(model.items)), dtype=bool)
        allowed[queries.event_queries, queries.item_rows] = False
        return [model.items["item_id"].gather(rows).to_list() for rows in source.propose(queries, k, allowed)]

    stages = evaluate(model, train, test, n=5, k=5).results[0].stages
    (figures,) = (one for one in stages.sources if one.name == "covisitation")
    report = evaluate(alone, train, test, k=5)
    assert figures.ndcg_alone == pytest.approx(report.metric("ndcg"))
    assert figures.recall == pytest.approx(report.metric("recall"))


def test_trees_beside_fusion_on_the_same_candidates():
    """The ranker's own figure moves with the ranker; what retrieval found does not."""
    train, test = split(two_tastes(), "time")
    trees = sl.train(train, "window", {"ranking": {"trees": {"max_trees": 5}}, "retrieval": {"candidates": 15}})

    class Backwards:
        feature_names = ("fusion",)

        def score(self, features):
            return -features[:, 0].astype(np.float64)

    a, b = (evaluate(model, train, test).results[0].stages for model in (trees, replace(trees, ranker=Backwards())))
    assert (a.recall_union, a.recall_candidates, a.ndcg_fusion, a.ndcg_oracle) == (
        b.recall_union,
        b.recall_candidates,
        b.ndcg_fusion,
        b.ndcg_oracle,
    )
    assert b.ndcg_ranker < a.ndcg_ranker
    assert b.ranker_lift.interval.high < 0


# Ratings and refusals -------------------------------------------------------------------------------------------------


def test_rating_errors(time_case):
    train, test, model = time_case
    ratings = evaluate(model, train, test).ratings
    actual = test.interactions["rating"].to_numpy()
    predicted = model.predict_ratings(test.interactions.select("user_id", "item_id"))["predicted_rating"].to_numpy()
    assert ratings.rmse == pytest.approx(np.sqrt(((predicted - actual) ** 2).mean()))
    assert ratings.rmse_mean == pytest.approx(np.sqrt(((train.interactions["rating"].mean() - actual) ** 2).mean()))
    assert ratings.n == len(test)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({1: ["a", "a"]}, "recommends 'a' to user 1 more than once"),
        ({9: ["a"]}, "recommends to user 9, who was not asked"),
        ({1: ["q"]}, "recommends 'q' to user 1, but the catalogue has no such item"),
        ({1: [7]}, "its ids are of the kind string, for example 'a'"),
        ([["a"]], "asked for 3 users and answered 1 lists"),
        ("abc", "expected a table .* got str"),
        (None, "expected a table .* got NoneType"),
        (pd.DataFrame({"user": [1], "item_id": ["a"]}), "expected the columns 'user_id' and 'item_id'"),
        (pl.DataFrame({"user_id": [1, 4], "item_id": ["a", "a"]}), "recommends to user 4, who was not asked"),
    ],
)
def test_what_cannot_be_an_answer(answer, message):
    with pytest.raises(DataError, match=message):
        evaluate(lambda users, k: answer, dataset(TRAIN), dataset(TEST), protocol="next")


def test_what_cannot_be_a_model_or_a_length(next_case):
    train, test, model = next_case
    with pytest.raises(ConfigError, match="expected a Cascade or a callable"):
        evaluate("fast", train, test)
    with pytest.raises(ConfigError, match="n: expected a whole number of candidates"):
        evaluate(model, train, test, n=0)
    with pytest.raises(QueryError, match="k: expected"):
        evaluate(model, train, test, k=0)


def test_a_log_that_repeats_keeps_seen_items_in_the_headline():
    train, test = split(shop(), "time")
    report = evaluate(lambda users, k: [[]] * len(users), train, test)
    assert report.results[0].seen == "kept"
    assert json.loads(report.to_json())["results"][1]["seen"] == "removed"


def test_progress_is_told(next_case):
    train, test, model = next_case
    said = []
    evaluate(model, train, test, progress=said.append)
    assert any("asking the model for 60 users, seen items removed" in sentence for sentence in said)


# Rows -----------------------------------------------------------------------------------------------------------------


def test_every_test_row_is_accounted_for(time_case):
    train, test, model = time_case
    report = evaluate(model, train, test, positive=PositiveSettings(min_rating=5))
    known = set(train.interactions["user_id"])
    rated = test.interactions.with_columns(warm=pl.col("user_id").is_in(known))
    warm = rated.filter(pl.col("warm") & (pl.col("rating") >= 5))
    assert report.rows.in_test == len(test)
    assert report.rows.not_askable == 1  # user 101
    assert report.rows.to_find + report.rows.history + report.rows.not_askable + report.rows.not_positive == len(test)
    assert report.rows.to_find == len(warm)  # user 100 rated nothing 5
    assert report.rows.history == 0
    assert report.rows.sentence in report.table()


def test_histories_of_new_users_are_counted(time_case):
    train, test, model = time_case
    rows = evaluate(model, train, test).rows
    assert (rows.history, rows.not_askable, rows.not_positive) == (2, 1, 0)  # two of the five events of user 100
    assert evaluate(model, train, test).results[0].seen_before == 0


def test_rows_seen_before_are_counted():
    train, test = split(shop(), "time")
    report = evaluate(lambda users, k: [["i0"]] * len(users), train, test)
    pairs = set(train.interactions.select("user_id", "item_id").rows())
    again = sum(pair in pairs for pair in test.interactions.select("user_id", "item_id").rows())
    assert again > 0
    assert report.result(seen="removed").seen_before == again
    assert report.result(seen="kept").seen_before == 0


def test_every_figure_has_its_interval(time_case):
    train, test, model = time_case
    report = evaluate(model, train, test)
    stages = report.results[0].stages
    for name, mean in (
        ("recall:union", stages.recall_union),
        ("recall:candidates", stages.recall_candidates),
        ("order:ranker", stages.ndcg_ranker),
        ("recall:ease", next(one.recall for one in stages.sources if one.name == "ease")),
    ):
        interval = stages.intervals[name]
        assert interval.low <= interval.mean == mean <= interval.high
    assert report.ratings.rmse_low <= report.ratings.rmse <= report.ratings.rmse_high
    assert "recall of the candidates [" in report.table()
    assert set(report.to_dict()["results"][0]["stages"]["intervals"]["order:fusion"]) == {"mean", "low", "high", "n"}
