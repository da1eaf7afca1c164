import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ranker_contract import NAMES, RankerContract

from shortlist.errors import ArtifactError
from shortlist.ranking.trees import MAX_DEPTH, Trees


def random_trees(seed, n_trees, depth):
    rng = np.random.default_rng(seed)
    return Trees(
        NAMES,
        rng.integers(0, len(NAMES), (n_trees, depth)).astype(np.int32),
        rng.choice([-1, 0, 0.5, math.inf], (n_trees, depth)).astype(np.float32),
        rng.standard_normal((n_trees, 2**depth)),
    )


class TestTrees(RankerContract):
    def make_ranker(self):
        return random_trees(0, 137, 6)


class TestDeepTrees(RankerContract):
    def make_ranker(self):
        return random_trees(1, 3, 10)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_trees=st.integers(0, 9), depth=st.integers(1, 10))
def test_scores_are_those_of_walking_down(seed, n_trees, depth):
    trees = random_trees(seed, n_trees, depth)
    features = np.random.default_rng(seed).choice([-2, -1, 0, 0.25, 0.5, 3, math.nan], (5, len(NAMES)))
    features = features.astype(np.float32)
    for row, score in zip(features, trees.score(features), strict=True):
        expected = 0.0
        for t in range(n_trees):
            leaf = sum(2**d for d in range(depth) if row[trees.split_features[t, d]] > trees.borders[t, d])
            expected += trees.leaf_values[t, leaf]
        assert score == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_one_tree_by_hand():
    trees = Trees(
        ("a", "b"),
        np.array([[0, 1]], dtype=np.int32),
        np.array([[1, 5]], dtype=np.float32),
        np.array([[10.0, 20, 30, 40]]),
    )
    features = np.array([[1, 5], [2, 5], [1, 6], [2, 6], [math.nan, 6]], dtype=np.float32)
    assert trees.score(features).tolist() == [10, 20, 30, 40, 30]


def test_no_trees_know_nothing():
    assert random_trees(0, 0, 6).score(np.ones((3, len(NAMES)), dtype=np.float32)).tolist() == [0, 0, 0]


@pytest.mark.parametrize("depth", [8, 9, MAX_DEPTH])
def test_the_last_leaf_of_a_deep_tree(depth):
    split_features = np.zeros((2, depth), dtype=np.int32)
    leaf_values = np.zeros((2, 2**depth))
    leaf_values[:, -1] = 1, 2
    trees = Trees(("a",), split_features, np.zeros((2, depth), dtype=np.float32), leaf_values)
    assert trees.score(np.array([[1], [-1]], dtype=np.float32)).tolist() == [3, 0]


def test_arrays_that_do_not_fit_are_refused():
    trees = random_trees(0, 2, 3)
    with pytest.raises(ArtifactError, match="2 trees of depth 3, but borders"):
        Trees(NAMES, trees.split_features, trees.borders[:1], trees.leaf_values)
    with pytest.raises(ArtifactError, match="leaf values"):
        Trees(NAMES, trees.split_features, trees.borders, trees.leaf_values[:, :4])
    for wrong in (-1, len(NAMES)):
        with pytest.raises(ArtifactError, match="outside the 9 features"):
            Trees(NAMES, np.full((2, 3), wrong, dtype=np.int32), trees.borders, trees.leaf_values)
    with pytest.raises(ArtifactError, match="depth 17, at most 16"):
        Trees(NAMES, np.zeros((0, 17), dtype=np.int32), np.zeros((0, 17), dtype=np.float32), np.zeros((0, 2**17)))
