"""Metrics: by hand, by property, and against a second library over thousands of random lists."""

import math
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shortlist.errors import DataError
from shortlist.evaluation import lists
from shortlist.evaluation.metrics import (
    Relevant,
    accuracy_at,
    average_ranks,
    coverage,
    hit_rate_at_k,
    hits,
    intra_list_diversity,
    mae,
    map_at_k,
    mean_over_users,
    mrr_at_k,
    ndcg_at_k,
    novelty,
    popularity_share,
    precision_at_k,
    recall_all_at_k,
    recall_at_k,
    rmse,
)

AT_K = [ndcg_at_k, recall_at_k, recall_all_at_k, precision_at_k, hit_rate_at_k, mrr_at_k, map_at_k]
N_ITEMS = 12


def table(*rows: list[int]) -> np.ndarray:
    """A list table, the shorter lists padded."""
    width = max(map(len, rows))
    return np.array([row + [-1] * (width - len(row)) for row in rows], dtype=np.int32)


# Relevant items ---------------------------------------------------------------


def test_relevant_from_pairs_sorts_and_removes_repeats():
    relevant = Relevant.from_pairs(np.array([2, 0, 2, 2, 0]), np.array([5, 9, 1, 5, 3]), n_users=4)
    assert relevant.offsets.tolist() == [0, 2, 2, 4, 4]
    assert relevant.item_rows.tolist() == [3, 9, 1, 5]
    assert relevant.item_rows.dtype == np.int32
    assert relevant.offsets.dtype == np.int64
    assert relevant.counts.tolist() == [2, 0, 2, 0]
    assert len(relevant) == 4


def test_relevant_of_nobody_and_of_nothing():
    assert len(Relevant.from_sets([])) == 0
    assert Relevant.from_sets([set(), set()]).counts.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("offsets", "item_rows", "message"),
    [
        ([0, 3], [1, 2], "rise from 0 to the 2"),
        ([1, 2], [1, 2], "rise from 0 to the 2"),
        ([0, 2, 1, 2], [1, 2], "rise from 0 to the 2"),
        ([], [], "rise from 0 to the 0"),
        ([0, 2], [4, 4], "user 0: .* 4 is followed by 4"),
        ([0, 1, 3], [9, 5, 2], "user 1: .* 5 is followed by 2"),
        ([0, 2], [-1, 2], "row numbers from 0; one is -1"),
    ],
)
def test_relevant_refuses_arrays_that_do_not_fit(offsets, item_rows, message):
    with pytest.raises(DataError, match=message):
        Relevant(np.array(offsets, dtype=np.int64), np.array(item_rows, dtype=np.int32))


def test_relevant_refuses_pairs_out_of_range():
    with pytest.raises(DataError, match=r"`user_positions` must lie in \[0, 2\); number 1 is 2"):
        Relevant.from_pairs(np.array([0, 2]), np.array([1, 1]), n_users=2)
    with pytest.raises(DataError, match=r"`item_rows`.* number 0 is -4"):
        Relevant.from_pairs(np.array([0, 1]), np.array([-4, 1]), n_users=2)
    with pytest.raises(DataError, match="a user and an item"):
        Relevant.from_pairs(np.array([0, 1]), np.array([1]), n_users=2)


# Hits -------------------------------------------------------------------------


def test_padding_never_hits_an_item_of_the_user_before():
    for highest in range(4):  # whatever the greatest item is
        relevant = Relevant.from_sets([{highest}, {highest}, {0}])
        assert not hits(table([highest + 1], [], []), relevant).any()


def test_hits_in_many_blocks_are_those_in_one(monkeypatch):
    rng = np.random.default_rng(1)
    ranked = rng.permuted(np.tile(np.arange(50, dtype=np.int32), (200, 1)), axis=1)[:, :20]
    sets = [set(rng.choice(50, rng.integers(0, 9), replace=False).tolist()) for _ in range(200)]
    relevant = Relevant.from_sets(sets)
    expected = [[item in sets[user] for item in row] for user, row in enumerate(ranked.tolist())]
    np.testing.assert_array_equal(hits(ranked, relevant), expected)
    monkeypatch.setattr(lists, "CELLS_PER_BLOCK", 70)
    np.testing.assert_array_equal(hits(ranked, relevant), expected)


