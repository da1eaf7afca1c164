"""Leaks that are planted must be loud, what is shuffled must teach nothing, and honest runs must be left in peace."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from shortlist.config import load_config
from shortlist.data.dataset import Dataset
from shortlist.data.split import split
from shortlist.data.synthetic import chain, shop, two_tastes
from shortlist.evaluation.protocol import evaluate
from shortlist.training.leaks import feature_shifts, stability_index, thinned, warnings_of
from shortlist.training.ranker import Rows, choose_ranker
from shortlist.training.schedule import fit_ranking, train
from shortlist.training.sources import make_plan

QUICK = load_config(
    {
        "preset": "fast",
        "threads": 1,
        "retrieval": {
            "candidates": 20,
            "ease": {"regularisation": [50.0], "decay": [1.0, 0.8]},
            "covisitation": {"window": [3], "popularity_power": [0.0], "decay": [0.7]},
            "popularity": {"recent": [14], "half_life": [30.0]},
        },
        "ranking": {"trees": {"max_trees": 20, "depth": 3, "step": 10}},
    }
)


FUSION = {"preset": "fast", "retrieval": {"sources": ["popularity"], "candidates": 20}, "ranking": {"ranker": "fusion"}}


def silent(sentence):
    pass


def learned_from(dataset, target):
    plan = make_plan(dataset, QUICK, target)
    return fit_ranking(dataset.log(), plan, target, plan.filter_seen, silent)[:4]


@pytest.fixture(scope="module")
def learned():
    """The record and what the ranker learned from, of the random target."""
    return learned_from(two_tastes(n_users=150), "random")[2:]


def warned(learned, target="random", record=None, shifts=None):
    return list(warnings_of(learned, target, record or {}, shifts or {}))


@pytest.mark.parametrize("target", ["window", "next", "random"])
@pytest.mark.parametrize("make", [two_tastes, chain, shop])
def test_honest_runs_are_left_in_peace(make, target):
    record = train(make(150), target, QUICK).record
    assert record["warnings"] == []
    assert set(record["feature_shifts"]) == set(record["features"])


def with_count(dataset, share_of_log):
    """The data set with a number per item: how often it occurs in the last part of the log."""
    last = dataset.interactions.sort("timestamp").tail(int(len(dataset) * share_of_log))
    counts = last.group_by("item_id").agg(pl.len().cast(pl.Float64).alias("sold"))
    items = dataset.items.join(counts, on="item_id", how="left", maintain_order="left").with_columns(
        pl.col("sold").fill_null(0)
    )
    return Dataset.from_frames(dataset.interactions, items, dataset.users)


def test_an_attribute_counted_on_what_is_yet_to_come_is_flagged():
    """The count knows the labels of all shifts; at a test also what no training event told."""
    walks = chain(n_users=200, n_items=60)
    record = train(with_count(walks, 1.0), "window", QUICK).record
    assert any(
        "'sold'" in sentence and "counted on events of that period" in sentence for sentence in record["warnings"]
    )
    parts = split(with_count(walks, 0.2), "time")
    report = evaluate(train(parts.train, "window", FUSION), parts.train, parts.test, protocol="time")
    assert any("'sold'" in sentence for sentence in report.warnings)
    assert "SUSPICIOUS: the item attribute 'sold'" in report.table()


def test_an_attribute_that_follows_the_past_is_not_flagged():
    parts = split(chain(n_users=200, n_items=60), "time")
    past = parts.train.interactions.group_by("item_id").agg(pl.len().cast(pl.Float64).alias("sold"))
    items = parts.train.items.join(past, on="item_id", how="left", maintain_order="left")
    dataset = Dataset.from_frames(parts.train.interactions, items, parts.train.users)
    report = evaluate(train(dataset, "window", FUSION), dataset, parts.test, protocol="time")
    assert report.warnings == ()


def test_shortlists_that_hold_less_than_in_training(learned):
    _, learned = learned
    assert not any("the candidates hold" in sentence for sentence in warned(learned))
    last = learned.rows[-1]
    lost = last.labels & (np.arange(len(last.labels)) % 2 == 0)
    share = lost.sum() / last.labels.sum()
    poor = replace(last, labels=lost, recall=last.recall * share)
    (sentence,) = warned(replace(learned, rows=[*learned.rows[:-1], poor]))
    assert f"the candidates hold 100% of what was taken up on the training shifts, but {share:.0%}" in sentence


def test_shortlists_that_hold_more_or_less_from_shift_to_shift_anyhow(learned):
    _, learned = learned
    halves = [
        replace(one, labels=one.labels & (np.arange(len(one.labels)) % 2 == 0), recall=one.recall / 2)
        for one in (learned.rows[0], learned.rows[-1])
    ]
    assert len(learned.rows) > 2
    assert warned(replace(learned, rows=[halves[0], *learned.rows[1:-1], halves[1]])) == []


def test_a_source_that_scores_otherwise_when_asked_now(learned):
    _, learned = learned
    last = learned.rows[-1]
    assert feature_shifts(last, last) == dict.fromkeys(feature_shifts(last, last), 0.0)
    features = last.features.copy()
    features[:, last.names.index("ease_z")] += 5
    features[:, last.names.index("history_length")] += 5
    shifts = feature_shifts(last, replace(last, features=features))
    assert list(shifts)[:2] == ["ease_z", "history_length"] or list(shifts)[:2] == ["history_length", "ease_z"]
    (sentence,) = warned(learned, shifts=shifts)
    assert "ease_z" in sentence
    assert "history_length" not in sentence


@pytest.mark.parametrize(("mean", "error", "target", "loud"), [
    (0.03, 0.01, "random", True),
    (0.02, 0.001, "random", False),
    (0.03, 0.02, "random", False),
    (0.30, 0.01, "next", False),
])  # fmt: skip
def test_a_gain_on_held_out_rows_is_a_leak_until_proven_otherwise(learned, mean, error, target, loud):
    gain = {"source": "ease", "figure": 0.5, "mean": mean, "standard_error": error}
    sentences = warned(learned[1], target, {"gain_over_best_source": gain})
    assert [("6% over the best source (ease)" in sentence, "leak" in sentence) for sentence in sentences] == [
        (True, True)
    ] * loud


def test_a_label_among_the_features_is_flagged():
    """End to end: a number that knows who took what up gives the trees a gain that no source has."""
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(4):
        query_rows = np.repeat(np.arange(300), 20)
        labels = rng.random(6000) < 0.1
        ease = (labels + rng.normal(0, 1, 6000)).astype(np.float32)
        known = (labels + rng.normal(0, 0.3, 6000)).astype(np.float32)
        ideal = np.maximum(np.bincount(query_rows, labels), 1.0)
        features = np.stack([ease, ease, known], axis=1)
        rows.append(Rows(("ease_z", "fusion", "leak"), features, labels, query_rows, query_rows, ideal, 1.0))
    record = choose_ranker(rows[:-1], rows[-1], QUICK).record
    gain = record["gain_over_best_source"]
    assert gain["mean"] > 0.05 * gain["figure"]
    assert gain["mean"] > 2 * gain["standard_error"]


def test_shuffled_labels_let_fusion_answer():
    """Nothing tells the labels apart: no ranker may answer by luck, whatever the seed."""
    fusion, gains = 0, []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        rows = []
        for _ in range(3):
            query_rows = np.repeat(np.arange(80), 20)
            features = rng.standard_normal((1600, 4)).astype(np.float32)
            labels = rng.random(1600) < 0.1
            ideal = np.maximum(np.bincount(query_rows, labels), 1.0)
            rows.append(
                Rows(
                    ("ease_z", "popularity_z", "fusion", "noise"), features, labels, query_rows, query_rows, ideal, 1.0
                )
            )
        record = choose_ranker(rows[:-1], rows[-1], QUICK).record
        fusion += record.get("ranker") != "trees"
        gains.append(record["gain"]["mean"])
    assert fusion >= 5
    assert np.mean(gains) < 0.02


def test_shuffled_time_takes_the_gain_of_the_next_step():
    """What follows what is what the walk teaches; dealt out anew within each user, nothing follows anything."""
    walks = chain(n_users=150, n_items=60)
    rng = np.random.default_rng(0)
    shuffled = walks.interactions.with_columns(
        pl.col("item_id").map_batches(
            lambda items: items.gather(rng.permutation(len(items))), return_dtype=pl.Int64
        ).over("user_id")
    )  # fmt: skip
    honest, without = (
        train(one, "next", QUICK).record for one in (walks, Dataset.from_frames(shuffled, walks.items, walks.users))
    )
    gain, lost = (one["gain_over_best_source"] for one in (honest, without))
    assert gain["mean"] > 3 * gain["standard_error"]
    assert lost["mean"] < min(2 * lost["standard_error"], gain["mean"] / 3)
    assert honest["validation"]["blend"] > without["validation"]["blend"] + 0.1
    assert honest["validation"]["source covisitation"] > 2 * without["validation"]["source covisitation"]


def test_stability_index_by_hand():
    """Half of the values are 0; now two of ten. Half a value is added to each of the five bins."""
    expected = np.array([0] * 5 + [1] * 5, dtype=np.float32)
    actual = np.array([0] * 2 + [1] * 8, dtype=np.float32)
    p, q = np.array([5.5, 0.5, 5.5, 0.5, 0.5]) / 12.5, np.array([2.5, 0.5, 8.5, 0.5, 0.5]) / 12.5
    assert stability_index(expected, actual) == pytest.approx(((p - q) * np.log(p / q)).sum())
    assert stability_index(expected, expected) == 0


def test_missing_values_are_a_bin_and_may_be_all_there_is():
    nothing, zeros = np.full(50, np.nan, dtype=np.float32), np.zeros(50, dtype=np.float32)
    assert stability_index(nothing, nothing) == 0
    assert stability_index(zeros, zeros) == 0
    assert stability_index(zeros, nothing) > 5
    assert stability_index(nothing, zeros) > 5


def test_thinning_leaves_labels(learned):
    rows = learned[1].rows[-1]
    assert thinned(rows).features.tobytes() == rows.features.tobytes()
    many = replace(rows, features=np.zeros((250_001, 1), dtype=np.float32))
    assert len(thinned(many).features) == 83_334
    assert len(thinned(many).labels) == len(rows.labels)
