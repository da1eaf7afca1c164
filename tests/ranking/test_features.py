"""Every feature by a hand-made example; then what holds for all of them."""

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from shortlist.data.log import Log
from shortlist.ranking.bias import RatingBias
from shortlist.ranking.features import NEEDS_ORDER, NEEDS_REPEATS, NEEDS_SECONDS, Features, ItemFacts
from shortlist.retrieval.item_item import ItemItem
from shortlist.retrieval.merge import retrieve
from shortlist.retrieval.popularity import ItemCounts, Popularity
from shortlist.stages import NO_EVIDENCE, Candidates, Queries, stored_queries
from shortlist.training.retrieval.covisitation import fit_covisitation

DAY = 86_400
nan = math.nan

# user, item, day, rating, weight
EVENTS = [
    (0, 0, 0, 4, 1),
    (1, 0, 10, 2, 1),
    (0, 1, 60, nan, 1),
    (0, 2, 90, 1, 0),
    (1, 1, 95, 5, 2),
    (1, 2, 99, 3, 1),
    (1, 0, 100, nan, 1),
]
GENRES = np.array([[1, 0], [0.6, 0.8], [0, 1], [0, 0]], dtype=np.float32)
YEARS = np.array([[1], [nan], [-1], [0.5]], dtype=np.float32)
SIMILAR = np.array([[0, 1, 2, 4], [8, 0, 16, 32], [64, 128, 0, 256], [0, 0, 0, 0]], dtype=np.float32)


def make_log(events):
    users, items, days, ratings, weights = (list(column) for column in zip(*events, strict=True))
    return Log(
        np.array(users, dtype=np.int32),
        np.array(items, dtype=np.int32),
        np.array(days, dtype=np.int64) * DAY,
        np.array(ratings, dtype=np.float32),
        np.array(weights, dtype=np.float32),
        max(users) + 1,
        4,
    )


def make_features(log, genres=GENRES, years=YEARS):
    counts = ItemCounts.of(log)
    facts = ItemFacts.of(log, counts, genres, years, ("year",)[: years.shape[1]])
    similar = sp.csr_matrix(SIMILAR)
    source = ItemItem("similar", similar.indptr, similar.indices, similar.data)
    return Features(("a", "b"), counts, facts, source, RatingBias.of(log), short=10, long=40)


def candidates_of(lists, ranks=None, standardised=None):
    n = sum(len(one) for one in lists)
    ranks = [[1, 1]] * n if ranks is None else ranks
    standardised = [[0, 0]] * n if standardised is None else standardised
    return Candidates(
        np.cumsum([0] + [len(one) for one in lists]),
        np.array([item for one in lists for item in one], dtype=np.int32),
        np.zeros(n),
        np.zeros((n, 2), dtype=np.float32),
        np.array(standardised, dtype=np.float32).reshape(n, 2),
        np.array(ranks, dtype=np.int32).reshape(n, 2),
        np.ones((n, 2), dtype=bool),
    )


def ask(log, users, days, **changes):
    at = np.array(days, dtype=np.int64) * DAY
    return replace(stored_queries(log, np.array(users, dtype=np.int32), at), **changes)


def column(name, queries, candidates, features=None):
    features = make_features(make_log(EVENTS)) if features is None else features
    table = features.build(("agreement", name), queries, candidates)
    assert table.shape == (len(candidates), 2)
    assert table.dtype == np.float32
    return table[:, 1]


def check(name, queries, candidates, expected):
    np.testing.assert_allclose(column(name, queries, candidates), expected, rtol=1e-5, atol=1e-6)


LOG = make_log(EVENTS)
ALL = candidates_of([[0, 1, 2, 3]])
TWO = candidates_of([[0, 1], [3, 2, 0]])


def test_standardised_scores_and_ranks_of_the_sources():
    candidates = candidates_of([[0, 1]], ranks=[[1, 5], [3, 2]], standardised=[[1.5, NO_EVIDENCE], [0.5, -1]])
    queries = ask(LOG, [0], [101])
    check("a_z", queries, candidates, [1.5, 0.5])
    check("b_z", queries, candidates, [-10, -1])
    check("a_log_rank", queries, candidates, [0, math.log(3)])
    check("b_log_rank", queries, candidates, [math.log(5), math.log(2)])
    check("fusion", queries, candidates, [1 / 61, 1 / 63 + 1 / 62])


def test_agreement_does_not_count_sources_without_evidence():
    candidates = candidates_of([[0, 1, 2]], ranks=[[1, 4], [5, 2], [5, 5]])  # 5 = no evidence among 4 items
    check("agreement", ask(LOG, [0], [101]), candidates, [2, 1, 0])