@pytest.mark.parametrize(
    ("ranked", "message"),
    [
        (table([1, 2], [3, 4], [5, 5]), "list 2 holds item 5 more than once"),
        (table([1, 2], [0, 0], [5]), "list 1 holds item 0 more than once"),
        (np.array([[1, 2], [-1, 4], [5, 6]]), "list 1: place 0 is padding .* item 4 follows"),
        (np.array([[1, 2], [3, -2], [5, 6]]), "the least is -2"),
        (np.array([[1.0, 2.0]]), "integer array"),
        (np.array([1, 2]), "integer array"),
        (table([1, 2]), "lists for 1 users, `relevant` items for 3"),
    ],
)
def test_lists_that_would_falsify_a_metric_are_refused(ranked, message, monkeypatch):
    for cells in (1 << 20, 1):  # the row in the message does not depend on the blocks
        monkeypatch.setattr(lists, "CELLS_PER_BLOCK", cells)
        for metric in AT_K:
            with pytest.raises(DataError, match=message):
                metric(ranked, Relevant.from_sets([{1}, {2}, {3}]), 2)


@pytest.mark.parametrize("metric", AT_K)
@pytest.mark.parametrize("k", [0, -3])
def test_k_below_one_is_refused(metric, k):
    with pytest.raises(DataError, match=f"k must be at least 1; it is {k}"):
        metric(table([1]), Relevant.from_sets([{1}]), k)


# Metrics at k, by hand --------------------------------------------------------

HAND_RANKED = table([7, 3, 5, 1], [2, 9], [4, 6, 8, 0], [])
HAND_RELEVANT = Relevant.from_sets([{3, 5, 8}, {2}, set(), {1}])
LOG3 = 1 / math.log2(3)


@pytest.mark.parametrize(
    ("metric", "k", "first", "second"),
    [
        (ndcg_at_k, 1, 0, 1),
        (ndcg_at_k, 2, LOG3 / (1 + LOG3), 1),
        (ndcg_at_k, 4, (LOG3 + 0.5) / (1 + LOG3 + 0.5), 1),
        (recall_at_k, 2, 1 / 2, 1),
        (recall_at_k, 4, 2 / 3, 1),
        (recall_all_at_k, 2, 1 / 3, 1),
        (precision_at_k, 4, 2 / 4, 1 / 4),
        (precision_at_k, 9, 2 / 9, 1 / 9),
        (hit_rate_at_k, 1, 0, 1),
        (hit_rate_at_k, 2, 1, 1),
        (mrr_at_k, 1, 0, 1),
        (mrr_at_k, 4, 1 / 2, 1),
        (map_at_k, 2, (1 / 2) / 2, 1),
        (map_at_k, 4, (1 / 2 + 2 / 3) / 3, 1),
    ],
)
def test_by_hand(metric, k, first, second):
    values = metric(HAND_RANKED, HAND_RELEVANT, k)
    assert values.dtype == np.float64
    np.testing.assert_allclose(values, [first, second, np.nan, 0], rtol=1e-15)


@pytest.mark.parametrize("metric", AT_K)
def test_no_users_and_no_places(metric):
    assert metric(np.empty((0, 5), dtype=np.int32), Relevant.from_sets([]), 3).shape == (0,)
    assert metric(np.empty((1, 0), dtype=np.int32), Relevant.from_sets([{1}]), 3).tolist() == [0]


@pytest.mark.parametrize("metric", AT_K)
def test_an_enormous_k_takes_no_memory(metric):
    values = metric(HAND_RANKED, HAND_RELEVANT, 10**12)
    if metric is precision_at_k:
        assert values[0] == 2 / 10**12
    else:
        assert values.tolist()[:2] == metric(HAND_RANKED, HAND_RELEVANT, 4).tolist()[:2]


def test_mean_over_users_counts_whom_it_is_over():
    assert mean_over_users(np.array([np.nan, 0.25, 0.75])) == (0.5, 2)
    mean, n = mean_over_users(np.array([np.nan]))
    assert math.isnan(mean)
    assert n == 0


# Metrics at k, by property ----------------------------------------------------

one_list = st.lists(st.integers(0, N_ITEMS - 1), unique=True, max_size=N_ITEMS)
users = st.lists(st.tuples(one_list, st.sets(st.integers(0, N_ITEMS - 1))), min_size=1, max_size=5)
ks = st.integers(1, N_ITEMS + 3)


