"""The report as text, as JSON and against another report."""

import json

import numpy as np
import pytest

from shortlist.data.split import split
from shortlist.data.synthetic import chain
from shortlist.errors import DataError, QueryError
from shortlist.evaluation.compare import compare
from shortlist.evaluation.figures import METRICS
from shortlist.evaluation.protocol import evaluate


@pytest.fixture(scope="module")
def parts():
    return split(chain(), "next")


@pytest.fixture(scope="module")
def follower(parts):
    """Answers the item after the last one."""
    train, test = parts
    last = dict(
        train.interactions.group_by("user_id", maintain_order=True).last().select("user_id", "item_id").iter_rows()
    )
    return evaluate(lambda users, k: {user: [(last[user] + 1) % 30] for user in users}, train, test)


@pytest.fixture(scope="module")
def nothing(parts):
    return evaluate(lambda users, k: [[]] * len(users), *parts)


def test_the_verdict_says_worse_and_by_how_much(nothing):
    best = max(nothing.results[0].baselines, key=lambda one: one.means["ndcg"])
    assert nothing.verdict.startswith(f"Worse than the best baseline ({best.name}): NDCG@10 .000 vs .")
    assert f"paired difference -.{round(best.means['ndcg'] * 1000):03d} [" in nothing.verdict


def test_the_verdict_says_better():
    train, test = split(chain(stray=0.4), "next")
    taken = dict(test.interactions.select("user_id", "item_id").iter_rows())
    report = evaluate(lambda users, k: [[taken[user]] for user in users], train, test, k=1)
    assert report.verdict.startswith("Better than the best baseline (co-visitation of the last item): NDCG@1 1.000 vs")


def test_the_table_has_everything_and_is_aligned(follower):
    text = follower.table()
    lines = text.splitlines()
    assert lines[0] == follower.verdict
    for word in ("NDCG@10", "Precision@10", "recent popularity", "Top-K accuracy", "seen items kept", "Coverage"):
        assert word in text
    start = next(i for i, line in enumerate(lines) if "95% interval" in line)
    assert len({len(line) for line in lines[start : start + 7]}) == 1


def test_json_is_plain_and_complete(follower):
    plain = json.loads(follower.to_json())
    assert plain == json.loads(json.dumps(follower.to_dict()))
    head = plain["results"][0]
    assert plain["verdict"] == follower.verdict
    assert set(head["metrics"]) == {f"{name}@10" for name in METRICS}
    assert head["metrics"]["ndcg@10"]["mean"] == follower.metric("ndcg")
    assert set(head["top_k_accuracy"]) == {"1", "5", "10", "50", "100"}
    assert set(head["baselines"][0]["differences"]["ndcg@10"]) == {"mean", "low", "high", "n", "p"}
    assert plain["users"]["in_test"] == 60


def test_json_of_a_figure_that_does_not_exist_is_null(nothing):
    plain = json.loads(nothing.to_json())
    assert np.isnan(nothing.results[0].novelty)  # no list holds an item
    assert plain["results"][0]["novelty"] is None


def test_metric_refuses_what_was_not_measured(follower):
    with pytest.raises(QueryError, match="no metric 'auc'"):
        follower.metric("auc")
    with pytest.raises(QueryError, match="measured at k=10, not 5"):
        follower.metric("ndcg", k=5)
    with pytest.raises(QueryError, match="no figures for users 'fold_in'"):
        follower.metric("ndcg", users="fold_in")


def test_compare_is_paired_over_the_same_users(follower, nothing):
    differences = compare(follower, nothing)
    assert differences["ndcg"].interval.mean == pytest.approx(follower.metric("ndcg"))
    assert differences["ndcg"].interval.low > 0
    assert differences["ndcg"].p < 0.01
    same = compare(follower, follower)
    assert (same["map"].interval.mean, same["map"].p) == (0, 1)
    back = compare(nothing, follower)
    assert back["mrr"].interval.mean == -differences["mrr"].interval.mean


def test_compare_refuses_other_questions(parts, follower):
    train, test = parts
    fewer = test.with_interactions(test.interactions[:-5])
    other = evaluate(lambda users, k: [[]] * len(users), train, fewer)
    with pytest.raises(DataError, match="differ in test events: 60 and 55"):
        compare(follower, other)
    with pytest.raises(DataError, match="the reports differ in k: 10 and 3"):
        compare(follower, evaluate(lambda users, k: [[]] * len(users), train, test, k=3))
