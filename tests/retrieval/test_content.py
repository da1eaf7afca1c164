"""Attributes as columns, items as vectors of them, and what is new proposed at once."""

import zlib
from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_logs import N_ITEMS, make_log, make_queries, two_groups
from source_contract import HistorySourceContract

from shortlist.errors import DataError
from shortlist.retrieval.content import N_BUMPS, AttributeColumns, Content
from shortlist.training.retrieval.content import fit_content


def catalogue(n=N_ITEMS, untouched=None):
    """Items whose side, words and size say whether they are even; one more, about which nothing is known or this."""
    rng = np.random.default_rng(0)
    rows = np.arange(n)
    frame = pl.DataFrame(
        {
            "item_id": rows,
            "side": np.array(["even", "odd"])[rows % 2],
            "words": [["left", "right"][row % 2] + f" no {row}" for row in rows],
            "noise": rng.integers(0, 5, n).astype(str),
            "size": rows % 2 + rng.random(n) / 2,
        }
    )
    last = pl.DataFrame([{"item_id": n} | (untouched or {})], schema_overrides=frame.schema)
    return pl.concat([frame, last], how="diagonal")


class TestContent(HistorySourceContract):
    sums_over_history = True

    def make_source(self, log):
        return fit_content(log, catalogue(), dimension=8)


class TestContentOfManyDimensions(HistorySourceContract):
    sums_over_history = True

    def make_source(self, log):
        return fit_content(log, catalogue(), dimension=48, decay=0.9)


# Attributes as columns


def as_dicts(columns, items):
    """The rows of the matrix, by what each column stands for."""
    names = {zlib.crc32(f"{name}={value}".encode()): value for name in columns.names for value in "abcdefgh"}
    matrix = columns.matrix(items)
    assert matrix.dtype == np.float32
    labels = [names.get(int(crc), int(crc)) for crc in columns.hashes] + list(range(N_BUMPS * len(columns.knots)))
    return [{labels[j]: row[j] for j in np.flatnonzero(row)} for row in matrix.toarray()]


def test_a_category_is_one_column_per_value_that_two_items_have():
    items = pl.DataFrame({"item_id": range(6), "kind": [*"aabba", None], "mark": [*"cdddd", None]})
    columns = AttributeColumns.of(items, 100)
    assert columns.kinds == ("category", "category")
    rows = as_dicts(columns, items)
    assert rows == [{"a": 1}, {"a": 1, "d": 1}, {"b": 1, "d": 1}, {"b": 1, "d": 1}, {"a": 1, "d": 1}, {}]


def test_lists_are_weighted_by_idf_and_have_length_one():
    items = pl.DataFrame({"item_id": range(4), "tags": [["a", "b"], ["a", "b", "b"], ["a"], None]})
    columns = AttributeColumns.of(items, 100)
    a, b = np.log(5 / 3), np.log(5 / 2)
    norm = np.hypot(a, b)
    rows = as_dicts(columns, items)
    assert rows[0] == rows[1] == {"a": pytest.approx(a / norm), "b": pytest.approx(b / norm)}
    assert rows[2:] == [{"a": 1}, {}]


def test_texts_are_split_into_words_whatever_their_case():
    titles = ["A b!", "B (a)", "c a", "C", "D e f", ""]
    items = pl.DataFrame({"item_id": range(6), "title": titles})
    columns = AttributeColumns.of(items, 100)
    assert columns.kinds == ("text",)
    assert [set(row) for row in as_dicts(columns, items)] == [{"a", "b"}, {"a", "b"}, {"a", "c"}, {"c"}, set(), set()]


def test_only_the_most_frequent_values_are_kept():
    items = pl.DataFrame({"item_id": range(9), "tags": [["a"]] * 4 + [["b"]] * 3 + [["c"]] * 2})
    rows = [set(row) for row in as_dicts(AttributeColumns.of(items, 2), items)]
    assert rows == [{"a"}] * 4 + [{"b"}] * 3 + [set()] * 2


def test_neighbouring_numbers_share_columns():
    values = [*np.linspace(0, 1, 40) ** 5, None, float("nan")]
    items = pl.DataFrame({"item_id": range(42), "price": values})
    rows = AttributeColumns.of(items, 100).matrix(items).toarray()
    assert rows.shape == (42, N_BUMPS)
    assert not rows[40:].any()
    likeness = rows[:40] @ rows[:40].T
    np.testing.assert_allclose(np.diag(likeness), 1, rtol=1e-5)
    for row in range(3, 37):  # the further apart in rank, the less alike
        assert (np.diff(likeness[row, row:]) < 1e-6).all()
        assert likeness[row, row + 1] > 0.9
    assert likeness[0, 39] == 0


def test_dates_count_like_numbers():
    days = [date(2000, 1, 1), date(2001, 1, 1), None, date(2020, 1, 1)]
    items = pl.DataFrame({"item_id": range(4), "day": days})
    seconds = pl.DataFrame({"item_id": range(4), "day": [0, 366 * 86_400, None, 7305 * 86_400]})
    one, other = (AttributeColumns.of(table, 100).matrix(table).toarray() for table in (items, seconds))
    np.testing.assert_array_equal(one, other)
    assert one.any(axis=1).tolist() == [True, True, False, True]


