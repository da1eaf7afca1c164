import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from made_logs import make_queries

from shortlist.retrieval import item_item
from shortlist.retrieval.item_item import ItemItem, keep_strongest
from shortlist.training.retrieval.covisitation import strongest_followers

MATRIX = np.array([[0, 2, 0, 1], [4, 0, 0, 0], [0, 0, 0, -3], [0, 0, 5, 0]], dtype=np.float32)
nan = np.nan


def source(matrix=MATRIX, **settings):
    return ItemItem("x", *(lambda m: (m.indptr, m.indices, m.data))(sp.csr_matrix(matrix)), **settings)


def test_scores_by_hand():
    queries = make_queries([[0], [1, 0], [2], [], [0, 0]])
    expected = [[nan, 2, nan, 1], [4, 2, nan, 1], [nan, nan, nan, -3], [nan] * 4, [nan, 4, nan, 2]]
    np.testing.assert_array_equal(source().score_catalogue(queries), np.array(expected, dtype=np.float32))


def test_the_latest_event_counts_most():
    queries = make_queries([[0, 1], [1, 0]])
    expected = np.array([[4, 1, nan, 0.5], [2, 2, nan, 1]], dtype=np.float32)
    np.testing.assert_array_equal(source(decay=0.5).score_catalogue(queries), expected)


def test_only_the_latest_events_may_count():
    queries = make_queries([[3, 0, 1], [3], []])
    expected = np.array([[4, 2, nan, 1], [nan, nan, 5, nan], [nan] * 4], dtype=np.float32)
    np.testing.assert_array_equal(source(latest=2).score_catalogue(queries), expected)


def test_weights_of_the_history_count():
    queries = make_queries([[0, 1]], weights=[0.5, 2])
    np.testing.assert_array_equal(source().score_catalogue(queries), np.array([[8, 1, nan, 0.5]], dtype=np.float32))


def test_a_score_below_zero_is_kept_but_not_proposed():
    assert source().propose(make_queries([[2], [1, 2]]), 4)[0].tolist() == []
    assert source().propose(make_queries([[2], [1, 2]]), 4)[1].tolist() == [0]


def test_of_sorts_rows_and_keeps_types():
    matrix = sp.csr_matrix((np.array([1.0, 2.0]), np.array([2, 0]), np.array([0, 2, 2, 2])), shape=(3, 3))
    made = ItemItem.of("x", matrix, 0.5)
    assert made.item_rows.tolist() == [0, 2]
    assert (made.indptr.dtype, made.item_rows.dtype, made.values.dtype) == (np.int64, np.int32, np.float32)
    assert made.decay == 0.5


@pytest.mark.parametrize("density", [0.02, 0.3])
def test_dense_and_sparse_product_agree(monkeypatch, density):
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((300, 300)) * (rng.random((300, 300)) < density)
    queries = make_queries([rng.integers(0, 300, rng.integers(0, 60)).tolist() for _ in range(20)])
    as_it_is = source(matrix.astype(np.float32), decay=0.9).score_catalogue(queries)
    monkeypatch.setattr(item_item, "MAX_DENSE_CELLS", 0)
    sparse = source(matrix.astype(np.float32), decay=0.9)
    assert sp.issparse(sparse._operand)
    np.testing.assert_allclose(sparse.score_catalogue(queries), as_it_is, rtol=1e-4, atol=1e-6)
    for q in range(20):  # the sparse product, too, gives single = batch to the byte
        alone = sparse.score_catalogue(queries.block(q, q + 1))
        assert alone.tobytes() == sparse.score_catalogue(queries)[q].tobytes()


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_items=st.integers(1, 9), n=st.integers(1, 12))
def test_the_strongest_of_each_column_are_kept(seed, n_items, n):
    matrix = np.random.default_rng(seed).integers(-4, 5, (n_items, n_items)).astype(np.float32)
    kept = keep_strongest(matrix, n).toarray()
    for column, left in zip(matrix.T, kept.T, strict=True):
        assert np.array_equal(left[left != 0], column[left != 0])
        sizes = sorted(np.abs(column), reverse=True)[:n]
        assert sorted(np.abs(left), reverse=True)[:n] == sizes
        assert (left != 0).sum() <= n


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_items=st.integers(1, 9), n=st.integers(1, 12))
def test_the_largest_of_each_row_are_kept(seed, n_items, n):
    matrix = np.random.default_rng(seed).integers(0, 5, (n_items, n_items)).astype(np.float32)
    kept = strongest_followers(sp.csr_matrix(matrix), n).toarray()
    for row, left in zip(matrix, kept, strict=True):
        best = sorted(range(n_items), key=lambda j, row=row: (-row[j], j))[:n]
        assert np.array_equal(left, np.where(np.isin(np.arange(n_items), best), row, 0))