@settings(deadline=None)
@given(users, ks)
def test_bounds_padding_and_independence_of_users(drawn, k):
    ranked, relevant = table(*(row for row, _ in drawn)), Relevant.from_sets([wanted for _, wanted in drawn])
    wider = np.pad(ranked, ((0, 0), (0, 3)), constant_values=-1)
    for metric in AT_K:
        values = metric(ranked, relevant, k)
        assert (np.isnan(values) == (relevant.counts == 0)).all()
        present = values[~np.isnan(values)]
        assert ((present >= 0) & (present <= 1)).all()
        np.testing.assert_array_equal(metric(wider, relevant, k), values)
        np.testing.assert_array_equal(metric(ranked[:, :k], relevant, k), values)
        for user, (row, wanted) in enumerate(drawn):
            alone = metric(table(row), Relevant.from_sets([wanted]), k)
            np.testing.assert_array_equal(alone, values[user : user + 1])


@settings(deadline=None)
@given(one_list, st.sets(st.integers(0, N_ITEMS - 1), min_size=1), ks)
def test_a_perfect_list_has_exactly_one(others, wanted, k):
    ideal = table(sorted(wanted) + [item for item in others if item not in wanted])
    relevant = Relevant.from_sets([wanted])
    for metric in (ndcg_at_k, recall_at_k, hit_rate_at_k, mrr_at_k, map_at_k):
        assert metric(ideal, relevant, k).tolist() == [1]


@settings(deadline=None)
@given(one_list.filter(lambda row: len(row) > 1), st.sets(st.integers(0, N_ITEMS - 1), min_size=1), ks, st.data())
def test_moving_a_relevant_item_up_never_hurts(row, wanted, k, data):
    low = data.draw(st.integers(1, len(row) - 1))
    raised = [*row[: low - 1], row[low], row[low - 1], *row[low + 1 :]]
    relevant = Relevant.from_sets([wanted | {row[low]}])
    for metric in AT_K:
        assert metric(table(raised), relevant, k)[0] >= metric(table(row), relevant, k)[0]


@settings(deadline=None)
@given(users)
def test_renaming_items_changes_nothing(drawn):
    names = np.random.default_rng(3).permutation(N_ITEMS) * 1000
    plain = table(*(row for row, _ in drawn)), Relevant.from_sets([wanted for _, wanted in drawn])
    named = (
        table(*(names[row].tolist() if row else [] for row, _ in drawn)),
        Relevant.from_sets([names[list(wanted)].tolist() if wanted else [] for _, wanted in drawn]),
    )
    for metric in AT_K:
        np.testing.assert_array_equal(metric(*named, 5), metric(*plain, 5))


# Metrics at k, against a second library ---------------------------------------


@pytest.fixture(scope="module")
def ranx() -> Iterator[ModuleType]:
    """ranx as plain Python: compiling it takes a minute, running these cases uncompiled a few seconds."""
    import numba

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numba.config, "DISABLE_JIT", True)
        import ranx

        yield ranx


def random_cases(n_users: int) -> tuple[np.ndarray, Relevant]:
    """Lists of 0 to 25 out of 60 items, and 1 to 20 relevant ones."""
    rng = np.random.default_rng(7)
    ranked = rng.permuted(np.tile(np.arange(60, dtype=np.int32), (n_users, 1)), axis=1)[:, :25]
    ranked[np.arange(25) >= rng.integers(0, 26, n_users)[:, None]] = -1
    return ranked, Relevant.from_sets([rng.choice(60, rng.integers(1, 21), replace=False) for _ in range(n_users)])


