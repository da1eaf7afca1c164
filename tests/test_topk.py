import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shortlist.topk import ordered, select_top, top_k

LOWEST = -float(np.finfo(np.float32).max)
SOME = [math.nan, math.inf, -math.inf, LOWEST, 0.0, -0.0, 1.0, 1.0, 2.0, -3.5, 1e-40]


def best_by_sorting(scores, k, allowed):
    keys = [LOWEST if math.isnan(s) or s < LOWEST else s for s in scores.tolist()]
    return sorted(np.flatnonzero(allowed).tolist(), key=lambda item: (-keys[item], item))[:k]


tables = st.integers(1, 12).flatmap(
    lambda n_items: st.lists(
        st.tuples(
            st.lists(st.sampled_from(SOME), min_size=n_items, max_size=n_items),
            st.lists(st.booleans(), min_size=n_items, max_size=n_items),
        ),
        min_size=1,
        max_size=4,
    )
)


def check_selection(table, k):
    scores = np.array([row for row, _ in table], dtype=np.float32)
    allowed = np.array([mask for _, mask in table])
    given_scores, given_mask = scores.copy(), allowed.copy()
    selected = select_top(scores, k, allowed)
    for row in range(len(table)):
        assert set(np.flatnonzero(selected[row])) == set(best_by_sorting(scores[row], k, allowed[row]))
    np.testing.assert_array_equal(scores, given_scores)
    np.testing.assert_array_equal(allowed, given_mask)


@settings(max_examples=400, deadline=None)
@given(table=tables, k=st.integers(1, 15))
def test_the_selection_is_that_of_sorting(table, k):
    check_selection(table, k)


@pytest.mark.soak
@settings(max_examples=10_000, deadline=None)
@given(table=tables, k=st.integers(1, 15))
def test_ten_thousand_selections_are_those_of_sorting(table, k):
    check_selection(table, k)


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 80), levels=st.sampled_from([2, 5, 1000]))
def test_lists_are_those_of_sorting(seed, k, levels):
    rng = np.random.default_rng(seed)
    scores = rng.integers(-levels, levels, (3, 60)).astype(np.float32)
    scores[rng.random(scores.shape) < 0.2] = np.nan
    allowed = rng.random(scores.shape) < rng.random()
    for row, items in enumerate(top_k(scores, k, allowed)):
        assert items.tolist() == best_by_sorting(scores[row], k, allowed[row])
        assert items.dtype == np.int32


@pytest.mark.parametrize("k", [1, 3, 4, 100])
def test_nothing_allowed_selects_nothing(k):
    assert not select_top(np.ones((2, 4), dtype=np.float32), k, np.zeros((2, 4), dtype=bool)).any()


def test_no_rows():
    assert select_top(np.ones((0, 4), dtype=np.float32), 2, np.ones((0, 4), dtype=bool)).shape == (0, 4)
    assert top_k(np.ones((0, 4), dtype=np.float32), 2, np.ones((0, 4), dtype=bool)) == []


def test_the_answer_is_not_the_callers_mask():
    allowed = np.ones((1, 3), dtype=bool)
    select_top(np.ones((1, 3), dtype=np.float32), 5, allowed)[:] = False
    assert allowed.all()


def test_order_of_given_items():
    scores = np.array([2, np.nan, 2, 7, np.nan], dtype=np.float32)
    assert ordered(scores, np.array([4, 2, 1, 0, 3])).tolist() == [3, 0, 2, 1, 4]
    assert ordered(scores, np.array([], dtype=np.int64)).tolist() == []
