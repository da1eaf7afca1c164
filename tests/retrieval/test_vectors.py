import numpy as np
from made_logs import make_queries
from source_contract import IdSourceContract

from shortlist.retrieval.vectors import IdVectors


def factorised(log, d=2):
    """Vectors from the singular values of the user-item matrix."""
    x = np.zeros((log.n_users, log.n_items))
    taken = log.positives()
    x[taken.user_rows, taken.item_rows] = 1
    u, s, v = np.linalg.svd(x)
    return IdVectors(
        "vectors",
        (u[:, :d] * s[:d]).astype(np.float32),
        np.ascontiguousarray(v[:d].T).astype(np.float32),
        np.zeros(log.n_items, dtype=np.float32),
        x.sum(axis=1) > 0,
        x.sum(axis=0) > 0,
    )


class TestIdVectors(IdSourceContract):
    def make_source(self, log):
        return factorised(log)


class TestManyDimensions(IdSourceContract):
    """Long vectors, where the order of a sum shows in its last bits; the extra dimensions say little."""

    def make_source(self, log):
        small = factorised(log)
        noise = np.random.default_rng(0).standard_normal((log.n_users + log.n_items, 95)) * 1e-2
        return IdVectors(
            small.name,
            np.hstack([small.user_vectors, noise[: log.n_users]]).astype(np.float32),
            np.hstack([small.item_vectors, noise[log.n_users :]]).astype(np.float32),
            small.item_biases,
            small.trained_users,
            small.trained_items,
        )


def test_scores_by_hand():
    source = IdVectors(
        "v",
        np.array([[1, 2], [0, -1], [5, 5]], dtype=np.float32),
        np.array([[1, 0], [0, 1], [1, 1]], dtype=np.float32),
        np.array([0.5, 0, 7], dtype=np.float32),
        np.array([True, True, False]),
        np.array([True, True, False]),
    )
    queries = make_queries([[], [], [], []], user_rows=[1, 0, 2, -1])
    expected = [[0.5, -1, np.nan], [1.5, 2, np.nan], [np.nan] * 3, [np.nan] * 3]
    np.testing.assert_array_equal(source.score_catalogue(queries), np.array(expected, dtype=np.float32))
    assert [items.tolist() for items in source.propose(queries, 3)] == [[0, 1], [1, 0], [], []]
