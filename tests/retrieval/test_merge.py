"""The merge against a slow one in plain Python."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_logs import best_by_sorting, make_queries, two_groups
from source_contract import ask_all

from shortlist.retrieval.merge import RRF_CONSTANT, fuse, retrieve
from shortlist.retrieval.popularity import ItemCounts, Popularity
from shortlist.stages import NO_EVIDENCE, Source
from shortlist.training.retrieval.covisitation import fit_covisitation
from shortlist.training.retrieval.ease import fit_ease


@dataclass
class Table(Source):
    """Scores from a table, by user row."""

    table: Any
    name: str = "table"

    def score_catalogue(self, queries):
        return self.table[queries.user_rows]


@dataclass
class AlikeTable(Table):
    """The same, but two users share each row and it says so."""

    def distinct_scores(self, queries):
        rows, places = np.unique(queries.user_rows // 2, return_inverse=True)
        return self.table[rows * 2], places

    def score_catalogue(self, queries):
        return self.table[queries.user_rows // 2 * 2]


def slowly(sources, fallback, queries, allowed, n, new_share):
    """For each query its candidates as a list of (item, fused, scores, standardised, ranks, proposers)."""
    answers = []
    for q in range(len(queries)):
        rows = [source.score_catalogue(queries)[q] for source in sources]
        proposed = [
            best_by_sorting(row, n, allowed[q] & (row > source.proposes_above))
            for source, row in zip(sources, rows, strict=True)
        ]
        ranks = [[1 + int((row > s).sum()) if s == s else len(row) + 1 for s in row] for row in rows]
        z = [slowly_standardised(row) for row in rows]
        union = sorted({item for items in proposed for item in items})
        fused = {i: sum(1 / (RRF_CONSTANT + r[i]) for r in ranks if r[i] <= len(r)) for i in union}
        chosen = sorted(union, key=lambda i: (-fused[i], i))
        unknown = {i for i in union if np.isnan(fallback.score_catalogue(queries)[q, i])}
        while len(chosen) > n:  # the last gives way, but for new items that have no more than their share
            scarce = len(unknown & set(chosen)) <= int(n * new_share)
            chosen.remove(next(i for i in reversed(chosen) if not (scarce and i in unknown)))
        rest = allowed[q].copy()
        rest[union] = False
        added = best_by_sorting(fallback.score_catalogue(queries)[q], n - len(chosen), rest) if len(chosen) < n else []
        answers.append(
            [
                (
                    i,
                    fused.get(i, 0.0),
                    [float(row[i]) for row in rows],
                    [each[i] for each in z],
                    [r[i] for r in ranks],
                    [i in items for items in proposed],
                )
                for i in chosen + added
            ]
        )
    return answers


def slowly_standardised(row):
    known = [float(s) for s in row if s == s]
    mean = sum(known) / max(len(known), 1)
    deviation = np.sqrt(sum((s - mean) ** 2 for s in known) / max(len(known), 1))
    z = [(float(s) - mean) / deviation if deviation > 1e-7 * abs(mean) else 0.0 for s in row]
    return [
        max(value, float(NO_EVIDENCE) + 1) if s == s else float(NO_EVIDENCE) for s, value in zip(row, z, strict=True)
    ]


def made_case(seed):
    rng = np.random.default_rng(seed)
    n_users, n_items = int(rng.integers(1, 7)) * 2, int(rng.integers(1, 40))
    sources = []
    for kind in (Table, AlikeTable, Table):
        table = rng.integers(-3, rng.choice([2, 6, 1000]), (n_users, n_items)).astype(np.float32)
        table[rng.random(table.shape) < rng.random()] = np.nan
        sources.append(kind(table))
    fallback = Table(rng.choice([np.nan, 0, 1, 2, 3], (n_users, n_items)).astype(np.float32))
    queries = make_queries([[]] * n_users, user_rows=rng.permutation(n_users))
    allowed = rng.random((n_users, n_items)) < rng.random() * 1.2
    return sources[: int(rng.integers(1, 4))], fallback, queries, allowed, int(rng.integers(1, 45))


def answer_bytes(candidates, q):
    span = slice(candidates.offsets[q], candidates.offsets[q + 1])
    arrays = (candidates.item_rows, candidates.retrieval_scores, candidates.scores, candidates.standardised)
    return [array[span].tobytes() for array in (*arrays, candidates.ranks, candidates.proposers)]


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_merge_is_that_of_plain_loops(seed):
    sources, fallback, queries, allowed, n = made_case(seed)
    new_share = [0.0, 0.1, 0.5, 1.0][seed % 4]
    merged = retrieve(sources, fallback, queries, allowed, n, new_share=new_share)
    expected = slowly(sources, fallback, queries, allowed, n, new_share)
    assert merged.offsets.tolist() == [0, *np.cumsum([len(one) for one in expected])]
    rows = [row for one in expected for row in one]
    items, fused, scores, z, ranks, proposers = (
        (list(column) for column in zip(*rows, strict=True)) if rows else [[]] * 6
    )
    assert merged.item_rows.tolist() == items
    assert merged.ranks.tolist() == ranks
    assert merged.proposers.tolist() == proposers
    shape = (len(rows), len(sources))
    np.testing.assert_allclose(merged.retrieval_scores, fused, rtol=1e-12)
    np.testing.assert_array_equal(merged.scores, np.array(scores, dtype=np.float32).reshape(shape))
    np.testing.assert_allclose(merged.standardised, np.array(z).reshape(shape), rtol=1e-5, atol=1e-5)
    dtypes = (np.int32, np.float64, np.float32, np.float32, np.int32, np.bool_)
    arrays = (
        merged.item_rows,
        merged.retrieval_scores,
        merged.scores,
        merged.standardised,
        merged.ranks,
        merged.proposers,
    )
    assert tuple(array.dtype for array in arrays) == dtypes


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_what_the_merge_promises(seed):
    sources, fallback, queries, allowed, n = made_case(seed)
    merged = retrieve(sources, fallback, queries, allowed, n, new_share=0.3)
    assert np.diff(merged.offsets).tolist() == np.minimum(n, allowed.sum(axis=1)).tolist()
    assert allowed[merged.query_rows, merged.item_rows].all()
    assert len(set(zip(merged.query_rows, merged.item_rows, strict=True))) == len(merged)
    by_fallback = ~merged.proposers.any(axis=1)
    assert (by_fallback == (merged.retrieval_scores == 0)).all()
    same_query = np.diff(merged.query_rows) == 0
    assert (np.diff(merged.retrieval_scores)[same_query] <= 0).all()
    items = np.split(merged.item_rows, merged.offsets[1:-1])
    for s, source in enumerate(sources):
        assert np.concatenate(source.score(queries, items)).tobytes() == merged.scores[:, s].tobytes()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_query_in_any_batch_gives_the_same_bytes(seed):
    sources, fallback, queries, allowed, n = made_case(seed)
    merged = retrieve(sources, fallback, queries, allowed, n, new_share=0.3)
    order = np.random.default_rng(seed).permutation(len(queries))[: 1 + len(queries) // 2]
    part = retrieve(sources, fallback, queries.take(order), allowed[order], n, new_share=0.3)
    for place, q in enumerate(order):
        alone = retrieve(sources, fallback, queries.block(q, q + 1), allowed[q : q + 1], n, new_share=0.3)
        assert answer_bytes(alone, 0) == answer_bytes(merged, q) == answer_bytes(part, place)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_filter_does_not_change_an_items_values(seed):
    sources, fallback, queries, allowed, n = made_case(seed)
    everything = retrieve(sources, fallback, queries, np.ones_like(allowed), 1000)
    filtered = retrieve(sources, fallback, queries, allowed, n)
    place = {pair: at for at, pair in enumerate(zip(everything.query_rows, everything.item_rows, strict=True))}
    found = np.array([place[p] for p in zip(filtered.query_rows, filtered.item_rows, strict=True)], dtype=int)
    for name in ("scores", "standardised", "ranks"):
        assert getattr(filtered, name).tobytes() == getattr(everything, name)[found].tobytes()
    by_source = filtered.proposers.any(axis=1)
    assert (filtered.retrieval_scores == everything.retrieval_scores[found])[by_source].all()


def test_a_large_catalogue_in_any_batch():
    """Above numpy's buffer of 8192 entries, sums could depend on their neighbours."""
    rng = np.random.default_rng(0)
    table = (rng.standard_normal((5, 9001)) * 1e3 + 17).astype(np.float32)
    queries, allowed = make_queries([[]] * 5, user_rows=range(5)), np.ones((5, 9001), dtype=bool)
    merged = retrieve([Table(table)], Table(table), queries, allowed, 50)
    for q in range(5):
        alone = retrieve([Table(table)], Table(table), queries.block(q, q + 1), allowed[:1], 50)
        assert answer_bytes(alone, 0) == answer_bytes(merged, q)


