"""The order that rules make, against rules followed by hand."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist.rules.binding import bind
from shortlist.rules.parsing import Rules
from shortlist.rules.plan import MOST_WANTED

N = 12
ITEMS = pl.DataFrame({"item_id": range(N), "kind": [i % 3 for i in range(N)]})
USERS = pl.DataFrame({"user_id": [1]})


def plan_of(text, items=ITEMS):
    bound = bind(Rules.parse(text), items, USERS).require_all()
    return bound.plan(-1, 0)


def boost(name, items, places):
    return f"[[boost]]\nname = '{name}'\nitems = {items}\nplaces = {places}\n"


def pin(name, items, position):
    return f"[[pin]]\nname = '{name}'\nitems = {items}\nposition = {position}\n"


def pool(*rows):
    return np.array(rows, dtype=np.int32)


def arranged(text, rows=range(N)):
    """Items in the new order, the pins by their places, and the marks by item."""
    rows = pool(*rows)
    ruled = plan_of(text).arrange(rows)
    assert sorted(ruled.order.tolist()) == list(range(len(rows)))
    return (
        rows[ruled.order].tolist(),
        {at: int(rows[place]) for at, place in ruled.pins.items()},
        {int(rows[place]): names for place, names in ruled.marks.items()},
    )


def test_no_rules_change_nothing():
    assert arranged("", [3, 1, 2]) == ([3, 1, 2], {}, {})


@pytest.mark.parametrize(
    ("places", "order"),
    [
        (1, [0, 1, 3, 2, 4]),
        (2, [0, 3, 1, 2, 4]),
        (3, [3, 0, 1, 2, 4]),
        (1000, [3, 0, 1, 2, 4]),
        (-1, [0, 1, 2, 4, 3]),
        (-9, [0, 1, 2, 4, 3]),
    ],
)
def test_a_boost_moves_by_exactly_its_places(places, order):
    assert arranged(boost("b", "[3]", places), range(5)) == (order, {}, {3: ("b",)})


def test_boosts_add_up_and_boosted_items_keep_their_order():
    order, _, marks = arranged(boost("a", "'kind == 2'", 2) + boost("b", "[5, 7]", 1), range(9))
    assert order == [2, 0, 1, 5, 3, 4, 8, 7, 6]
    assert marks == {2: ("a",), 5: ("a", "b"), 7: ("b",), 8: ("a",)}


def test_opposite_boosts_leave_an_item_where_it_is():
    assert arranged(boost("a", "[3]", 2) + boost("b", "[3]", -2), range(6))[0] == list(range(6))


def test_buried_items_are_last_whatever_lifts_them():
    text = boost("up", "[1, 4]", 100) + "[[bury]]\nname = 'x'\nitems = [1, 3, 7]\n"
    assert arranged(text, range(6))[0] == [4, 0, 2, 5, 1, 3]


def test_pins_by_id_follow_each_other():
    _, pins, marks = arranged(pin("p", "[9, 3, 5]", 2))
    assert pins == {1: 9, 2: 3, 3: 5}
    assert marks == {9: ("p",), 3: ("p",), 5: ("p",)}


def test_an_id_that_cannot_be_had_leaves_its_place_to_others():
    assert arranged(pin("p", "[9, 99, 5]", 1), range(8))[1] == {2: 5}


def test_a_pin_by_a_condition_takes_the_best():
    assert arranged(pin("p", "'kind == 1'", 3), [0, 3, 7, 4, 1])[1] == {2: 7}
    assert arranged(boost("b", "[4]", 3) + pin("p", "'kind == 1'", 3), [0, 3, 7, 4, 1])[1] == {2: 4}
    assert arranged(pin("p", "'kind == 1'", 3) + pin("q", "'kind == 1'", 1), [0, 3, 7, 4, 1])[1] == {0: 7, 2: 4}
    assert arranged(pin("p", "'kind == 1'", 3), [0, 3])[1] == {}


def test_two_pins_on_one_place_and_one_item_twice():
    text = pin("a", "[5]", 2) + pin("b", "[6]", 2) + pin("c", "[7]", 3)
    assert arranged(text)[1] == {1: 5, 2: 6, 3: 7}
    order, pins, marks = arranged(pin("late", "[5]", 4) + pin("early", "[5]", 2))
    assert (pins, marks) == ({1: 5}, {5: ("early",)})
    assert order[-1] == 5


def test_a_pinned_item_names_its_boosts_too():
    assert arranged(boost("b", "[5]", 1) + pin("p", "[5]", 1))[2] == {5: ("p", "b")}


def test_many_boosts_are_named_each():
    text = "".join(boost(f"b{i}", f"[{i % N}]", 1) for i in range(40))
    marks = arranged(text)[2]
    assert marks == {row: tuple(f"b{i}" for i in range(40) if i % N == row) for row in range(N)}


def test_what_pins_want_scored():
    everything = np.ones(N, dtype=bool)
    text = pin("a", "[9, 2]", 1) + pin("b", "'kind == 1'", 5) + pin("c", "[2]", 7)
    assert plan_of(text).wanted(everything).tolist() == [1, 2, 4, 7, 9, 10]
    some = everything.copy()
    some[[1, 9]] = False
    assert plan_of(text).wanted(some).tolist() == [2, 4, 7, 10]
    assert plan_of(boost("x", "[1]", 1)).wanted(everything).tolist() == []


def test_a_condition_that_many_satisfy_wants_nothing():
    for n, n_wanted in ((MOST_WANTED, MOST_WANTED), (MOST_WANTED + 1, 0)):
        items = pl.DataFrame({"item_id": range(n), "kind": [1] * n})
        assert len(plan_of(pin("p", "'kind == 1'", 1), items).wanted(np.ones(n, dtype=bool))) == n_wanted


ROWS = st.lists(st.integers(0, N - 1), min_size=1, max_size=4, unique=True)
BOOSTS = st.lists(st.tuples(ROWS, st.integers(-5, 5).filter(bool)), max_size=4)
BURIED = st.lists(st.integers(0, N - 1), max_size=4)


@given(st.permutations(range(N)).flatmap(lambda p: st.integers(0, N).map(lambda n: p[:n])), BOOSTS, BURIED)
def test_the_order_is_that_of_the_definition(rows, boosts, buried):
    text = "".join(boost(f"b{i}", items, places) for i, (items, places) in enumerate(boosts))
    text += f"[[bury]]\nname = 'x'\nitems = {buried}\n" if buried else ""

    def key(row):
        lift = sum(places for items, places in boosts if row in items)
        return row in buried, rows.index(row) - lift, -lift, rows.index(row)

    assert arranged(text, rows)[0] == sorted(rows, key=key)
