import numpy as np
import pytest
from made_logs import make_log, two_groups
from source_contract import HistorySourceContract

from shortlist.training.retrieval.covisitation import STEP_DECAY, count_covisits, fit_covisitation, normalise


class TestCovisitation(HistorySourceContract):
    sums_over_history = True

    def make_source(self, log):
        return fit_covisitation(log, window=12, popularity_power=0.25)


class TestTakenUpTogether(HistorySourceContract):
    sums_over_history = True

    def make_source(self, log):
        return fit_covisitation(log, window=0, popularity_power=0.5, decay=1.0)


def counts_by_loops(log, window):
    counts = np.zeros((log.n_items, log.n_items))
    for user in range(log.n_users):
        of_user = (log.user_rows == user) & (log.weights > 0)
        items = log.item_rows[of_user].tolist()  # a log is in order of time
        for p, first in enumerate(items):
            for q in range(p + 1, min(p + window, len(items) - 1) + 1):
                if items[q] != first:
                    counts[first, items[q]] += STEP_DECAY ** (q - p - 1)
    return counts


@pytest.mark.parametrize("window", [1, 3, 50])
def test_counts_are_those_of_plain_loops(window):
    log, _ = two_groups(1)
    repeats = make_log([0, 0, 0, 0, 1, 1], [2, 2, 3, 2, 2, 4], 3, 5)
    for each in (log, repeats):
        np.testing.assert_allclose(count_covisits(each, window).toarray(), counts_by_loops(each, window), rtol=1e-5)


def test_without_order_users_are_counted():
    log = make_log([0, 0, 1, 1, 1, 2, 2], [0, 1, 1, 0, 0, 2, 1], 3, 3, weights=[1, 1, 1, 1, 1, 1, 0])
    np.testing.assert_array_equal(count_covisits(log, 0).toarray(), [[0, 2, 0], [2, 0, 0], [0, 0, 0]])


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_weights_by_the_formula(power):
    log, _ = two_groups(1)
    counts = counts_by_loops(log, 5)
    rows, columns = counts.sum(axis=1, keepdims=True), counts.sum(axis=0, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = np.where(counts > 0, counts / rows / columns**power, 0)
    np.testing.assert_allclose(normalise(count_covisits(log, 5), power).toarray(), expected, rtol=1e-4)
    source = fit_covisitation(log, window=5, popularity_power=power, neighbours=1000)
    np.testing.assert_allclose(source.matrix.toarray(), expected, rtol=1e-4)


def test_direction_matters():
    matrix = fit_covisitation(make_log([0, 0, 1, 1], [0, 1, 0, 1], 2, 2), window=1, popularity_power=0.0).matrix
    np.testing.assert_array_equal(matrix.toarray(), [[0, 1], [0, 0]])


@pytest.mark.parametrize("n_events", [0, 1, 2])
def test_a_log_shorter_than_the_window(n_events):
    log = make_log([0] * n_events, [0, 1][:n_events], 1, 2)
    assert fit_covisitation(log, window=20, popularity_power=0.5).matrix.nnz == max(n_events - 1, 0)