def test_popularity_at_the_end_of_the_log():
    queries = ask(LOG, [0], [101])
    check("popularity", queries, ALL, np.log1p([3, 3, 1, 0]))
    check("popularity_short", queries, ALL, np.log1p([1, 2, 1, 0]))
    check("popularity_long", queries, ALL, np.log1p([1, 2, 1, 0]))
    check("trend", queries, ALL, np.log([2 / 1.25, 3 / 1.5, 2 / 1.25, 1]))


def test_popularity_of_a_past_moment_knows_nothing_later():
    queries = ask(LOG, [0, 1], [95, 5])
    check("popularity", queries, TWO, np.log1p([2, 1, 0, 0, 1]))
    check("popularity_long", queries, TWO, np.log1p([0, 1, 0, 0, 1]))


def test_the_age_of_an_item_is_the_days_since_its_first_positive():
    """The end of the log is a second after day 100; what is yet to come has no age."""
    check("item_age", ask(LOG, [0, 1], [101, 50]), TWO, [101, 41, 0, 0, 50])


def test_ratings_of_an_item():
    queries = ask(LOG, [0], [101])
    check("item_rating", queries, ALL, [3, 5, 2, nan])
    check("item_rating_shrunk", queries, ALL, [(6 + 30) / 12, (5 + 30) / 11, (4 + 30) / 12, 3])


def test_where_in_histories_an_item_stands():
    """User 0 took up 0, 1, 2 and user 1 took up 0, 1, 2, 0."""
    expected = [(0 + 0 + 1 + 2.5) / 8, (1 / 2 + 1 / 3 + 2.5) / 7, (1 + 2 / 3 + 2.5) / 7, 0.5]
    check("item_position", ask(LOG, [0], [101]), ALL, expected)


def test_the_user():
    queries, three = ask(LOG, [0, 1, -1], [101, 97, 50]), candidates_of([[0], [1, 2], [3]])
    check("history_length", queries, three, np.log1p([3, 2, 2, 0]))
    check("user_idle", queries, three, [math.log1p(11), math.log1p(2), math.log1p(2), nan])
    check("user_rating", queries, three, [2.5, 3.5, 3.5, nan])


def test_a_history_newer_than_the_moment_is_not_idle():
    queries = ask(LOG, [1], [101], at=np.array([0]))
    check("user_idle", queries, candidates_of([[0]]), [0])


def test_attributes_against_those_of_the_positives():
    """User 0's positives are 0 and 1, the profile (1.6, 0.8); item 2 was seen but not liked."""
    norm = math.hypot(1.6, 0.8)
    check("attribute_match", ask(LOG, [0], [101]), ALL, [1.6 / norm, (0.96 + 0.64) / norm, 0.8 / norm, 0])
    check("distance_year", ask(LOG, [0], [101]), ALL, [0, nan, -2, -0.5])


def test_weights_and_missing_numbers_in_the_distance():
    """User 1: years 1, not given (weight 2), -1 and 1; the mean of the given is 1/3."""
    check("distance_year", ask(LOG, [1], [101]), ALL, [2 / 3, nan, -4 / 3, 1 / 6])


def test_a_user_without_positives_matches_nothing():
    check("attribute_match", ask(LOG, [-1], [101]), ALL, [0] * 4)
    check("distance_year", ask(LOG, [-1], [101]), ALL, [nan] * 4)


def test_similarity_to_the_last_events():
    """User 1's events, latest first: 0, 2, 1 (weight 2), 0."""
    queries = ask(LOG, [1], [101])
    last, second, third, first = SIMILAR[0], SIMILAR[2], 2 * SIMILAR[1], SIMILAR[0]
    check("similar_to_last_1", queries, ALL, last)
    check("similar_to_last_3", queries, ALL, last + second + third)
    check("similar_to_last_10", queries, ALL, last + second + third + first)


def test_a_last_event_that_is_no_positive_is_similar_to_nothing():
    queries, candidates = ask(LOG, [0, -1], [101, 101]), candidates_of([[0, 1, 3], [0, 1]])
    check("similar_to_last_1", queries, candidates, [0] * 5)
    check("similar_to_last_3", queries, candidates, [*(SIMILAR[0] + SIMILAR[1])[[0, 1, 3]], 0, 0])


@pytest.mark.parametrize("n_events", [1, 2, 3, 4, 9, 10, 11, 25])
def test_similarity_of_long_histories(n_events):
    rng = np.random.default_rng(n_events)
    items = rng.integers(0, 4, n_events)
    log = make_log([(0, int(item), day, 3, 1) for day, item in enumerate(items)])
    queries = ask(log, [0], [99])
    features = make_features(log)
    for n in (1, 3, 10):
        expected = SIMILAR[items[-n:]].sum(axis=0)
        np.testing.assert_allclose(column(f"similar_to_last_{n}", queries, ALL, features), expected, rtol=1e-6)


