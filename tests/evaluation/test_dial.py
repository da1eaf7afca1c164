"""The curve of diversity: what a model answers when it is asked with the dial."""

import json

import numpy as np
import pytest

from quick_models import SMALL
from shortlist.config import load_config
from shortlist.data.split import split
from shortlist.data.synthetic import two_tastes
from shortlist.evaluation import dial as dials
from shortlist.evaluation.dial import DIALS
from shortlist.evaluation.metrics import coverage, intra_list_diversity
from shortlist.evaluation.protocol import evaluate
from shortlist.training.schedule import train


@pytest.fixture(scope="module")
def parts():
    return split(two_tastes(), "next")


@pytest.fixture(scope="module")
def model(parts):
    return train(parts.train, "next", load_config(SMALL))


@pytest.mark.parametrize("k", [5, 20])  # the model ranks 15
def test_it_is_what_the_model_answers(model, parts, k):
    report = evaluate(model, *parts, k=k)
    curve = report.diversity_curve
    users = parts.test.interactions["user_id"].to_list()
    wanted = model.item_vocabulary.rows(parts.test.interactions["item_id"])
    assert curve.n_users == len(users)
    assert [point.dial for point in curve.points] == list(DIALS)
    assert curve.points[0].ndcg == pytest.approx(report.metric("ndcg"))
    assert (curve.points[0].change.mean, curve.points[0].change.low) == (0, 0)
    likeness = model.first.features.item_facts.attributes
    for point in curve.points:
        answer = model.recommend(users, k=k, diversity=point.dial, filter_seen=model.filter_seen)
        lists = np.full((len(users), k), -1, dtype=np.int32)
        for q, user in enumerate(users):
            rows = model.item_vocabulary.rows(answer.filter(user_id=user)["item_id"])
            lists[q, : len(rows)] = rows
        hits = lists == wanted[:, None]
        ndcg = (hits / np.log2(np.arange(2, k + 2))).sum(axis=1)
        assert point.ndcg == pytest.approx(ndcg.mean())
        assert point.change.mean == pytest.approx(point.ndcg - curve.points[0].ndcg)
        assert point.coverage == pytest.approx(coverage(lists, len(model.items)))
        assert point.diversity == pytest.approx(np.nanmean(intra_list_diversity(lists, likeness)))


def test_the_report_has_it_as_table_and_as_json(model, parts):
    report = evaluate(model, *parts)
    lines = report.table().splitlines()
    start = lines.index("What diversity costs and gains, 60 users:")
    assert lines[start + 1].split() == ["diversity=", "NDCG@10", "change", "diversity", "coverage"]
    assert [line.split()[0] for line in lines[start + 2 : start + 2 + len(DIALS)]] == [f"{dial:g}" for dial in DIALS]
    plain = json.loads(report.to_json())["diversity_curve"]
    assert plain["n_users"] == 60
    assert set(plain["points"][0]) == {"dial", "ndcg", "change", "diversity", "coverage"}
    assert set(plain["points"][0]["change"]) == {"mean", "low", "high", "n"}


def test_a_callable_has_none(parts):
    assert evaluate(lambda users, k: [[]] * len(users), *parts).diversity_curve is None


def test_of_many_users_some_are_asked(model, parts, monkeypatch):
    monkeypatch.setattr(dials, "MOST_USERS", 7)
    assert evaluate(model, *parts).diversity_curve.n_users == 7
