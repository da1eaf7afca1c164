"""Slices against a count by hand, and against the whole."""

import numpy as np
import polars as pl
import pytest
from made_logs_for_slices import log_of, queries_of

import shortlist as sl
from shortlist.data.split import split
from shortlist.data.synthetic import two_tastes
from shortlist.evaluation.protocol import evaluate
from shortlist.evaluation.slices import make_parts, measure_slices

FUSION = {"ranking": {"ranker": "fusion"}, "retrieval": {"candidates": 20}}


def by_name(parts):
    return {(part.by, part.name): part for part in parts}


def test_parts_by_hand():
    """Ten items; item 0 has three events (the head), 1 and 2 one each (tail), the others none (cold)."""
    log = log_of(users=[0, 1, 2, 0, 1], items=[0, 0, 0, 1, 2], days=[0, 1, 2, 10, 90], n_users=4, n_items=10)
    queries = queries_of(histories=[[0, 1], [0, 2], [0], []], at_days=[100, 100, 100, 15])
    parts = by_name(make_parts(log, queries, np.array([0, 1, 2, 3, 3]), np.array([2, 1, 9, 0, 1])))
    found = {key: part.labels.astype(int).tolist() for key, part in parts.items()}
    assert found == {
        ("history length", "0"): [0, 0, 0, 1, 1],
        ("history length", "1 to 5"): [1, 1, 1, 0, 0],
        ("item popularity", "head"): [0, 0, 0, 1, 0],
        ("item popularity", "tail"): [1, 1, 0, 0, 1],
        ("item popularity", "warm"): [1, 1, 0, 1, 1],
        ("item popularity", "cold"): [0, 0, 1, 0, 0],
        ("item age", "0 to 7 days"): [0, 0, 0, 0, 1],
        ("item age", "7 to 30 days"): [1, 0, 0, 1, 0],
        ("item age", "30 to 365 days"): [0, 1, 0, 0, 0],
    }


def test_an_item_first_taken_up_after_the_question_has_no_age():
    log = log_of(users=[0], items=[0], days=[50], n_users=1, n_items=2)
    parts = make_parts(log, queries_of([[]], at_days=[40]), np.array([0]), np.array([0]))
    assert not [part for part in parts if part.by == "item age"]


def test_a_log_without_dates_has_no_ages():
    log = log_of(users=[0], items=[0], days=[0], n_users=1, n_items=2, in_seconds=False)
    parts = make_parts(log, queries_of([[0]], at_days=[40]), np.array([0]), np.array([0]))
    assert {part.by for part in parts} == {"history length", "item popularity"}


def test_only_the_slices_items_are_relevant():
    """One user; item 0 (head) stands first, item 1 (tail) second, item 5 (cold) nowhere."""
    log = log_of(users=[0, 0, 1], items=[0, 1, 0], days=[0, 1, 2], n_users=2, n_items=10)
    queries = queries_of([[0, 1]], at_days=[9])
    label_queries, label_items = np.zeros(3, dtype=np.int64), np.array([0, 1, 5])
    parts = make_parts(log, queries, label_queries, label_items)
    model, baseline = np.array([[0, 1]], dtype=np.int32), np.array([[1, 0]], dtype=np.int32)
    shortlist = np.array([[0, 1, 7, -1]], dtype=np.int32)
    measured = measure_slices(parts, label_queries, label_items, 1, (model, baseline), shortlist, 2, 0)
    figures = {part.name: (part.n_relevant, part.ndcg.mean, part.baseline, part.recall_candidates) for part in measured}
    second = 1 / np.log2(3)
    assert figures["head"] == (1, 1.0, pytest.approx(second), 1.0)
    assert figures["tail"] == (1, pytest.approx(second), 1.0, 1.0)
    assert figures["warm"] == (2, 1.0, 1.0, 1.0)
    assert figures["cold"] == (1, 0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def report():
    train, test = split(two_tastes(), "time")
    return evaluate(sl.train(train, "window", FUSION), train, test)


def test_slices_add_up_to_the_whole(report):
    head = report.results[0]
    parts = by_name(head.slices)
    n_relevant = sum(part.n_relevant for part in head.slices if part.by == "history length")
    assert n_relevant == sum(parts[key].n_relevant for key in parts if key[1] in ("warm", "cold"))
    assert n_relevant == head.n_rows  # nobody takes an item twice here
    of_users = [part.ndcg for part in head.slices if part.by == "history length"]
    assert sum(one.n for one in of_users) == head.metrics["ndcg"].n
    mean = sum(one.mean * one.n for one in of_users) / head.metrics["ndcg"].n
    assert mean == pytest.approx(head.metrics["ndcg"].mean)


def test_recall_of_the_candidates_agrees_with_the_stages(report):
    head = report.results[0]
    assert head.slices
    by_history = [part for part in head.slices if part.by == "history length"]
    mean = sum(part.recall_candidates * part.ndcg.n for part in by_history) / sum(part.ndcg.n for part in by_history)
    assert mean == pytest.approx(head.stages.recall_candidates)


def test_slices_are_measured_once_in_the_models_own_way(report):
    ways = {(one.users, one.seen): bool(one.slices) for one in report.results}
    assert ways["warm", "removed"]
    assert not ways["warm", "kept"]


def test_slices_stand_in_table_and_json(report):
    assert "item popularity: head" in report.table()
    plain = report.to_dict()["results"][0]["slices"]
    assert {"by", "name", "n_relevant", "ndcg", "baseline", "difference", "recall_candidates"} == set(plain[0])
    assert set(plain[0]["difference"]) == {"mean", "low", "high", "n", "p"}


def test_a_callable_has_slices_without_a_ceiling():
    train, test = split(two_tastes(), "time")
    report = evaluate(lambda users, k: [[0, 1, 2]] * len(users), train, test)
    assert report.results[0].slices
    assert all(np.isnan(part.recall_candidates) for part in report.results[0].slices)
    assert report.to_dict()["results"][0]["slices"][0]["recall_candidates"] is None


def test_cold_items_are_seen_as_cold():
    train, test = split(two_tastes(), "time")
    hidden = 3
    train = train.with_interactions(train.interactions.filter(pl.col("item_id") != hidden))
    taken = test.interactions.filter(pl.col("item_id") == hidden).height
    report = evaluate(lambda users, k: [[hidden]] * len(users), train, test)
    cold = by_name(report.results[0].slices)["item popularity", "cold"]
    assert (cold.n_relevant, cold.ndcg.mean, cold.baseline) == (taken, 1.0, 0.0)
