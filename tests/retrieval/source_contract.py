"""What every retriever must do. A test class inherits one of these and says how its source is fitted."""

from abc import ABC, abstractmethod
from dataclasses import replace

import numpy as np
from made_logs import N_ITEMS, N_USERS, make_queries, two_groups

from shortlist.stages import stored_queries
from shortlist.topk import top_k

UNTOUCHED_ITEM, USER_WITHOUT_EVENT = N_ITEMS, N_USERS


def ask_all(log, at=None):
    """Every user of the log, the one without events and an unknown one, each at the end of the log or at ``at``."""
    users = np.append(np.arange(log.n_users), -1).astype(np.int32)
    return stored_queries(log, users, np.full(len(users), log.end if at is None else at), strictly_before=True)


class SourceContract(ABC):
    sums_over_history = False
    """Whether its scores are sums over the history's items."""

    @abstractmethod
    def make_source(self, log):
        """The source, fitted on a log."""

    def setup_method(self):
        self.log, self.held_out = two_groups(0)
        self.source = self.make_source(self.log)
        middle, end = ask_all(self.log, self.log.end // 2), ask_all(self.log)
        self.queries = end
        self.mixed = end.take(np.arange(len(end)))
        self.mixed = replace(self.mixed, at=np.where(np.arange(len(end)) % 3 == 0, middle.at, end.at))

    def test_scores_have_the_catalogues_shape(self):
        scores = self.source.score_catalogue(self.queries)
        assert scores.shape == (len(self.queries), self.log.n_items)
        assert scores.dtype == np.float32
        assert not np.isinf(scores).any()

    def test_proposals_are_the_best_that_evidence_favours(self):
        rng = np.random.default_rng(1)
        scores = self.source.score_catalogue(self.queries)
        everything = np.ones_like(scores, dtype=bool)
        n_proposed = 0
        for n, allowed in (
            (1, None),
            (7, rng.random(scores.shape) < 0.5),
            (40, rng.random(scores.shape) < 0.1),
            (7, None),
        ):
            proposed = self.source.propose(self.queries, n, allowed)
            for q, mask in enumerate(everything if allowed is None else allowed):
                favoured = [i for i in np.flatnonzero(mask) if scores[q, i] > self.source.proposes_above]
                expected = sorted(favoured, key=lambda item, q=q: (-scores[q, item], item))[:n]
                assert proposed[q].tolist() == expected
                assert proposed[q].dtype == np.int32
                n_proposed += len(expected)
        assert n_proposed > len(self.queries)

    def test_nothing_allowed_nothing_proposed(self):
        nothing = np.zeros((len(self.queries), self.log.n_items), dtype=bool)
        assert all(len(items) == 0 for items in self.source.propose(self.queries, 5, nothing))

    def test_more_than_the_catalogue_may_be_asked(self):
        some = self.source.propose(self.queries, self.log.n_items)
        more = self.source.propose(self.queries, 10 * self.log.n_items)
        assert all(np.array_equal(a, b) for a, b in zip(some, more, strict=True))

    def test_what_nobody_touched_is_never_proposed(self):
        assert np.isnan(self.source.score_catalogue(self.queries)[:, UNTOUCHED_ITEM]).all()
        assert all(UNTOUCHED_ITEM not in items for items in self.source.propose(self.queries, self.log.n_items))

    def test_fitted_again_it_says_the_same(self):
        again = self.make_source(self.log).score_catalogue(self.queries)
        assert again.tobytes() == self.source.score_catalogue(self.queries).tobytes()

    def test_a_query_in_any_batch_gives_the_same_bytes(self):
        scores = self.source.score_catalogue(self.mixed)
        rng = np.random.default_rng(2)
        for size in (1, 1, 2, 5, 30, len(self.mixed)):
            rows = rng.permutation(len(self.mixed))[:size]
            for source in (self.source, self.make_source(self.log)):
                assert source.score_catalogue(self.mixed.take(rows)).tobytes() == scores[rows].tobytes()
        for q in range(len(self.mixed)):
            assert self.source.score_catalogue(self.mixed.block(q, q + 1)).tobytes() == scores[q].tobytes()

    def test_distinct_scores_are_the_scores(self):
        rows, places = self.source.distinct_scores(self.mixed)
        assert rows[places].tobytes() == self.source.score_catalogue(self.mixed).tobytes()

    def test_any_item_can_be_scored(self):
        rng = np.random.default_rng(3)
        items = [rng.integers(0, self.log.n_items, q % 5).astype(np.int32) for q in range(len(self.queries))]
        scores = self.source.score_catalogue(self.queries)
        for q, answered in enumerate(self.source.score(self.queries, items)):
            assert answered.tobytes() == scores[q, items[q]].tobytes()

    def test_contributions_of_the_history_sum_to_the_scores(self):
        scores = self.source.score_catalogue(self.mixed)
        n_items = 0
        for q in range(0, len(self.mixed), 3):
            query, items = self.mixed.block(q, q + 1), np.flatnonzero(~np.isnan(scores[q])).astype(np.int32)[::-1]
            found = self.source.contributions(query, items)
            assert (found is not None) == self.sums_over_history
            if found is not None:
                assert found.amounts.shape == (len(items), len(found.item_rows))
                assert len(set(found.item_rows.tolist())) == len(found.item_rows)
                assert set(found.item_rows.tolist()) <= set(query.item_rows[query.weights > 0].tolist())
                np.testing.assert_allclose(found.amounts.sum(axis=1), scores[q, items], rtol=1e-4, atol=1e-6)
                n_items += len(items)
        assert n_items > 100 or not self.sums_over_history

    def test_an_empty_batch_gives_an_empty_answer(self):
        nobody = self.queries.block(0, 0)
        assert self.source.score_catalogue(nobody).shape == (0, self.log.n_items)
        assert self.source.propose(nobody, 3) == []
        assert self.source.score(nobody, []) == []

    def test_it_leaves_its_input_alone(self):
        before = [array.tobytes() for array in (self.queries.item_rows, self.queries.weights, self.queries.at)]
        self.source.propose(self.queries, 5)
        self.source.score_catalogue(self.queries)[:] = 7
        assert [a.tobytes() for a in (self.queries.item_rows, self.queries.weights, self.queries.at)] == before
        assert not (self.source.score_catalogue(self.queries) == 7).all()


class PersonalSourceContract(SourceContract):
    """A source that tells one user from another."""

    def recall_of_held_out(self, shuffled):
        """Share of the held-out items among the twenty best unseen ones: a group of thirty less ten seen."""
        log, held_out = two_groups(5, shuffled)
        queries = ask_all(log)
        allowed = np.ones((len(queries), log.n_items), dtype=bool)
        allowed[queries.event_queries, queries.item_rows] = False
        best = top_k(self.make_source(log).score_catalogue(queries), 20, allowed)
        fresh = [(u, i) for u, i in zip(held_out.user_rows, held_out.item_rows, strict=True) if allowed[u, i]]
        return np.mean([i in best[u] for u, i in fresh])

    def test_the_users_own_group_comes_first(self):
        assert self.recall_of_held_out(shuffled=False) > 0.95

    def test_without_structure_there_is_no_gain(self):
        assert self.recall_of_held_out(shuffled=True) < 0.55  # by chance: 20 of about 50

    def test_without_a_history_it_abstains(self):
        scores = self.source.score_catalogue(self.queries)
        assert np.isnan(scores[[USER_WITHOUT_EVENT, -1]]).all()
        assert not np.isnan(scores[0]).all()
        assert [len(self.source.propose(self.queries, 9)[q]) for q in (USER_WITHOUT_EVENT, -1)] == [0, 0]


class HistorySourceContract(PersonalSourceContract):
    """A source that answers from the history alone."""

    def test_an_unknown_user_with_a_history_is_answered_like_a_known_one(self):
        unknown = replace(self.queries, user_rows=np.full(len(self.queries), -1, dtype=np.int32))
        assert self.source.score_catalogue(unknown).tobytes() == self.source.score_catalogue(self.queries).tobytes()

    def test_events_that_are_no_positives_are_no_evidence(self):
        weights = np.zeros_like(self.queries.weights)
        assert np.isnan(self.source.score_catalogue(replace(self.queries, weights=weights))).all()
        with_more = self.source.score_catalogue(make_queries([[3, 2]], weights=[1, 1]))
        without = self.source.score_catalogue(make_queries([[5, 3, 2]], weights=[0, 1, 1]))
        assert with_more.tobytes() == without.tobytes()


class IdSourceContract(PersonalSourceContract):
    """A source that knows users by id."""

    def test_an_unknown_user_with_a_history_is_abstained_for(self):
        assert np.isnan(self.source.score_catalogue(make_queries([[1, 2, 3]]))).all()

    def test_the_history_does_not_matter(self):
        cleared = make_queries([[] for _ in range(len(self.queries))], self.queries.user_rows, self.queries.at)
        assert self.source.score_catalogue(cleared).tobytes() == self.source.score_catalogue(self.queries).tobytes()
