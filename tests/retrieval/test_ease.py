import numpy as np
import pytest
from made_logs import make_log, two_groups
from source_contract import HistorySourceContract

from shortlist.errors import DataError
from shortlist.training.retrieval import ease
from shortlist.training.retrieval.ease import ease_weights, fit_ease, gram_matrix, interaction_matrix


class TestEase(HistorySourceContract):
    sums_over_history = True

    def make_source(self, log):
        return fit_ease(log, regularisation=20.0, decay=0.9)


class TestEaseOfFewNeighbours(HistorySourceContract):
    sums_over_history = True

    def make_source(self, log):
        return fit_ease(log, regularisation=20.0, neighbours=25)


def ridge_by_column(x, regularisation):
    """Each item's column from all the other items: a ridge regression of its own, in float64."""
    n_items = x.shape[1]
    weights = np.zeros((n_items, n_items))
    for j in range(n_items):
        others = np.delete(np.arange(n_items), j)
        a = x[:, others]
        weights[others, j] = np.linalg.solve(a.T @ a + regularisation * np.eye(n_items - 1), a.T @ x[:, j])
    return weights


@pytest.mark.parametrize("regularisation", [0.5, 30.0])
def test_weights_are_those_of_a_ridge_regression_per_item(regularisation):
    log, _ = two_groups(3)
    log = log.positives()
    x = interaction_matrix(log).toarray().astype(np.float64)
    assert x.sum() == len(set(zip(log.user_rows, log.item_rows, strict=True)))
    np.testing.assert_allclose(
        ease_weights(gram_matrix(log), regularisation), ridge_by_column(x, regularisation), atol=2e-5
    )


def test_the_gram_matrix_counts_users_over_several_blocks():
    rng = np.random.default_rng(0)
    log = make_log(rng.integers(0, 5000, 9000), rng.integers(0, 7, 9000), 5000, 7)
    x = np.zeros((5000, 7))
    x[log.user_rows, log.item_rows] = 1
    np.testing.assert_array_equal(gram_matrix(log), x.T @ x)


def test_only_positives_teach_and_repeats_count_once():
    users, items = [0, 0, 1, 1, 1, 2], [0, 1, 1, 2, 2, 0]
    log = make_log([*users, 2], [*items, 2], 3, 3, weights=[1] * 6 + [0])
    taught = make_log(users, items, 3, 3)
    once = make_log([0, 0, 1, 1, 2], [0, 1, 1, 2, 0], 3, 3)
    expected = fit_ease(once, regularisation=1.0).matrix.toarray()
    np.testing.assert_array_equal(fit_ease(log, regularisation=1.0).matrix.toarray(), expected)
    np.testing.assert_array_equal(fit_ease(taught, regularisation=1.0).matrix.toarray(), expected)


def test_where_all_items_cost_too_much_the_frequent_ones_are_inverted(monkeypatch):
    users, items = [0, 0, 0, 1, 1, 2, 2, 2], [1, 3, 4, 3, 4, 1, 4, 0]
    log = make_log(users, items, 3, 5)
    renumbered = {1: 0, 3: 1, 4: 2}
    kept = [(user, renumbered[item]) for user, item in zip(users, items, strict=True) if item in renumbered]
    expected = fit_ease(make_log(*zip(*kept, strict=True), 3, 3), regularisation=1.0).matrix.toarray()
    monkeypatch.setattr(ease, "MOST_INVERTED", 0)
    monkeypatch.setattr(ease, "FEWEST_INVERTED", 3)
    found = fit_ease(log, regularisation=1.0).matrix.toarray()
    np.testing.assert_array_equal(found[np.ix_([1, 3, 4], [1, 3, 4])], expected)
    assert np.count_nonzero(found) == np.count_nonzero(expected) > 0


def test_a_catalogue_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(ease, "MAX_ITEMS", 3)
    with pytest.raises(DataError, match="4 items, at most 3"):
        fit_ease(make_log([0], [0], 1, 4), regularisation=1.0)


def test_a_matrix_that_cannot_be_inverted_is_refused():
    with pytest.raises(DataError, match="not positive definite"):
        ease_weights(np.array([[1, 2], [2, 1]], dtype=np.float32), 0.1)
