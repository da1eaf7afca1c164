import numpy as np
from ranker_contract import NAMES, RankerContract

from shortlist.ranking.blend import FRESH, Blend
from shortlist.ranking.trees import Trees

AND_FRESH = (*NAMES[:-1], FRESH)


def trees(names, seed=0):
    rng = np.random.default_rng(seed)
    return Trees(
        names,
        rng.integers(0, len(names), (40, 4)).astype(np.int32),
        rng.choice([-1, 0, 0.5], (40, 4)).astype(np.float32),
        rng.standard_normal((40, 16)),
        rng.integers(1, 9, (40, 16)).astype(np.float32),
    )


class TestOneKindOfQuery(RankerContract):
    def make_ranker(self):
        return Blend(trees(NAMES), ("f3",), (0.5,), (2.0,))


def features_of(n, fresh):
    features = np.random.default_rng(1).standard_normal((n, len(AND_FRESH))).astype(np.float32)
    features[:, -1] = fresh
    return features


def test_each_kind_of_query_has_its_own_sum():
    both = Blend(trees(AND_FRESH), ("f3", "f5"), (0.5, 3.0), (2.0, -1.0))
    features = features_of(9, np.arange(9) % 2)
    away = Blend(both.trees, ("f3",), (0.5,), (2.0,))
    fresh = Blend(both.trees, ("f5",), (3.0,), (-1.0,))
    np.testing.assert_array_equal(both.score(features)[::2], away.score(features[::2]))
    np.testing.assert_array_equal(both.score(features)[1::2], fresh.score(features[1::2]))
    for mine, one in zip(both.contributions(features), away.contributions(features), strict=True):
        np.testing.assert_array_equal(mine[::2], one[::2])
    bases, contributions = both.contributions(features)
    np.testing.assert_allclose(bases + contributions.sum(axis=1), both.score(features), rtol=0, atol=1e-9)


def test_the_source_counts_from_nought_on_top_of_the_trees():
    blend, features = Blend(trees(NAMES), ("f3",), (0.5,), (2.0,)), features_of(5, 0)
    bases, of_trees = blend.trees.contributions(features)
    expected = 0.5 * of_trees
    expected[:, 3] += 2.0 * features[:, 3]
    np.testing.assert_allclose(blend.contributions(features)[1], expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(blend.contributions(features)[0], 0.5 * bases, rtol=0, atol=1e-12)
