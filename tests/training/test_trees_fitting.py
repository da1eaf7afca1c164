"""Trees answered in NumPy against CatBoost's own prediction."""

import json
from pathlib import Path

import catboost
import numpy as np
import pytest

from shortlist.config import TreesSettings
from shortlist.training.ranking.trees import as_arrays, best_size, first_trees, fit_trees

NAMES = tuple(f"f{number}" for number in range(6))


def rows(seed, n=1500, missing=0.2):
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((n, len(NAMES))).astype(np.float32)
    features[:, 5] = rng.integers(0, 2, n)
    margin = 2 * features[:, 0] - np.nan_to_num(features[:, 1]) * features[:, 5]
    features[rng.random(features.shape) < missing] = np.nan
    return features, margin + rng.standard_normal(n) > 0.7


def model_of(features, labels, **settings):
    settings = {"iterations": 30, "depth": 6, "thread_count": 1, "random_seed": 0, **settings}
    return catboost.CatBoostClassifier(**settings, verbose=False, allow_writing_files=False).fit(features, labels)


def own_margins(model, features):
    return model.predict(features, prediction_type="RawFormulaVal")


@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize("from_average", [False, True])
@pytest.mark.parametrize("depth", [1, 6, 9])
def test_margins_are_catboosts(missing, from_average, depth):
    features, labels = rows(0, missing=missing)
    model = model_of(features, labels, depth=depth, boost_from_average=from_average)
    new, _ = rows(1, missing=missing)
    trees = as_arrays(model, NAMES)
    assert trees.split_features.shape == (30, depth)
    np.testing.assert_allclose(trees.score(new), own_margins(model, new), rtol=0, atol=1e-6)


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_contributions_are_catboosts_with_all_training_rows_for_reference(missing):
    features, labels = rows(0, n=300, missing=missing)
    model = model_of(features, labels, iterations=12, depth=4)
    new, _ = rows(1, n=20, missing=missing)
    pools = catboost.Pool(new, np.arange(20) % 2), catboost.Pool(features, labels)
    expected = model.get_feature_importance(pools[0], type="ShapValues", reference_data=pools[1])
    trees = as_arrays(model, NAMES)
    base, contributions = trees.contributions(new)
    assert base == pytest.approx(trees.score(features).mean(), abs=1e-6)
    np.testing.assert_allclose(contributions, expected[:, :-1], rtol=0, atol=1e-5)
    np.testing.assert_allclose(base, expected[:, -1], rtol=0, atol=1e-5)


def test_leaf_weights_count_the_training_rows():
    features, labels = rows(0, n=300)
    trees = first_trees(as_arrays(model_of(features, labels), NAMES), 7)
    assert trees.leaf_weights.sum(axis=1).tolist() == [300] * 7


def test_a_feature_missing_only_when_answering():
    features, labels = rows(0, missing=0.0)
    model = model_of(features, labels)
    new, _ = rows(1, missing=0.3)
    np.testing.assert_allclose(as_arrays(model, NAMES).score(new), own_margins(model, new), rtol=0, atol=1e-6)


def test_values_on_a_border():
    features, labels = rows(0, missing=0.1)
    features = np.round(features, 1)
    model = model_of(features, labels, border_count=16)
    trees = as_arrays(model, NAMES)
    on_borders = np.repeat(trees.borders.ravel()[:, None], len(NAMES), axis=1)
    np.testing.assert_allclose(trees.score(on_borders), own_margins(model, on_borders), rtol=0, atol=1e-6)


def test_trees_of_unequal_depth():
    """Where one yes-or-no feature is all there is, a tree has one question at most."""
    rng = np.random.default_rng(0)
    features = rng.integers(0, 2, (400, 1)).astype(np.float32)
    labels = rng.random(400) < 0.2 + 0.6 * features[:, 0]
    model = model_of(features, labels, iterations=5)
    trees = as_arrays(model, ("a",))
    assert trees.split_features.shape[1] < 6
    np.testing.assert_allclose(trees.score(features), own_margins(model, features), rtol=0, atol=1e-6)


class Exported:
    """A model that is written as given."""

    def __init__(self, trees, scale_and_bias):
        self.content = {"oblivious_trees": trees, "scale_and_bias": scale_and_bias}

    def save_model(self, path, format):
        assert format == "json"
        Path(path).write_text(json.dumps(self.content))


def test_scale_bias_and_a_tree_without_a_question():
    deep = {"splits": [{"float_feature_index": 1, "border": 0.5}], "leaf_values": [3, 5], "leaf_weights": [1, 2]}
    trees = as_arrays(
        Exported([{"splits": None, "leaf_values": [7], "leaf_weights": [3]}, deep], [2.0, [0.25]]), ("a", "b")
    )
    features = np.array([[9, 0], [9, 1]], dtype=np.float32)
    assert trees.score(features).tolist() == [2 * (7 + 3) + 0.25, 2 * (7 + 5) + 0.25]


def test_a_model_without_trees():
    assert as_arrays(Exported([], [1.0, [0.0]]), NAMES).score(rows(0)[0][:2]).tolist() == [0, 0]


def fitted(seed=0, n_trees=40):
    features, labels = rows(0)
    return fit_trees(NAMES, features, labels, TreesSettings(), n_trees=n_trees, seed=seed, threads=1)


def test_fitting_learns_and_repeats():
    trees = fitted()
    features, labels = rows(2)
    assert trees.feature_names == NAMES
    assert len(trees.borders) == 40
    margins = trees.score(features)
    assert margins[labels].mean() > margins[~labels].mean() + 0.5
    again = fitted()
    for name in ("split_features", "borders", "leaf_values"):
        assert getattr(again, name).tobytes() == getattr(trees, name).tobytes()


def test_the_first_trees_are_the_model_stopped_early():
    features, _ = rows(3)
    np.testing.assert_allclose(
        first_trees(fitted(), 15).score(features), fitted(n_trees=15).score(features), rtol=0, atol=1e-6
    )


def test_the_best_size_is_the_smallest_with_the_best_figure():
    trees, (features, labels) = fitted(), rows(4)

    def figure(margins):
        return -np.log1p(np.exp(-np.where(labels, margins, -margins))).mean()

    figures = {size: figure(first_trees(trees, size).score(features)) for size in (10, 20, 30, 40)}
    size, margins = best_size([(trees, features)], figure)
    assert size == max(figures, key=figures.get)
    np.testing.assert_allclose(margins, first_trees(trees, size).score(features), rtol=0, atol=1e-9)
    assert best_size([(trees, features)], lambda margins: 1.0)[0] == 10
    assert best_size([(first_trees(trees, 0), features)], figure)[0] == 0
    assert best_size([(first_trees(trees, 25), features)], lambda margins: -abs(margins).sum(), step=20)[0] == 20


def test_the_best_size_is_judged_by_all_rows_together():
    """Two fits, each with rows that it did not see; the figure sees them one after the other."""
    trees, other = fitted(), fitted(n_trees=40)
    one, two = rows(4)[0], rows(5)[0][:7]
    seen = []
    size, margins = best_size([(trees, one), (other, two)], lambda margins: seen.append(margins) or len(seen), step=20)
    assert size == 40
    expected = np.append(trees.score(one), other.score(two))
    np.testing.assert_allclose(margins, expected, rtol=0, atol=1e-9)