def test_what_the_user_had_before():
    """User 1 had item 0 on days 10 and 100, 1 on day 95 and 2 on day 99; user 0 item 0 on day 0; nobody item 3."""
    queries, lists = ask(LOG, [1, 0, -1], [145, 101, 101]), candidates_of([[0, 1, 3], [0, 3], [0]])
    check("times_taken", queries, lists, np.log1p([2, 1, 0, 1, 0, 0]))
    check("events_since_taken", queries, lists, [0, math.log1p(2), nan, math.log1p(2), nan, nan])
    check("idle_since_taken", queries, lists, [math.log1p(45), math.log1p(50), nan, math.log1p(101), nan, nan])
    check("overdue", queries, lists, [math.log1p(45 / 90), nan, nan, nan, nan, nan])
    check("user_repeats", queries, lists, [1 / 4, 1 / 4, 1 / 4, 0, 0, 0])


def test_had_twice_at_one_moment_is_never_overdue():
    log = make_log([(0, 1, 5, nan, 1), (0, 1, 5, nan, 1), (0, 2, 6, nan, 0)])
    check("overdue", ask(log, [0], [9]), ALL, [nan] * 4)
    check("times_taken", ask(log, [0], [9]), ALL, np.log1p([0, 2, 1, 0]))


def test_the_predicted_rating_is_the_models():
    features, queries = make_features(LOG), ask(LOG, [0, 1], [101, 101])
    expected = features.rating_model.predict(queries, TWO.query_rows, TWO.item_rows)
    assert column("predicted_rating", queries, TWO, features).tolist() == expected.tolist()


def test_which_features_the_data_allow():
    features = make_features(LOG)
    every = features.names(order=True, seconds=True, repeats=True)
    assert len(set(every)) == len(every)
    assert set(features.names(order=False, seconds=True, repeats=True)) == set(every) - set(NEEDS_ORDER)
    assert set(features.names(order=True, seconds=False, repeats=True)) == set(every) - set(NEEDS_SECONDS)
    assert set(features.names(order=True, seconds=True, repeats=False)) == set(every) - set(NEEDS_REPEATS)
    bare = replace(make_features(LOG, GENRES[:, :0], YEARS[:, :0]), similarity=None, rating_model=None)
    gone = set(every) - set(bare.names(order=True, seconds=True, repeats=True))
    rated = {"item_rating", "item_rating_shrunk", "user_rating", "predicted_rating"}
    assert gone == rated | {"attribute_match", "distance_year"} | {f"similar_to_last_{n}" for n in (1, 3, 10)}
    assert bare.build(bare.names(order=True, seconds=True, repeats=True), ask(LOG, [0], [101]), ALL).shape == (
        4,
        len(every) - len(gone),
    )


def test_names_decide_which_columns_in_which_order():
    features, queries = make_features(LOG), ask(LOG, [0], [101])
    every = features.names(order=True, seconds=True, repeats=True)
    table = features.build(every, queries, ALL)
    turned = features.build(every[::-1], queries, ALL)
    assert turned[:, ::-1].tobytes() == table.tobytes()


def random_system(seed=0):
    rng = np.random.default_rng(seed)
    n_users, n_items, n = 30, 80, 1500
    log = Log(
        rng.integers(0, n_users, n).astype(np.int32),
        rng.integers(0, n_items - 2, n).astype(np.int32),
        np.sort(rng.integers(0, 300 * DAY, n)),
        rng.choice([1, 2, 3.5, 5, nan], n).astype(np.float32),
        rng.choice([0, 0.3, 1], n).astype(np.float32),
        n_users,
        n_items,
    )
    counts = ItemCounts.of(log)
    genres = (rng.random((n_items, 37)) < 0.2).astype(np.float32)
    genres /= np.maximum(np.linalg.norm(genres, axis=1, keepdims=True), 1e-9)
    numbers = rng.choice([nan, 0.3, 1.7, -0.9], (n_items, 3)).astype(np.float32)
    covisits = fit_covisitation(log, window=4, popularity_power=0.3)
    sources = (Popularity("popularity", counts), covisits)
    facts = ItemFacts.of(log, counts, genres, numbers, ("x", "y", "z"))
    features = Features(tuple(s.name for s in sources), counts, facts, covisits, RatingBias.of(log), 7, 30)
    users = np.append(np.arange(n_users), -1).astype(np.int32)
    queries = stored_queries(log, users, rng.integers(0, log.end + 9, len(users)))
    return log, sources, features, queries


