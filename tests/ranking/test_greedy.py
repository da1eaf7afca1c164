"""Diversity, caps and draws, place by place, against a loop that follows the formula word by word."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist.ranking.caps import Cap
from shortlist.ranking.greedy import choose, relevance


def cap_of(groups, limit, rule=""):
    """A cap over items whose groups are given one list each."""
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in groups])]).astype(np.int64)
    return Cap("group", limit, offsets, np.array([g for one in groups for g in one], dtype=np.int32), rule)


def naive(n, k, diversity, vectors, groups, limit):
    """Carbonell and Goldstein's loop in plain Python."""
    chosen: list[int] = []
    counts: dict[int, int] = {}
    while len(chosen) < min(k, n):
        best, best_value = None, -np.inf
        for i in range(n):
            if i in chosen or any(counts.get(g, 0) >= limit for g in groups[i]):
                continue
            nearest = max([0.0, *(float(vectors[i] @ vectors[j]) for j in chosen)])
            value = (1 - diversity) * (1 - np.log(i + 1) / np.log(max(2, n))) - diversity * nearest
            if value > best_value + 1e-12:
                best, best_value = i, value
        if best is None:
            break
        chosen.append(best)
        for g in groups[best]:
            counts[g] = counts.get(g, 0) + 1
    return chosen


@st.composite
def pools(draw):
    n = draw(st.integers(1, 12))
    groups = draw(st.lists(st.lists(st.integers(0, 3), unique=True, max_size=3), min_size=n, max_size=n))
    seed = draw(st.integers(0, 2**32 - 1))
    return n, groups, seed


def unit_vectors(n, seed, d=3):
    vectors = np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@given(pools(), st.integers(1, 15), st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]), st.integers(0, 3))
def test_the_same_as_the_loop_of_the_paper(pool, k, diversity, limit):
    n, groups, seed = pool
    vectors = unit_vectors(n, seed)
    chosen = choose(np.arange(n, dtype=np.int32), k, diversity, vectors, [cap_of(groups, limit)])
    assert chosen.places.tolist() == naive(n, k, diversity, vectors, groups, limit)
    assert (chosen.propensities == 1).all()


@given(pools(), st.integers(1, 12), st.sampled_from([0.0, 0.4]), st.sampled_from([0.0, 0.3, 1.0]))
def test_the_first_ones_do_not_depend_on_k(pool, k, diversity, explore):
    n, groups, seed = pool
    draws = np.random.default_rng(seed).random((n, 2)) if explore else None
    args = diversity, unit_vectors(n, seed), [cap_of(groups, 1)], explore, draws
    rows = np.arange(n, dtype=np.int32)
    whole, part = choose(rows, n, *args), choose(rows, k, *args)
    assert part.places.tolist() == whole.places[:k].tolist()
    assert part.propensities.tolist() == whole.propensities[:k].tolist()
    assert part.acted == {step: place for step, place in whole.acted.items() if place < k}


def test_the_dial_goes_from_the_order_of_the_score_to_the_most_unlike():
    vectors = np.array([[1, 0], [1, 0], [0.8, 0.6], [0, 1]], dtype=np.float32)
    rows = np.arange(4, dtype=np.int32)
    assert choose(rows, 4, 0.0, vectors).places.tolist() == [0, 1, 2, 3]
    assert choose(rows, 4, 0.0, vectors).acted == {}
    assert choose(rows, 4, 1.0, vectors).places.tolist() == [0, 3, 2, 1]
    assert choose(rows, 4, 1.0, vectors).acted == {"diversity": 1}


def test_relevance_goes_by_rank_alone():
    assert relevance(1).tolist() == [1.0]
    assert relevance(2).tolist() == [1.0, 0.0]
    assert (np.diff(relevance(200)) < 0).all()
    assert np.isclose(relevance(100)[9], 0.5)


def test_what_acted_says_where_it_first_did():
    rows = np.arange(4, dtype=np.int32)
    cap = cap_of([[0], [0], [1], []], 1)
    assert choose(rows, 4, caps=[cap]).places.tolist() == [0, 2, 3]
    assert choose(rows, 4, caps=[cap]).acted == {"caps": 1}
    assert choose(rows, 1, caps=[cap]).acted == {}
    assert choose(rows, 4, caps=[cap_of([[0], [0], [1], []], 1, rule="one each")]).acted == {"rules": 1}
    assert choose(rows, 4, caps=[cap_of([[0], [0], [0], [0]], 2)]).acted == {}  # nobody else took the places


def distribution(n, k, explore, **kwargs):
    """How often each order of the first k comes, over a grid of coins and picks; exact for n that divides it."""
    counts: dict[tuple[int, ...], float] = {}
    told: dict[tuple[int, ...], float] = {}
    grid = (np.arange(12) + 0.5) / 12
    coins = (np.arange(10) + 0.5) / 10
    options = [(coin, pick) for coin in coins for pick in grid]
    stack = [()]
    for _ in range(k):
        stack = [(*path, option) for path in stack for option in options]
    for path in stack:
        draws = np.zeros((n, 2))
        draws[:k] = path
        chosen = choose(np.arange(n, dtype=np.int32), k, explore=explore, draws=draws, **kwargs)
        key = tuple(chosen.places.tolist())
        counts[key] = counts.get(key, 0) + 1 / len(stack)
        told[key] = float(chosen.propensities.prod())
    return counts, told


@pytest.mark.parametrize("explore", [0.2, 1.0])
def test_the_propensities_of_a_list_multiply_to_its_probability(explore):
    counts, told = distribution(4, 2, explore)
    assert len(told) == 12
    assert np.isclose(sum(told.values()), 1)
    for key, probability in told.items():
        assert np.isclose(counts[key], probability), key


def test_also_under_diversity_and_caps():
    vectors = np.array([[1, 0], [1, 0], [0, 1], [0.6, 0.8]], dtype=np.float32)
    caps = [cap_of([[0], [0], [1], [1]], 1)]
    counts, told = distribution(4, 2, 0.5, diversity=0.6, vectors=vectors, caps=caps)
    assert np.isclose(sum(told.values()), 1)
    for key, probability in told.items():
        assert {key[0] // 2, key[1] // 2} == {0, 1}  # one of each group
        assert np.isclose(counts[key], probability), key


@given(pools(), st.integers(1, 12), st.sampled_from([0.0, 0.3, 1.0]), st.integers(0, 2), st.sampled_from([0.0, 0.5]))
def test_what_no_step_changed_is_in_the_order_of_the_score(pool, k, diversity, limit, explore):
    n, groups, seed = pool
    draws = np.random.default_rng(seed).random((n, 2)) if explore else None
    rows, caps = np.arange(n, dtype=np.int32), [cap_of(groups, limit)]
    chosen = choose(rows, k, diversity, unit_vectors(n, seed), caps, explore, draws)
    first = min(chosen.acted.values(), default=len(chosen.places))
    assert chosen.places[:first].tolist() == list(range(first))
