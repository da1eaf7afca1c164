"""Groups of items, and what is left under caps."""

from datetime import date
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from shortlist.errors import QueryError
from shortlist.ranking.caps import Cap, Count, groups_of, parse_caps

GENRES = pl.Series("genres", [["war", "drama"], [], None, ["drama", "drama", None], ["war"]])


def sets(column):
    offsets, codes = groups_of(column)
    return [set(codes[start:stop].tolist()) for start, stop in pairwise(offsets)]


def test_a_group_per_value_of_a_list():
    first, *rest = sets(GENRES)
    assert len(first) == 2
    drama, war = rest[2], rest[3]
    assert rest[:2] == [set(), set()]
    assert first == drama | war
    assert drama != war
    assert len(drama) == len(war) == 1
    assert len(groups_of(GENRES)[1]) == 4  # nothing twice for one item


@pytest.mark.parametrize(
    "column",
    [
        pl.Series(["a", None, "b", "a"]),
        pl.Series([1990, None, 1991, 1990]),
        pl.Series([0.5, None, 1.5, 0.5]),
        pl.Series([True, None, False, True]),
        pl.Series([date(2000, 1, 1), None, date(2001, 1, 1), date(2000, 1, 1)]),
        pl.Series(["a", None, "b", "a"], dtype=pl.Categorical),
    ],
    ids=str,
)
def test_a_group_per_value(column):
    first, none, other, same = sets(column)
    assert first == same
    assert none == set()
    assert first != other
    assert len(first) == len(other) == 1


@pytest.mark.parametrize("column", [pl.Series([], dtype=pl.String), pl.Series([None, None], dtype=pl.List(pl.String))])
def test_no_groups(column):
    offsets, codes = groups_of(column)
    assert offsets.tolist() == [0] * (len(column) + 1)
    assert len(codes) == 0


def test_counting():
    count = Count([Cap("genres", 1, *groups_of(GENRES))])
    assert [count.fits(row) for row in range(5)] == [True] * 5
    assert count.closed(5).tolist() == [False] * 5
    count.add(4)
    assert [count.fits(row) for row in range(5)] == [False, True, True, True, False]
    assert count.closed(5).tolist() == [True, False, False, False, True]
    count.add(3)
    assert count.closed(5).tolist() == [True, False, False, True, True]
    assert [cap.limit for cap in count.exceeded(0)] == [1]


def test_no_place_at_all():
    count = Count([Cap("genres", 0, *groups_of(GENRES), "out")])
    assert count.closed(5).tolist() == [True, False, False, True, True]
    assert not count.fits(0)
    assert count.fits(1)


@pytest.mark.parametrize(
    ("caps", "message"),
    [
        ({"genre": 3}, r"caps: there is no item attribute 'genre'; there are title, genres"),
        ({"item_id": 1}, "no item attribute 'item_id'"),
        ({"genres": 0}, "caps: genres: expected a whole number of at least 1, got 0"),
        ({"genres": True}, "got True"),
        ({"genres": 2.0}, "got 2.0"),
        ({"genres": "3"}, "got '3'"),
        ([("genres", 3)], "caps: expected a mapping"),
        ("genres=3", "caps: expected a mapping"),
    ],
)
def test_caps_that_are_none(caps, message):
    with pytest.raises(QueryError, match=message):
        parse_caps(caps, ["item_id", "title", "genres"])


def test_caps():
    assert parse_caps(None, ["item_id"]) == {}
    assert parse_caps({}, ["item_id"]) == {}
    assert parse_caps({"genres": np.int64(3)}, ["item_id", "genres"]) == {"genres": 3}