def test_a_query_in_any_batch_gives_the_same_bytes():
    log, sources, features, queries = random_system()
    names = features.names(order=True, seconds=True, repeats=True)
    allowed = np.ones((len(queries), log.n_items), dtype=bool)
    candidates = retrieve(sources, sources[0], queries, allowed, 40)
    table = features.build(names, queries, candidates)
    rng = np.random.default_rng(1)
    for rows in [*np.arange(len(queries))[:, None], *(rng.permutation(len(queries))[:n] for n in (2, 3, 17))]:
        part = queries.take(rows)
        alone = features.build(names, part, retrieve(sources, sources[0], part, allowed[rows], 40))
        expected = np.concatenate([table[candidates.offsets[q] : candidates.offsets[q + 1]] for q in rows])
        assert alone.tobytes() == expected.tobytes()


def test_another_candidate_does_not_change_a_row():
    log, sources, features, queries = random_system()
    names = features.names(order=True, seconds=True, repeats=True)
    candidates = retrieve(sources, sources[0], queries, np.ones((len(queries), log.n_items), dtype=bool), 40)
    table = features.build(names, queries, candidates)
    rng = np.random.default_rng(2)
    for share in (0.02, 0.5, 0.9):
        keep = rng.random(len(candidates)) < share
        assert features.build(names, queries, candidates.take(keep)).tobytes() == table[keep].tobytes()


def test_wide_attributes_give_the_same_in_any_batch():
    rng = np.random.default_rng(0)
    wide = np.abs(rng.standard_normal((4, 9001))).astype(np.float32)
    features, queries = make_features(LOG, wide), ask(LOG, [0, 1], [101, 101])
    together = column("attribute_match", queries, TWO, features)
    for q, item, value in zip(TWO.query_rows, TWO.item_rows, together, strict=True):
        alone = column("attribute_match", queries.block(q, q + 1), candidates_of([[item]]), features)
        assert alone[0] == value


def test_no_candidates_and_no_queries():
    _, _, features, queries = random_system()
    names = features.names(order=True, seconds=True, repeats=True)
    nobody = queries.block(0, 0)
    assert features.build(names, nobody, candidates_of([])).shape == (0, len(names))
    nothing = candidates_of([[] for _ in range(len(queries))])
    assert features.build(names, queries, nothing).shape == (0, len(names))


def test_later_events_change_no_count_of_a_past_moment():
    """The planted leak: a burst of events after the moment must not be felt."""
    early = [event for event in EVENTS if event[2] < 95]
    burst = [*EVENTS, *[(1, 3, 100, nan, 1)] * 50]
    queries = ask(make_log(early), [0, 1], [92, 20])
    for name in ("popularity", "popularity_short", "popularity_long", "trend", "item_age"):
        before = column(name, queries, TWO, make_features(make_log(EVENTS)))
        after = column(name, queries, TWO, make_features(make_log(burst)))
        np.testing.assert_array_equal(before, after)
        now = ask(make_log(burst), [0, 1], [101, 101])
        if name.startswith("popularity"):  # the burst is there to be felt
            assert column(name, now, TWO, make_features(make_log(burst)))[2] > 3


def test_who_acts_now_and_who_was_away():
    zeros = np.zeros(3, dtype=np.int64)
    histories = np.array([0, 1, 2, 3, 3])
    queries = Queries(
        np.full(4, -1, np.int32),
        np.array([DAY - 1, DAY, 5 * DAY, 5]),
        histories,
        zeros.astype(np.int32),
        zeros,
        np.full(3, np.nan, np.float32),
        np.ones(3, np.float32),
    )
    assert queries.fresh(DAY).tolist() == [True, False, False, False]


def test_the_fusion_has_the_votes_of_the_kind_of_query():
    log, sources, features, queries = random_system()
    n_sources = len(sources)
    votes = (tuple([1.0] + [0.0] * (n_sources - 1)), tuple([0.0] * (n_sources - 1) + [1.0]))
    two = replace(features, source_weights=votes)
    kinds = queries.fresh(log.tick_length)
    assert kinds.any()
    assert not kinds.all()
    np.testing.assert_array_equal(two.weights_of(queries), np.array(votes)[kinds.astype(int)])
    assert features.weights_of(queries) is None
    candidates = retrieve(sources, sources[0], queries, np.ones((len(queries), log.n_items), dtype=bool), 20)
    fused = two.build(("fusion",), queries, candidates)[:, 0]
    ranks = np.where(kinds[candidates.query_rows], candidates.ranks[:, -1], candidates.ranks[:, 0])
    expected = np.where(ranks <= log.n_items, 1 / (60 + ranks), 0).astype(np.float32)
    np.testing.assert_allclose(fused, expected)