def test_agreement_with_ranx(ranx):
    """Recall and average precision are divided by all relevant items there: rescaled here. The rest is the same."""
    ranked, relevant = random_cases(2000)
    names = [f"{user:04}" for user in range(len(ranked))]  # the results come in the order of the names
    wanted = np.split(relevant.item_rows, relevant.offsets[1:-1])
    judged = ranx.Qrels({name: {str(item): 1 for item in items} for name, items in zip(names, wanted, strict=True)})
    run = ranx.Run(
        {
            # "none" is never relevant: a list must not be empty there.
            name: {"none": 0.0} | {str(item): 100.0 - place for place, item in enumerate(row[row >= 0])}
            for name, row in zip(names, ranked, strict=True)
        }
    )
    for k in (1, 3, 10, 30):
        scale = np.minimum(k, relevant.counts) / relevant.counts
        ours = {
            "ndcg": ndcg_at_k(ranked, relevant, k),
            "recall": recall_all_at_k(ranked, relevant, k),
            "precision": precision_at_k(ranked, relevant, k),
            "hit_rate": hit_rate_at_k(ranked, relevant, k),
            "mrr": mrr_at_k(ranked, relevant, k),
            "map": map_at_k(ranked, relevant, k) * scale,
        }
        theirs = ranx.evaluate(judged, run, [f"{name}@{k}" for name in ours], return_mean=False, threads=1)
        for name, values in ours.items():
            assert 0 < values.mean() < 1
            np.testing.assert_allclose(values, theirs[f"{name}@{k}"], rtol=1e-12, atol=1e-15, err_msg=f"{name}@{k}")
        np.testing.assert_allclose(recall_at_k(ranked, relevant, k) * scale, theirs[f"recall@{k}"], rtol=1e-12)


# Lists by themselves ----------------------------------------------------------


def test_coverage():
    assert coverage(table([0, 2], [2]), n_items=4) == 0.5
    assert coverage(table([], []), n_items=4) == 0
    assert coverage(table([0, 1], [2, 3]), n_items=4) == 1
    assert math.isnan(coverage(table([]), n_items=0))


def test_novelty():
    values = novelty(table([0, 1], [2], []), item_counts=np.array([16, 4, 0]), total=16)
    np.testing.assert_allclose(values, [1, 4, np.nan])
    with pytest.raises(DataError, match="0 and the total of 8; they go from 0 to 16"):
        novelty(table([0]), item_counts=np.array([16, 0]), total=8)
    with pytest.raises(DataError, match="go from -1 to 1"):
        novelty(table([0]), item_counts=np.array([1, -1]), total=8)


def test_popularity_share():
    counts = np.arange(100)[::-1].copy()  # the head is items 0 … 6, although 0.07 * 100 is a little more than 7
    np.testing.assert_allclose(popularity_share(table([0, 6, 7, 99], [7], []), counts, head=0.07), [0.5, 0, np.nan])
    np.testing.assert_array_equal(popularity_share(table([0], [1]), np.array([3, 3, 3]), head=0.3), [1, 0])
    np.testing.assert_array_equal(popularity_share(table([0], [1]), np.array([0, 200], dtype=np.uint8), 0.5), [0, 1])
    for head in (0, 1.5):
        with pytest.raises(DataError, match="`head` must be a share"):
            popularity_share(table([0]), counts, head)


def test_diversity_by_hand():
    vectors = np.array([[1, 0], [0, 2], [-3, 0], [0, 0], [5, 0]], dtype=np.float32)
    values = intra_list_diversity(table([0, 1], [0, 2], [0, 4], [0, 3], [0, 1, 4], [1], []), vectors)
    np.testing.assert_allclose(values, [1, 2, 0, 1, 2 / 3, np.nan, np.nan], atol=1e-12)
    with pytest.raises(DataError, match="that of item 1 is not"):
        intra_list_diversity(table([0]), np.array([[1.0], [np.nan]]))


def test_diversity_is_the_mean_over_pairs(monkeypatch):
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(30, 4))
    ranked = rng.permuted(np.tile(np.arange(30), (40, 1)), axis=1)[:, :6]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = np.triu_indices(6, 1)
    expected = [1 - (unit[row] @ unit[row].T)[pairs].mean() for row in ranked]
    np.testing.assert_allclose(intra_list_diversity(ranked, vectors), expected, rtol=1e-12)
    monkeypatch.setattr(lists, "CELLS_PER_BLOCK", 100)
    np.testing.assert_allclose(intra_list_diversity(ranked, vectors), expected, rtol=1e-12)


def test_items_outside_the_catalogue_are_refused():
    outside = table([0, 3])
    for call in (
        lambda: coverage(outside, 3),
        lambda: novelty(outside, np.ones(3, dtype=np.int64), 3),
        lambda: popularity_share(outside, np.ones(3, dtype=np.int64)),
        lambda: intra_list_diversity(outside, np.ones((3, 2))),
    ):
        with pytest.raises(DataError, match="catalogue's 3 items; the greatest is 3"):
            call()


