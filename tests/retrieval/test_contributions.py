"""What a history's items contribute to scores, against dense matrices and plain loops."""

import numpy as np
import pytest
import scipy.sparse as sp
from made_logs import make_queries, two_groups
from source_contract import ask_all

from shortlist.retrieval.item_item import ItemItem
from shortlist.retrieval.vectors import FoldedVectors
from shortlist.training.retrieval.als import fit_als
from shortlist.training.retrieval.ease import fit_ease


def test_item_item_by_hand():
    """Item 0 came twice, the second time as the latest event; item 2 does not count; item 1 pulls item 3 down."""
    matrix = np.array([[0, 5, 0, 8], [0, 0, 0, -2], [7, 7, 7, 7], [0, 0, 0, 0]], dtype=np.float32)
    source = ItemItem.of("near", sp.csr_matrix(matrix), decay=0.5)
    query = make_queries([[0, 2, 1, 0]], weights=[1, 0, 1, 1])
    found = source.contributions(query, np.array([3, 1], dtype=np.int32))
    assert found.item_rows.tolist() == [0, 1]
    assert found.amounts.tolist() == [[8 * (1 + 0.125), -2 * 0.5], [5 * (1 + 0.125), 0]]
    scores = source.score_catalogue(query)[0]
    assert found.amounts.sum(axis=1).tolist() == [scores[3], scores[1]] == [8.0, 5.625]


def test_only_the_latest_events_contribute_where_only_they_count():
    source = ItemItem.of("near", sp.csr_matrix(np.ones((3, 3), dtype=np.float32)))
    source = ItemItem(source.name, source.indptr, source.item_rows, source.values, latest=1)
    found = source.contributions(make_queries([[0, 1]]), np.array([2], dtype=np.int32))
    assert (found.item_rows.tolist(), found.amounts.tolist()) == ([1], [[1.0]])


def test_ease_against_the_dense_matrix():
    log, _ = two_groups(4)
    source, queries = fit_ease(log, regularisation=20.0, decay=0.9), ask_all(log)
    dense = source.matrix.toarray().astype(np.float64)
    items = np.arange(log.n_items, dtype=np.int32)
    for q in range(0, len(queries), 10):
        query = queries.block(q, q + 1)
        found = source.contributions(query, items)
        expected = np.zeros((log.n_items, log.n_items))  # of a history item (row) to an item
        for back, (item, weight) in enumerate(zip(query.item_rows[::-1], query.weights[::-1], strict=True)):
            expected[item] += 0.9**back * weight * dense[item]
        np.testing.assert_allclose(found.amounts, expected[found.item_rows].T, rtol=1e-5, atol=1e-7)
        rest = np.delete(expected, found.item_rows, axis=0)
        assert np.abs(rest).max(initial=0) < 1e-6


@pytest.mark.parametrize("decay", [1.0, 0.8])
def test_als_against_the_inverse(decay):
    log, _ = two_groups(5)
    source, queries = fit_als(log, regularisation=0.5, dimension=6, iterations=3, decay=decay), ask_all(log)
    v = source.item_vectors.astype(np.float64)
    for q in range(0, len(queries), 10):
        query = queries.block(q, q + 1)
        weights = np.zeros(log.n_items)
        for back, (item, weight) in enumerate(zip(query.item_rows[::-1], query.weights[::-1], strict=True)):
            weights[item] += decay**back * weight
        c = np.log2(1 + weights)
        system = source.prior + (v.T * c) @ v + source.ridge * c.sum() * np.eye(6)
        expected = v @ np.linalg.inv(system) @ v.T * c  # (n_items, n_items)
        found = source.contributions(query, np.arange(log.n_items, dtype=np.int32))
        np.testing.assert_allclose(found.amounts, expected[:, found.item_rows], rtol=1e-3, atol=1e-6)
        assert (np.abs(expected).sum(axis=0) > 0).sum() == len(found.item_rows)


def test_als_of_nothing():
    source = FoldedVectors(
        "als", np.ones((2, 1), dtype=np.float32), np.eye(1, dtype=np.float32), 1.0, np.array([True, False])
    )
    for history in ([], [1]):
        found = source.contributions(make_queries([history]), np.array([0], dtype=np.int32))
        assert (found.item_rows.tolist(), found.amounts.shape) == ([], (1, 0))