@pytest.mark.parametrize("level", [0.1, 1e4, 12345.678, 3e6])
def test_differences_that_float32_hardly_tells_are_not_blown_up(level):
    n = 1001
    table = np.full((1, n), level, dtype=np.float32)
    everything, queries = np.ones((1, n), dtype=bool), make_queries([[]], [0])
    merged = retrieve([Table(table)], Table(table), queries, everything, n)
    np.testing.assert_allclose(merged.standardised, 0, atol=1e-6)
    table[0, 7] = np.nextafter(table[0, 7], np.float32(np.inf))
    merged = retrieve([Table(table)], Table(table), queries, everything, n)
    assert np.abs(merged.standardised).max() <= np.sqrt(n)  # no value among n can stand out further


def test_seen_items_fallback_and_sources_together():
    log, _ = two_groups(0)
    counts = ItemCounts.of(log)
    popularity = Popularity("popularity", counts)
    sources = (
        Popularity("recent", counts, window=300),
        fit_ease(log, regularisation=20.0),
        fit_covisitation(log, window=3),
    )
    queries = ask_all(log)
    allowed = np.ones((len(queries), log.n_items), dtype=bool)
    allowed[queries.event_queries, queries.item_rows] = False
    merged = retrieve(sources, popularity, queries, allowed, 55)
    assert allowed[merged.query_rows, merged.item_rows].all()
    assert np.diff(merged.offsets).tolist() == np.minimum(55, allowed.sum(axis=1)).tolist()
    expected = slowly(sources, popularity, queries, allowed, 55, 0)
    assert merged.item_rows.tolist() == [row[0] for one in expected for row in one]
    for q in range(len(queries)):
        alone = retrieve(sources, popularity, queries.block(q, q + 1), allowed[q : q + 1], 55)
        assert answer_bytes(alone, 0) == answer_bytes(merged, q)


