"""Exact Shapley values of symmetric trees, against their definition: every set of features, every background row."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shortlist.errors import ArtifactError
from shortlist.ranking.shapley import possible_leaves
from shortlist.ranking.trees import Trees

NAMES = ("a", "b", "c", "d")
VALUES = [-2, -1, 0, 0.25, 0.5, 3, math.nan]


def some_rows(rng, n):
    return rng.choice(VALUES, (n, len(NAMES))).astype(np.float32)


def counted(trees, background):
    """The trees with the number of background rows in each leaf, found by walking down."""
    weights = np.zeros(trees.leaf_values.shape, dtype=np.float32)
    for t, leaves in enumerate(weights):
        for row in background:
            leaves[sum(2**d for d, f in enumerate(trees.split_features[t]) if row[f] > trees.borders[t, d])] += 1
    return Trees(trees.feature_names, trees.split_features, trees.borders, trees.leaf_values, weights)


def made(rng, n_trees, depth):
    return Trees(
        NAMES,
        rng.integers(0, len(NAMES), (n_trees, depth)).astype(np.int32),
        rng.choice([-1, 0, 0.5, math.inf], (n_trees, depth)).astype(np.float32),
        rng.standard_normal((n_trees, 2**depth)),
    )


def by_definition(trees, background, row):
    """The value of each feature: its gain, averaged over the orders in which the features may come."""
    n = len(NAMES)

    def worth(members):
        mixed = background.copy()
        mixed[:, list(members)] = row[list(members)]
        return trees.score(mixed).mean()

    values = np.zeros(n)
    for feature in range(n):
        others = [other for other in range(n) if other != feature]
        for size in range(n):
            weight = math.factorial(size) * math.factorial(n - 1 - size) / math.factorial(n)
            for members in combinations(others, size):
                values[feature] += weight * (worth((*members, feature)) - worth(members))
    return worth(()), values


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_trees=st.integers(1, 4), depth=st.integers(1, 5), n=st.integers(1, 9))
def test_they_are_the_values_of_the_definition(seed, n_trees, depth, n):
    """A feature asked several times in a tree, borders that nothing is above and unknown values among them."""
    rng = np.random.default_rng(seed)
    background, rows = some_rows(rng, n), some_rows(rng, 3)
    trees = counted(made(rng, n_trees, depth), background)
    base, contributions = trees.contributions(rows)
    for row, found in zip(rows, contributions, strict=True):
        expected_base, expected = by_definition(trees, background, row)
        assert base == pytest.approx(expected_base, abs=1e-9)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_trees=st.integers(0, 30),
    depth=st.integers(1, 7),
    n=st.integers(0, 20),
    has_weights=st.booleans(),
)
def test_base_and_contributions_sum_to_the_score(seed, n_trees, depth, n, has_weights):
    rng = np.random.default_rng(seed)
    trees, rows = made(rng, n_trees, depth), some_rows(rng, n)
    if has_weights:
        trees = counted(trees, some_rows(rng, 5))
    base, contributions = trees.contributions(rows)
    assert contributions.shape == rows.shape
    np.testing.assert_allclose(base + contributions.sum(axis=1), trees.score(rows), rtol=0, atol=1e-9)


def test_without_counts_every_leaf_that_can_be_reached_counts_alike():
    """Above 0 and above 1 of the same feature: three of the four leaves are possible."""
    trees = Trees(
        ("a",),
        np.array([[0, 0]], dtype=np.int32),
        np.array([[1, 0]], dtype=np.float32),
        np.array([[1.0, 100, 3, 8]]),
    )
    base, contributions = trees.contributions(np.array([[-1], [0.5], [2]], dtype=np.float32))
    assert base == pytest.approx(4)
    np.testing.assert_allclose(contributions[:, 0], [-3, -1, 4])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), depth=st.integers(1, 6))
def test_possible_leaves_are_those_that_some_row_reaches(seed, depth):
    rng = np.random.default_rng(seed)
    split_features = rng.integers(0, 2, (5, depth)).astype(np.int32)
    borders = rng.choice([-1, 0, 0.5, math.inf], (5, depth)).astype(np.float32)
    shares = possible_leaves(split_features, borders)
    values = [-2, -0.5, 0.25, 1]
    rows = np.array([(a, b) for a in values for b in values])
    for t in range(5):
        above = rows[:, split_features[t]] > borders[t]
        reached = set((above << np.arange(depth)).sum(axis=1).tolist())
        assert set(np.flatnonzero(shares[t]).tolist()) == reached
        assert shares[t].sum() == pytest.approx(1)


def test_deep_trees():
    rng = np.random.default_rng(0)
    trees, rows = made(rng, 2, 10), some_rows(rng, 4)
    base, contributions = trees.contributions(rows)
    np.testing.assert_allclose(base + contributions.sum(axis=1), trees.score(rows), rtol=0, atol=1e-9)
    with pytest.raises(ArtifactError, match="depth 11, at most 10 can be explained"):
        made(rng, 1, 11).contributions(rows)


def test_counts_of_another_shape_are_refused():
    trees = made(np.random.default_rng(0), 2, 3)
    with pytest.raises(ArtifactError, match="leaf weights"):
        Trees(NAMES, trees.split_features, trees.borders, trees.leaf_values, np.ones((2, 4), dtype=np.float32))
