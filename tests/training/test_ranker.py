"""Stage 2 from labelled rows, by hand."""

from dataclasses import replace

import numpy as np
import pytest

from shortlist.config import load_config
from shortlist.ranking.blend import Blend
from shortlist.ranking.linear import FUSION, Linear
from shortlist.training.ranker import Choice, Rows, choose_ranker, exceeds, fit_final, negatives_of, paired, sampled

NAMES = ("ease_z", "popularity_z", "fusion", "secret")
CONFIG = load_config(
    {"preset": "fast", "threads": 1, "ranking": {"trees": {"max_trees": 20, "depth": 2, "step": 5, "negatives": 0}}}
)


def make_rows(seed, n_queries=60, n_each=20, informative="secret", strength=4.0, flat=False):
    """One relevant candidate per query, told by one feature."""
    rng = np.random.default_rng(seed)
    query_rows = np.repeat(np.arange(n_queries), n_each)
    features = rng.standard_normal((len(query_rows), len(NAMES))).astype(np.float32)
    labels = np.zeros(len(query_rows), dtype=bool)
    labels[np.arange(n_queries) * n_each + rng.integers(0, n_each, n_queries)] = True
    if informative:
        features[:, NAMES.index(informative)] += strength * labels
    if flat:
        features[:] = np.where(np.arange(len(NAMES)) == 1, np.nan, 1)
    return Rows(
        NAMES, features, labels, query_rows, np.arange(len(query_rows), dtype=np.int32), np.ones(n_queries), 1.0
    )


def test_ndcg_by_hand():
    labels = np.array([False, True, True, False, True])
    one = np.log2(np.array([2, 3, 4]))
    rows = Rows(NAMES, np.zeros((5, 4), np.float32), labels, np.array([0, 0, 0, 2, 2]), np.arange(5, dtype=np.int32),
                np.array([1 + 1 / one[1], 0, 1.0]), 1.0)  # fmt: skip
    assert rows.ndcg(labels.astype(float)) == 1
    first = (1 / one[1] + 1 / one[2]) / (1 + 1 / one[1])
    assert rows.ndcg(np.zeros(5)) == pytest.approx((first + 1 / one[1]) / 2)
    assert rows.ndcg(np.array([0, 0, 0, 0, 1.0])) == pytest.approx((first + 1) / 2)


def test_only_the_first_ten_count():
    rows = make_rows(0, n_queries=1, informative=None)
    assert rows.ndcg(-rows.labels.astype(float)) == 0


def test_the_figure_of_each_query_and_its_mean():
    rows = replace(make_rows(0, n_queries=3, informative=None), ideal=np.array([1.0, 0.0, 2.0]))
    each = rows.ndcg_of_each(rows.labels.astype(float))
    assert np.isnan(each[1])
    assert each[[0, 2]].tolist() == [1, 0.5]
    assert rows.ndcg(rows.labels.astype(float)) == 0.75
    assert replace(rows, ideal=np.zeros(3)).ndcg(rows.labels.astype(float)) == 0


def test_a_gain_and_its_standard_error():
    values, others = np.array([0.5, np.nan, 0.2, 0.3]), np.array([0.1, np.nan, 0.2, 0.1])
    gain, error = paired(values, others)
    assert gain == pytest.approx(0.2)
    assert error == pytest.approx(np.std([0.4, 0, 0.2], ddof=1) / np.sqrt(3))
    assert exceeds(values, others)
    assert not exceeds(values, others, 2)
    assert not exceeds(values, values)
    assert paired(np.array([np.nan]), np.array([np.nan])) == (0, 0)


def test_many_queries_have_fewer_negatives_each():
    settings = CONFIG.ranking.trees
    rows = [make_rows(seed, n_queries=50) for seed in (0, 1)]
    cases = {(100, 1000): 10, (7, 1000): 7, (0, 1000): 10, (100, 50): 1}
    for (negatives, most), expected in cases.items():
        settings = load_config({"ranking": {"trees": {"negatives": negatives, "most_rows": most}}}).ranking.trees
        assert negatives_of(rows, settings) == expected


def test_positives_and_some_of_the_rest():
    rows = make_rows(0, n_queries=200)
    features, labels = sampled(rows, 5, np.random.default_rng(0))
    assert labels.sum() == 200
    assert 700 < (~labels).sum() < 1_200
    assert len(features) == len(labels)
    assert len(sampled(rows, 0, np.random.default_rng(0))[1]) == len(rows.labels)
    without = replace(rows, labels=rows.labels & (rows.query_rows != 3))
    assert len(sampled(without, 0, np.random.default_rng(0))[1]) == len(rows.labels) - 20


def test_trees_answer_where_they_are_better():
    early, last = [make_rows(1), make_rows(2)], make_rows(3)
    choice = choose_ranker(early, last, CONFIG)
    assert choice.blend is not None
    assert choice.blend[0][1] > 0
    assert choice.record["ranker"] == "trees"
    assert choice.record["oracle"] == 1
    ranker = fit_final([*early, last], choice, CONFIG)
    assert isinstance(ranker, Blend)
    assert ranker.feature_names == NAMES
    assert len(ranker.trees.borders) == choice.n_trees
    assert make_rows(4).ndcg(ranker.score(make_rows(4).features)) > 0.9


