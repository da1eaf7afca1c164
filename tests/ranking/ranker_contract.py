"""What every ranker must do. A test class inherits this and says how its ranker is made."""

from abc import ABC, abstractmethod

import numpy as np

NAMES = tuple(f"f{number}" for number in range(9))


class RankerContract(ABC):
    @abstractmethod
    def make_ranker(self):
        """A ranker of features whose names are among `NAMES`."""

    def setup_method(self):
        self.ranker = self.make_ranker()
        rng = np.random.default_rng(0)
        self.features = rng.standard_normal((2500, len(self.ranker.feature_names))).astype(np.float32)
        self.features[rng.random(self.features.shape) < 0.1] = np.nan

    def test_it_names_the_features_it_wants(self):
        names = self.ranker.feature_names
        assert isinstance(names, tuple)
        assert set(names) <= set(NAMES)
        assert len(set(names)) == len(names) > 0

    def test_one_score_per_row(self):
        scores = self.ranker.score(self.features)
        assert scores.shape == (len(self.features),)
        assert scores.dtype == np.float64
        assert len(np.unique(scores[~np.isnan(scores)])) > 10

    def test_a_row_in_any_batch_gives_the_same_bytes(self):
        scores = self.ranker.score(self.features)
        rng = np.random.default_rng(1)
        for size in (1, 2, 3, 7, 200, 1023, 1024, 1025, 2500):
            rows = rng.permutation(len(self.features))[:size]
            assert self.ranker.score(self.features[rows]).tobytes() == scores[rows].tobytes()
        for row in range(0, len(self.features), 50):
            assert self.ranker.score(self.features[row : row + 1]).tobytes() == scores[row : row + 1].tobytes()

    def test_the_layout_in_memory_does_not_matter(self):
        scores = self.ranker.score(self.features).tobytes()
        assert self.ranker.score(np.asfortranarray(self.features)).tobytes() == scores
        assert self.ranker.score(np.repeat(self.features, 2, axis=1)[:, ::2]).tobytes() == scores

    def test_no_rows(self):
        assert self.ranker.score(self.features[:0]).shape == (0,)
        bases, contributions = self.ranker.contributions(self.features[:0])
        assert (bases.shape, contributions.shape) == ((0,), self.features[:0].shape)

    def test_base_and_contributions_sum_to_the_score(self):
        rows = self.features[:200]
        bases, contributions = self.ranker.contributions(rows)
        assert contributions.shape == rows.shape
        np.testing.assert_allclose(bases + contributions.sum(axis=1), self.ranker.score(rows), rtol=0, atol=1e-9)

    def test_it_leaves_the_features_alone(self):
        before = self.features.tobytes()
        self.ranker.score(self.features)[:] = 0
        for made in self.ranker.contributions(self.features):
            made[:] = 0
        assert self.features.tobytes() == before
