"""The judge of benchmarks/accuracy.py gives a model the figures that `evaluate` gives it, by another way."""

import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from shortlist.data.split import split
from shortlist.data.synthetic import two_tastes
from shortlist.evaluation.protocol import evaluate

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
sys.path.append(str(Path(__file__).parents[1]))

from accuracy_data import Case, invented
from accuracy_judge import DEPTH, Judge
from accuracy_peers import histories
from accuracy_systems import Cost, System, best_source, rows_of, validation_ndcg

from quick_models import fit


@pytest.fixture(scope="module", params=["time", "next"])
def case(request):
    protocol = request.param
    parts = split(two_tastes(), protocol)
    model = fit("window" if protocol == "time" else "next", parts.train)
    return protocol, parts, model, Judge(parts.train, parts.test, protocol)


def mean(figures, group, metric):
    return np.mean(list(figures[group].per_user[metric].values()))


def test_the_cascade_has_the_figures_of_the_report(case):
    protocol, parts, model, judge = case
    report = evaluate(model, parts.train, parts.test, protocol=protocol)
    figures = judge.figures(judge.lists_of_model(model)["cascade"])
    assert set(figures) == set(report.groups)
    for group, found in figures.items():
        result = report.result(group)
        for metric in ("ndcg", "recall", "hit_rate", "precision"):
            assert mean(figures, group, metric) == pytest.approx(result.metrics[metric].mean)
        assert found.top_100 == pytest.approx(result.top_k_accuracy[DEPTH])


def test_sources_and_fusion_have_the_figures_of_the_stages(case):
    protocol, parts, model, judge = case
    stages = evaluate(model, parts.train, parts.test, protocol=protocol).results[0].stages
    group = next(iter(judge.groups))
    systems = {name: judge.figures(lists) for name, lists in judge.lists_of_model(model).items()}
    for source in stages.sources:
        assert mean(systems[source.name], group, "ndcg") == pytest.approx(source.ndcg_alone)
    assert mean(systems["fusion"], group, "ndcg") == pytest.approx(stages.ndcg_fusion)


def test_a_table_of_the_same_lists_is_judged_alike_and_seen_items_are_struck(case):
    _, parts, model, judge = case
    lists = judge.lists_of_model(model)["cascade"]
    rows = []
    for name, ranked in lists.items():
        for user, items in zip(judge.groups[name].questions.user_ids, ranked, strict=True):
            ids = judge.catalogue.ids.gather(items[items >= 0]).to_list()
            known = parts.train.interactions.filter(pl.col("user_id") == user)["item_id"].unique().to_list()
            rows += [(user, item, rank) for rank, item in enumerate([*known, *ids])]
    table = pl.DataFrame(rows, schema=["user_id", "item_id", "rank"], orient="row")
    again = judge.lists_of_table(table)
    for name, ranked in lists.items():
        np.testing.assert_array_equal(again[name][:, :50], ranked[:, :50])


def test_a_group_that_a_peer_did_not_answer_is_left_out():
    parts = split(two_tastes(), "time")
    judge = Judge(parts.train, parts.test, "time")
    warm = judge.groups["warm"].questions.user_ids
    table = pl.DataFrame({"user_id": warm, "item_id": [0] * len(warm), "rank": [1] * len(warm)})
    assert list(judge.lists_of_table(table)) == ["warm"]
    new = set(judge.groups["fold_in"].questions.user_ids) if "fold_in" in judge.groups else set()
    assert set(histories(judge, parts.train)["user_id"]) == new


def test_users_asked_at_several_cuts_count_once():
    parts = split(two_tastes(), "next")
    judge = Judge(parts.train, parts.test, "next")
    users = judge.groups["all"].questions.user_ids
    found = dict(zip(parts.test.interactions["user_id"], parts.test.interactions["item_id"], strict=True))
    right = judge.figures(judge.lists_of_table(pl.DataFrame({"user_id": users, "item_id": [found[u] for u in users]})))
    wrong = judge.figures({"all": np.full((len(users), DEPTH), -1, dtype=np.int32)})
    systems = {"cascade": System([right, wrong], [Cost(1.0, 50.0, 3), Cost(2.0, 40.0, 3)]), "none": System([wrong] * 2)}
    rows = rows_of(systems, "all")
    n = len(right["all"].per_user["ndcg"])
    assert (rows["cascade"].metrics["ndcg"].mean, rows["cascade"].metrics["ndcg"].n) == (0.5, n)
    assert rows["cascade"].cost == Cost(3.0, 50.0, 3)
    assert rows["none"].cascade_minus.interval.low == 0.5


def test_the_figure_of_a_source_on_validation_is_that_of_its_best_settings():
    trials = [
        {
            "source": source,
            "settings": {"l": settings},
            "ndcg_at_10": figure,
            "ndcg_away": figure,
            "ndcg_fresh": 1 - figure,
        }
        for source, settings, figure in (("a", 1, 0.2), ("a", 1, 0.4), ("a", 2, 0.5), ("a", 2, 0.0), ("b", 1, 0.1))
    ]
    assert validation_ndcg({"trials": trials}) == {"a": pytest.approx(0.3), "b": 0.1}
    assert best_source({"trials": trials}, "warm") == "a"
    assert best_source({"trials": trials}, "fold_in") == "b"


@pytest.mark.parametrize("protocol", ["random", "next", "time"])
def test_peers_are_tuned_inside_the_training_part(protocol):
    case = Case("small", invented("small"), protocol)
    (part,) = case.parts()
    inner = case.inner(part)
    own = [one.interactions.select("user_id", "item_id", "timestamp") for one in (part.train, inner.train, inner.test)]
    whole = set(own[0].iter_rows())
    assert set(own[1].iter_rows()) < whole
    assert set(own[2].iter_rows()) < whole
    assert len(own[1]) + len(own[2]) <= len(own[0])