def test_one_source_answers_where_it_is_best_alone():
    early = [
        make_rows(seed, 300, informative="ease_z", strength=-2) for seed in (1, 2)
    ]  # what they teach is wrong later
    last = make_rows(3, 1000, informative="ease_z", strength=2)
    choice = choose_ranker(early, last, CONFIG)
    assert (choice.blend, choice.n_trees) == ((("ease_z", 0.0, 1.0),), 0)
    assert choice.record["ranker"] == "source ease"
    assert fit_final([*early, last], choice, CONFIG) == Linear(("ease_z",), (1.0,))


def test_each_kind_of_query_has_its_blend():
    """Who was away is told by popularity, who acts now by EASE; the trees know neither kind."""
    names = (*NAMES, "fresh")

    def rows(seed):
        away, now = (
            make_rows(seed, 200, informative="popularity_z", strength=2),
            make_rows(seed + 50, 200, informative="ease_z", strength=2),
        )
        flags = np.repeat(np.array([0.0, 1.0], dtype=np.float32), 4000)[:, None]
        features = np.hstack([np.concatenate([away.features, now.features]), flags])
        return Rows(
            names,
            features.astype(np.float32),
            np.concatenate([away.labels, now.labels]),
            np.concatenate([away.query_rows, now.query_rows + 200]),
            np.arange(8000, dtype=np.int32),
            np.ones(400),
            1.0,
        )

    last = rows(3)
    assert last.fresh.tolist() == [False] * 200 + [True] * 200
    choice = choose_ranker([rows(1), rows(2)], last, CONFIG)
    assert [part[0] for part in choice.blend] == ["popularity_z", "ease_z"]
    assert [next(iter(set(one) - {"trees"})) for one in choice.record["blend"]] == ["popularity_z", "ease_z"]
    ranker = fit_final([rows(1), rows(2), last], choice, CONFIG)
    assert ranker.source_features == ("popularity_z", "ease_z")
    new = rows(7)
    scores = ranker.score(new.features)
    parts = [
        replace(ranker, source_features=(s,), ranker_weights=(w,), source_weights=(v,)).score(new.features)
        for s, w, v in choice.blend
    ]
    assert scores.tolist() == np.where(new.fresh[new.query_rows], parts[1], parts[0]).tolist()


def test_fusion_answers_where_nothing_beats_it():
    early, last = [make_rows(1, informative=None)], make_rows(3, informative="fusion")
    choice = choose_ranker(early, last, CONFIG)
    assert choice.blend is None
    assert "did not beat fusion" in choice.record["why"]
    assert fit_final([*early, last], choice, CONFIG) == FUSION


def test_what_a_judge_has_from_the_same_event_is_not_learned():
    """Windows overlap: a pair that both label is left out of the earlier one's rows, for this judge alone."""
    early, last = make_rows(1, informative="secret"), make_rows(3, informative="secret")
    users = np.arange(len(last.ideal), dtype=np.int32)
    early = replace(early, period=(0, 10), user_rows=users[: len(early.ideal)])
    apart = replace(last, period=(10, 20), user_rows=users)
    assert early.without_labels_of(apart) is early
    judge = replace(last, period=(9, 20), user_rows=users)
    rest = early.without_labels_of(judge)

    def labelled(rows):
        users = rows.user_rows[rows.query_rows]
        return {pair for pair, label in zip(zip(users, rows.item_rows, strict=True), rows.labels, strict=True) if label}

    assert labelled(early) & labelled(judge)
    assert labelled(rest) == labelled(early) - labelled(judge)
    assert (~rest.labels).sum() == (~early.labels).sum()
    same = replace(early, period=(9, 20))
    assert choose_ranker([early], apart, CONFIG).blend is not None
    assert "nothing to tell candidates apart by" in choose_ranker([same], same, CONFIG).record["why"]


def test_a_gain_within_its_error_is_none():
    """The secret tells hardly more than fusion does: on few queries that may be luck, on many it is not."""

    def rows(seed, n_queries):
        one = make_rows(seed, n_queries, informative="fusion", strength=1.5)
        one.features[:, NAMES.index("secret")] += 0.5 * one.labels
        return one

    few = choose_ranker([rows(1, 400), rows(2, 400)], rows(3, 20), CONFIG)
    many = choose_ranker([rows(1, 400), rows(2, 4000)], rows(3, 4000), CONFIG)
    assert many.blend is not None
    assert many.record["gain"]["mean"] > many.record["gain"]["standard_error"]
    assert many.record["gain"]["over"] == "fusion"
    assert (few.blend is None) == (few.record["gain"]["mean"] <= few.record["gain"]["standard_error"])


def test_shifts_judge_until_their_queries_are_enough():
    small, large = [make_rows(seed, 60) for seed in range(4)], [make_rows(seed, 600) for seed in range(4)]
    assert choose_ranker(small[:3], small[3], CONFIG).record["gain"]["queries"] == 240
    assert choose_ranker(large[:3], large[3], CONFIG).record["gain"]["queries"] == 1200


@pytest.mark.parametrize(
    "early",
    [
        [make_rows(1, flat=True)],
        [replace(make_rows(1), labels=np.zeros(1200, dtype=bool))],
        [replace(make_rows(1), labels=np.ones(1200, dtype=bool))],
    ],
)
def test_rows_that_tell_nothing_apart(early):
    choice = choose_ranker(early, make_rows(3), CONFIG)
    assert choice == Choice(None, 0, choice.record)
    assert "nothing to tell" in choice.record["why"]
