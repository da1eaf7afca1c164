"""Rolling windows: each window as if evaluated alone, and users pooled once."""

import json

import numpy as np
import pytest

import shortlist as sl
from shortlist.data.split import split_rolling
from shortlist.data.synthetic import two_tastes
from shortlist.errors import DataError
from shortlist.evaluation.protocol import evaluate
from shortlist.evaluation.rolling import evaluate_rolling

WINDOWS = {"windows": 3, "days": 25.0}


def fusion(part):
    return sl.train(part, "window", {"ranking": {"ranker": "fusion"}, "retrieval": {"candidates": 20}})


@pytest.fixture(scope="module")
def rolling():
    return evaluate_rolling(fusion, two_tastes(), **WINDOWS)


def test_each_window_is_an_evaluation_of_its_own(rolling):
    for part, report in zip(split_rolling(two_tastes(), **WINDOWS), rolling.reports, strict=True):
        alone = evaluate(fusion(part.train), part.train, part.test, protocol="time")
        assert alone.results[0].per_user["ndcg"].tolist() == report.results[0].per_user["ndcg"].tolist()
        assert alone.data["train_events"] == report.data["train_events"]


def test_no_window_knows_its_future(rolling):
    for part in rolling.splits:
        assert part.train.interactions["timestamp"].max() < part.test.interactions["timestamp"].min()


def test_a_user_counts_once(rolling):
    by_user = {}
    for report in rolling.reports:
        one = report.results[0]
        for user, value in zip(one.user_ids, one.per_user["ndcg"], strict=True):
            if not np.isnan(value):
                by_user.setdefault(user, []).append(value)
    expected = {user: np.mean(values) for user, values in by_user.items()}
    assert rolling.per_user() == pytest.approx(expected)
    assert max(map(len, by_user.values())) > 1
    pooled = rolling.pooled()
    assert pooled.n == len(expected)
    assert pooled.mean == pytest.approx(np.mean(list(expected.values())))
    assert pooled.low < pooled.mean < pooled.high


def test_differences_are_of_the_pooled_users(rolling):
    for name, difference in rolling.differences().items():
        own, other = rolling.pooled().mean, rolling.pooled(system=name).mean
        assert difference.interval.mean == pytest.approx(own - other)
        assert 0 < difference.p <= 1


def test_table_and_json(rolling):
    text = rolling.table()
    assert text.startswith("3 rolling windows, each fitted anew")
    assert text.count("cut at ") == 3
    assert "all windows" in text
    plain = json.loads(json.dumps(rolling.to_dict()))
    assert len(plain["windows"]) == 3
    assert plain["pooled"]["warm"]["metrics"]["ndcg@10"]["mean"] == rolling.pooled().mean
    assert set(plain["pooled"]["warm"]["differences"]) == {b.name for b in rolling.reports[0].results[0].baselines}


def test_options_go_to_the_evaluation():
    report = evaluate_rolling(lambda part: lambda users, k: [[0]] * len(users), two_tastes(), **WINDOWS, k=1)
    assert report.reports[0].k == 1


def test_order_only_times_take_shares():
    dataset = two_tastes()
    ranks = dataset.interactions["timestamp"].rank("dense") - 1
    ordered = sl.Dataset.from_frames(dataset.interactions.with_columns(timestamp=ranks.cast(int)))
    report = evaluate_rolling(lambda part: lambda users, k: [[0]] * len(users), ordered, windows=2, share=0.2)
    assert [len(part.test) for part in report.splits] == pytest.approx([0.2 * len(ordered)] * 2, abs=3)


def test_no_times_no_windows():
    log = sl.Dataset.from_frames({"user_id": [1, 1], "item_id": [1, 2]})
    with pytest.raises(DataError, match="needs usable times"):
        evaluate_rolling(fusion, log)