# Ranks of test rows -----------------------------------------------------------


def test_average_ranks_by_hand():
    scores = np.array([[0.9, 0.5, 0.5, 0.1], [1, 2, 3, 4]], dtype=np.float32)
    ranks = average_ranks(scores, np.array([1, 0, 0, 1, 0]), np.array([0, 1, 0, 3, 3]))
    assert ranks.tolist() == [4, 2.5, 1, 1, 4]


def test_a_constant_score_gives_the_middle_rank():
    assert average_ranks(np.zeros((1, 9)), np.zeros(9, dtype=int), np.arange(9)).tolist() == [5] * 9


def test_nan_and_minus_infinity_are_equal_and_lowest():
    scores = np.array([[np.nan, -np.inf, -1e30, np.inf]])
    assert average_ranks(scores, np.zeros(4, dtype=int), np.arange(4)).tolist() == [3.5, 3.5, 2, 1]


def test_the_true_item_competes_even_if_excluded():
    scores = np.array([[4.0, 3.0, 2.0, 2.0]])
    excluded = np.array([[True, True, False, False]])
    assert average_ranks(scores, np.zeros(4, dtype=int), np.arange(4), excluded).tolist() == [1, 1, 1.5, 1.5]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_average_ranks_against_the_definition(seed, with_excluded):
    rng = np.random.default_rng(seed)
    scores = rng.choice([np.nan, -np.inf, 0.1, 0.2, 0.3], size=(4, 7)).astype(np.float32)
    row_users, row_items = rng.integers(0, 4, 12), rng.integers(0, 7, 12)
    excluded = rng.random((4, 7)) < 0.4
    expected = []
    for user, item in zip(row_users, row_items, strict=True):
        value = np.where(np.isnan(scores[user]), -np.inf, scores[user])
        others = [j for j in range(7) if j != item and not (with_excluded and excluded[user, j])]
        expected.append(1 + sum((value[j] > value[item]) + (value[j] == value[item]) / 2 for j in others))
    assert average_ranks(scores, row_users, row_items, excluded if with_excluded else None).tolist() == expected


def test_average_ranks_of_no_rows_and_of_wrong_rows():
    scores, none = np.zeros((2, 3)), np.array([], dtype=np.int32)
    assert average_ranks(scores, none, none).shape == (0,)
    with pytest.raises(DataError, match=r"`row_users` must lie in \[0, 2\); number 1 is 2"):
        average_ranks(scores, np.array([0, 2]), np.array([0, 0]))
    with pytest.raises(DataError, match=r"`row_items` must lie in \[0, 3\); number 0 is -1"):
        average_ranks(scores, np.array([0, 1]), np.array([-1, 0]))
    with pytest.raises(DataError, match=r"shape of `scores`, \(2, 3\); it has \(3,\)"):
        average_ranks(scores, none, none, np.zeros(3, dtype=bool))
    with pytest.raises(DataError, match="a user and an item"):
        average_ranks(scores, np.array([0, 1]), np.array([0]))


def test_accuracy_at():
    ranks = np.array([1, 2.5, 100, 101])
    assert accuracy_at(ranks, [1, 2, 3, 100]) == {1: 0.25, 2: 0.25, 3: 0.5, 100: 0.75}
    assert math.isnan(accuracy_at(np.array([]), [1])[1])
    with pytest.raises(DataError, match="k must be at least 1"):
        accuracy_at(ranks, [0])


# Ratings ----------------------------------------------------------------------


def test_rating_errors_by_hand():
    predicted, actual = np.array([3, 5, 2], dtype=np.float32), np.array([3, 3, 3])
    assert rmse(predicted, actual) == pytest.approx(math.sqrt(5 / 3))
    assert mae(predicted, actual) == pytest.approx(1)
    assert math.isnan(rmse(np.array([]), np.array([])))
    assert math.isnan(mae(np.array([]), np.array([])))


@pytest.mark.parametrize("metric", [rmse, mae])
def test_ratings_that_cannot_be_compared_are_refused(metric):
    with pytest.raises(DataError, match="one prediction per rating"):
        metric(np.array([1.0, 2.0]), np.array([1.0]))
    with pytest.raises(DataError, match=r"row 1 has nan for 2.0 \(1 such\)"):
        metric(np.array([1.0, np.nan]), np.array([1.0, 2.0]))
