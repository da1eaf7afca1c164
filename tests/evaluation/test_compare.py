"""Several models on the same questions."""

import json

import pytest

from shortlist.data.split import split
from shortlist.data.synthetic import chain
from shortlist.errors import ConfigError, DataError
from shortlist.evaluation.compare import compare, compare_models
from shortlist.evaluation.figures import METRICS
from shortlist.evaluation.protocol import evaluate
from shortlist.evaluation.significance import holm, randomisation_test


@pytest.fixture(scope="module")
def parts():
    return split(chain(n_users=200), "next")


@pytest.fixture(scope="module")
def reports(parts):
    """Nothing at all; the item after the last one; the two after the last one, second first."""
    train, test = parts
    last = dict(train.interactions.group_by("user_id", maintain_order=True).last().select("user_id", "item_id").rows())
    models = {
        "nothing": lambda users, k: [[]] * len(users),
        "follower": lambda users, k: [[(last[user] + 1) % 30] for user in users],
        "late": lambda users, k: [[(last[user] + 2) % 30, (last[user] + 1) % 30] for user in users],
    }
    return {name: evaluate(model, train, test, k=5) for name, model in models.items()}


def test_each_is_held_against_the_first(reports):
    found = compare_models(reports)
    assert set(found.differences) == set(found.verdicts) == {"follower", "late"}
    for name, by_metric in found.differences.items():
        for metric, difference in by_metric.items():
            alone = compare(reports[name], reports["nothing"])[metric].interval
            assert difference.interval == alone
    assert found.verdicts["follower"].word == "better"


def test_the_first_decides_the_direction(reports):
    turned = compare_models({name: reports[name] for name in ("follower", "nothing", "late")})
    assert turned.verdicts["nothing"].word == "worse"
    assert turned.verdicts["late"].word == "worse"
    assert turned.differences["nothing"]["ndcg"].interval.mean < 0
    assert not turned.verdicts["nothing"].passed


def test_p_values_are_adjusted_over_the_models(reports):
    found = compare_models(reports)
    first = reports["nothing"].results[0].per_user["ndcg"]
    raw = {name: randomisation_test(reports[name].results[0].per_user["ndcg"], first) for name in ("follower", "late")}
    assert {name: found.differences[name]["ndcg"].p for name in raw} == holm(raw)


def test_table_and_json(reports):
    found = compare_models(reports)
    text = found.table()
    for word in ("nothing", "follower - nothing", "late - nothing", "NDCG@5", "Gate: better: NDCG@5"):
        assert word in text
    plain = json.loads(json.dumps(found.to_dict()))
    assert plain["first"] == "nothing"
    assert plain["gate"]["late"]["passed"] is True
    assert set(plain["reports"]) == set(reports)
    assert plain["reports"]["late"]["results"][0]["metrics"].keys() == {f"{metric}@5" for metric in METRICS}


def test_one_model_is_no_comparison(reports):
    with pytest.raises(ConfigError, match="at least two models, got 1"):
        compare_models({"nothing": reports["nothing"]})


def test_other_questions_are_refused(parts, reports):
    train, test = parts
    fewer = test.with_interactions(test.interactions[:-5])
    other = evaluate(lambda users, k: [[]] * len(users), train, fewer, k=5)
    with pytest.raises(DataError, match="differ in test events"):
        compare_models({"nothing": reports["nothing"], "other": other})
    deeper = evaluate(lambda users, k: [[]] * len(users), train, test, k=6)
    with pytest.raises(DataError, match="differ in k: 6 and 5"):
        compare_models({"nothing": reports["nothing"], "other": deeper})