def test_an_item_without_events_is_a_candidate_by_the_vote_of_one_source():
    """One source puts thirty new items among the best; four votes for each known one would leave no room for them."""
    n_known, n_new = 200, 30
    known = np.full((1, n_known + n_new), np.nan, dtype=np.float32)
    known[0, :n_known] = np.arange(n_known, 0, -1)
    of_all = known.copy()
    of_all[0, n_known:] = n_known + 0.5 - 2 * np.arange(n_new)
    queries, everything = make_queries([[]], user_rows=[0]), np.ones(known.shape, dtype=bool)
    sources = [Table(known), Table(known), Table(known), Table(of_all)]

    def candidates(fallback, new_share):
        return retrieve(sources, Table(fallback), queries, everything, 50, new_share=new_share).item_rows.tolist()

    assert candidates(known, 0.1) == [*range(45), *range(n_known, n_known + 5)]
    assert candidates(known, 0.0) == candidates(known, 0.019) == candidates(of_all, 0.1) == [*range(50)]


def test_nobody_asks():
    table = Table(np.ones((1, 4), dtype=np.float32))
    merged = retrieve([table, table], table, make_queries([]), np.ones((0, 4), dtype=bool), 3)
    assert (len(merged), merged.offsets.tolist(), merged.scores.shape) == (0, [0], (0, 2))


def test_a_part_of_the_candidates():
    sources, fallback, queries, allowed, _ = made_case(7)
    merged = retrieve(sources, fallback, queries, allowed, 40)
    keep = np.arange(len(merged)) % 3 == 0
    part = merged.take(keep)
    assert part.item_rows.tolist() == merged.item_rows[keep].tolist()
    assert part.query_rows.tolist() == merged.query_rows[keep].tolist()


def test_each_query_has_votes_of_its_own():
    ranks = np.array([[1, 4], [4, 1]], dtype=np.int32)
    weights = np.array([[1.0, 0.0], [0.5, 2.0]])
    np.testing.assert_allclose(fuse(ranks, 5, weights), [1 / 61, 0.5 / 64 + 2 / 61])
    np.testing.assert_allclose(fuse(ranks, 5, np.ones((2, 2))), fuse(ranks, 5))