@pytest.mark.parametrize(
    "items",
    [
        pl.DataFrame({"item_id": [1, 2, 3]}),
        pl.DataFrame({"item_id": [1, 2, 3], "name": ["x", "y", "z"]}),
        pl.DataFrame({"item_id": [1, 2], "nothing": [None, None]}),
        pl.DataFrame({"item_id": [1, 2], "tags": [[], None]}, schema_overrides={"tags": pl.List(pl.String)}),
        pl.DataFrame({"item_id": [1, 2, 3], "same": [4.0, 4.0, None]}),
        pl.DataFrame({"item_id": [], "size": []}, schema={"item_id": pl.Int64, "size": pl.Float64}),
    ],
)
def test_attributes_that_tell_nothing(items):
    columns = AttributeColumns.of(items, 100)
    assert columns.matrix(items).nnz == 0
    log = make_log([0, 0], [0, 1], 1, len(items))
    if len(items):
        with pytest.raises(DataError, match="no attribute"):
            fit_content(log, items)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.none() | st.sampled_from("abc"),
            st.none() | st.text(max_size=6),
            st.none() | st.floats(allow_nan=True),
            st.none() | st.lists(st.none() | st.integers(0, 3), max_size=3),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_every_attribute_of_a_row_has_length_one_or_none_and_rows_do_not_depend_on_others(rows):
    schema = {"kind": pl.String, "title": pl.String, "price": pl.Float64, "tags": pl.List(pl.Int64)}
    items = pl.DataFrame(rows, schema=schema, orient="row").with_columns(item_id=np.arange(len(rows)))
    columns = AttributeColumns.of(items, 100)
    whole = columns.matrix(items)
    squares = whole.multiply(whole).sum(axis=1)
    assert np.allclose(squares, np.round(squares), atol=1e-4)
    assert squares.max() <= 4.01
    for row in range(len(items)):
        assert columns.matrix(items[row : row + 1]).toarray().tobytes() == whole[row].toarray().tobytes()


# The source


def test_scores_by_hand():
    columns = AttributeColumns.of(pl.DataFrame({"item_id": range(4), "kind": ["a", "a", "b", "b"]}), 100)
    a_first = zlib.crc32(b"kind=a") < zlib.crc32(b"kind=b")
    weights = np.array([[1, 0], [1, 2]], dtype=np.float32)[:: 1 if a_first else -1]
    items = pl.DataFrame({"item_id": range(3), "kind": ["a", "b", None]})
    source = Content.of("content", items, columns, weights, decay=0.5)
    assert source.item_vectors.tolist() == [[1, 0], [1, 2], [0, 0]]
    scores = source.score_catalogue(make_queries([[0], [1, 0], [2, 0, 2], [2], []]))
    mean = (0.5 * np.array([1, 2]) + np.array([1, 0])) / 1.5
    expected = [[1, 1, np.nan], [mean[0], mean @ [1, 2], np.nan], [1, 1, np.nan], [np.nan] * 3, [np.nan] * 3]
    np.testing.assert_allclose(scores, expected, rtol=1e-6)


def test_weights_are_those_of_a_ridge_regression():
    """Told by another way to the minimum: rows of √ridge appended, least squares."""
    log, _ = two_groups(2)
    items = catalogue()
    source = fit_content(log, items, dimension=4, ridge=3.0)
    from shortlist.training.retrieval import content

    als = content.fit_als(log, regularisation=content.REGULARISATION, dimension=4, iterations=content.ITERATIONS)
    rows = als.item_vectors[:N_ITEMS] / np.linalg.norm(als.item_vectors[:N_ITEMS], axis=1, keepdims=True)
    c = source.columns.matrix(items).toarray()[:N_ITEMS].astype(np.float64)
    stacked = np.vstack([c, np.sqrt(3) * np.eye(c.shape[1])]), np.vstack([rows, np.zeros((c.shape[1], 4))])
    np.testing.assert_allclose(source.weights, np.linalg.lstsq(*stacked, rcond=None)[0], atol=1e-5)


@pytest.mark.parametrize("known", [{"side": "odd"}, {"words": "right"}, {"size": 1.2}])
def test_an_item_that_nobody_touched_is_proposed_to_those_it_suits(known):
    log, _ = two_groups(1)
    source = fit_content(log, catalogue(untouched=known))
    odd, even = source.score_catalogue(make_queries([[1, 3, 5], [0, 2, 4]]))
    assert odd[N_ITEMS] > max(np.median(odd[:N_ITEMS:2]), even[N_ITEMS])
    assert N_ITEMS in source.propose(make_queries([[1, 3, 5]]), N_ITEMS)[0]


def test_an_item_added_later_is_proposed_without_fitting_anew():
    log, _ = two_groups(1)
    source = fit_content(log, catalogue(), decay=0.9)
    more = pl.concat([catalogue(), catalogue(untouched={"side": "even", "words": "a left one"})[-1:]])
    again = source.for_catalogue(more)
    assert again.decay == 0.9
    assert again.item_vectors[:-1].tobytes() == source.item_vectors.tobytes()
    assert again.described.tolist() == [True] * N_ITEMS + [False, True]
    queries = make_queries([[0, 2, 4]])
    best = again.propose(queries, N_ITEMS // 2 + 1)[0]
    assert N_ITEMS + 1 in best
    # A catalogue in which an attribute is not given any more, and one more is
    fewer = again.for_catalogue(more.drop("size").with_columns(colour=pl.lit("red")))
    assert fewer.score_catalogue(queries).shape == (1, N_ITEMS + 2)


def test_a_log_without_positives_is_refused():
    log = make_log([0, 1], [0, 1], 2, N_ITEMS + 1, weights=[0, 0])
    with pytest.raises(DataError, match="above 0"):
        fit_content(log, catalogue())
