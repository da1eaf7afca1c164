import numpy as np
from ranker_contract import NAMES, RankerContract

from shortlist.ranking.linear import BY_PREDICTED_RATING, FUSION, Linear


class TestLinear(RankerContract):
    def make_ranker(self):
        return Linear(NAMES, tuple(0.1 * 3**n for n in range(len(NAMES))))


class TestOneFeature(RankerContract):
    def make_ranker(self):
        return Linear(NAMES[:1], (1.0,))


def test_a_weighted_sum_by_hand():
    features = np.array([[1, 2], [3, -4]], dtype=np.float32)
    assert Linear(("a", "b"), (10.0, 0.5)).score(features).tolist() == [11, 28]


def test_the_dull_ones():
    assert (FUSION.feature_names, BY_PREDICTED_RATING.feature_names) == (("fusion",), ("predicted_rating",))
    assert FUSION.score(np.array([[0.25]], dtype=np.float32)).tolist() == [0.25]
