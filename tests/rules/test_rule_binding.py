"""What rules mean for the items and users of a model."""

import numpy as np
import polars as pl
import pytest

from shortlist.errors import RulesError
from shortlist.ranking.caps import Count
from shortlist.rules.binding import bind
from shortlist.rules.parsing import Rules

ITEMS = pl.DataFrame(
    {
        "item_id": [10, 20, 30, 40, 50],
        "year": [1990, 1995, 2000, None, 1995],
        "genres": [["War", "Drama"], ["Drama"], [], None, ["Drama", "Drama"]],
        "title": ["a", "b", "c", "d", None],
        "odd": [{"x": 1}] * 5,
    }
)
USERS = pl.DataFrame({"user_id": [1, 2, 3], "age": [20, 40, None]})


def bound_rules(text):
    return bind(Rules.parse(text, "shop.toml"), ITEMS, USERS)


def one(kind, **keys):
    return f"[[{kind}]]\nname = '{keys.pop('name', 'x')}'\n" + "".join(f"{k} = {v}\n" for k, v in keys.items())


def told(text, now=0):
    return [finding.told("shop.toml") for finding in bound_rules(text).findings(now)]


@pytest.mark.parametrize(
    ("items", "rows"),
    [
        ("[20, 40]", [1, 3]),
        ("[20, 99]", [1]),
        ("['20']", []),
        ("'year > 1990'", [1, 2, 4]),
        ("'item_id >= 40'", [3, 4]),
        ("\"'Drama' in genres\"", [0, 1, 4]),
    ],
)
def test_items(items, rows):
    (rule,) = bound_rules(one("exclude", items=items)).bound
    assert np.flatnonzero(rule.items).tolist() == rows
    assert rule.users is None


@pytest.mark.parametrize(("users", "rows"), [("[3, 9]", [2]), ("'age < 30'", [0]), ("'age is None'", [2])])
def test_users(users, rows):
    bound = bound_rules(one("exclude", items="[10]", users=users))
    assert np.flatnonzero(bound.bound[0].users).tolist() == rows
    for row in (-1, 0, 1, 2):
        assert (bound.plan(row, 0).excluded is not None) == (row in rows)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (one("exclude", items="'yaer > 1'"), "line 3: 'x': items: position 1: there is no column 'yaer'; did you mean"),
        (one("exclude", items="'year > '"), "line 3: 'x': items: position 8: cannot be read"),
        (one("exclude", items="'year'"), "line 3: 'x': items: position 1: column 'year' (number, Int64) is not a cond"),
        (one("exclude", items="[10]", users="'agee > 1'"), "line 4: 'x': users: position 1: there is no column 'agee'"),
        (
            one("cap", by="'genre'", most=1),
            "line 3: 'x': by: there is no item attribute 'genre'; did you mean 'genres'",
        ),
        (one("cap", by="'item_id'", most=1), "line 3: 'x': by: there is no item attribute 'item_id'"),
    ],
)
def test_a_rule_that_does_not_fit_is_left_out_and_told(text, expected):
    bound = bound_rules(text + one("bury", name="good", items="[10]"))
    assert [rule.rule.name for rule in bound.bound] == ["good"]
    (finding,) = bound.findings(0)
    assert (finding.level, finding.rule) == ("error", "x")
    assert expected in finding.told("shop.toml")
    with pytest.raises(RulesError, match=r"^shop\.toml, line \d+: 'x'"):
        bound.require_all()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (one("exclude", items="[99]"), "line 3: 'x': items: the id is not known to the model (99)"),
        (one("exclude", items="[10, 8, 7, 6, 5]"), "4 of 5 ids are not known to the model (8, 7, 6, …)"),
        (one("exclude", items="['10']"), "('10'); the ids of this model's items are of the kind integer"),
        (
            one("exclude", items="[10]", users="[4]"),
            "line 4: 'x': users: the id is not known to the model (4); "
            "the rule holds for whoever asks under such an id",
        ),
        (one("exclude", items="'year > 3000'"), "line 3: 'x': items: no item satisfies it"),
        (one("exclude", items="[10]", users="'age > 90'"), "line 4: 'x': users: no user satisfies it"),
        (one("exclude", items="[10]", until="1969-12-31"), "line 4: 'x': until: is over"),
        (
            one("pin", items="[10]", position=1) + one("exclude", name="y", items="'year < 1995'"),
            "line 3: 'x': items: one item is excluded by 'y' (line 5), which goes first",
        ),
        (
            one("pin", items="'year == 1995'", position=1) + one("exclude", name="y", items="'year <= 1995'"),
            "line 3: 'x': items: 2 items are excluded by 'y' (line 5), which goes first",
        ),
        (
            one("pin", items="[10, 20]", position=1) + one("pin", name="y", items="[30]", position=2),
            "line 8: 'y': position: position 2 has a pin already (line 1): this one moves to the next free place",
        ),
        (
            one("pin", items="[10]", position=1) + one("pin", name="y", items="[10]", position=2),
            "line 7: 'y': items: one item is pinned in line 1 too: the higher place holds",
        ),
    ],
)
def test_what_an_editor_should_know(text, expected):
    bound = bound_rules(text)
    (finding,) = bound.findings(0)
    assert finding.level == "warning"
    assert expected in finding.told("shop.toml")
    assert bound.require_all() is bound


@pytest.mark.parametrize(
    "text",
    [
        one("pin", items="'year == 1995'", position=1) + one("exclude", name="y", items="[20]"),
        one("pin", items="[10]", position=1, users="[1]") + one("exclude", name="y", items="[10]", users="[2]"),
        one("pin", items="[10]", position=1, until="2026-01-01")
        + one("pin", name="y", items="[20]", position=1, **{"from": "2026-01-02"}),
        one("pin", items="[10]", position=1, users="'age < 30'")
        + one("pin", name="y", items="[10]", position=1, users="'age >= 30'"),
    ],
)
def test_no_conflict_where_rules_never_meet(text):
    assert told(text) == []


def test_windows():
    bound = bound_rules(one("exclude", items="[10]", **{"from": "2026-12-01", "until": "2026-12-24T12:00:00Z"}))
    starts, ends = (1796083200, 1798113600)
    for moment in (starts, ends - 1):
        assert bound.plan(-1, moment).excluded is not None
        assert bound.findings(moment) == []
    for moment in (starts - 1, ends, 0, 2**62 - 1):
        assert bound.plan(-1, moment).excluded is None
    assert [finding.message for finding in bound.findings(ends)] == ["until: is over"]


def test_what_holds_together_is_joined_once():
    text = "".join(one("exclude", name=f"x{i}", items="[10]", users=f"[{1 + i % 3}]") for i in range(60))
    bound = bound_rules(text)
    assert bound.plan(0, 5) is bound.plan(0, 99)
    assert bound.plan(0, 5) is not bound.plan(1, 5)


def members(cap):
    return [cap.of(row) for row in range(len(ITEMS))]


def test_caps_by_a_list_by_a_value_and_by_a_condition():
    by_genre, by_year, of_war, joined = (
        rule.cap
        for rule in bound_rules(
            one("cap", name="a", by="'genres'", most=2)
            + one("cap", name="b", by="'year'", most=1)
            + one("cap", name="c", items="\"'War' in genres\"", most=3)
            + one("cap", name="d", items="'year <= 1995'", by="'genres'", most=3)
        ).bound
    )
    war, drama = members(by_genre)[0][0], members(by_genre)[1][0]
    if war == drama:
        war = members(by_genre)[0][1]
    assert [set(groups) for groups in members(by_genre)] == [{war, drama}, {drama}, set(), set(), {drama}]
    years = members(by_year)
    assert [len(groups) for groups in years] == [1, 1, 1, 0, 1]
    assert years[1] == years[4] != years[0]
    assert members(of_war) == [[0], [], [], [], []]
    assert [set(groups) for groups in members(joined)] == [{war, drama}, {drama}, set(), set(), {drama}]
    assert (by_genre.limit, by_genre.rule, of_war.limit) == (2, "a", 3)


def test_a_cap_over_nothing_but_missing_values_or_odd_ones():
    frame = ITEMS.with_columns(nothing=pl.lit(None, dtype=pl.String))
    for column in ("nothing", "odd"):
        bound = bind(Rules.parse(one("cap", by=f"'{column}'", most=1)), frame, USERS)
        for rule in bound.bound:
            assert len(rule.cap.offsets) == len(ITEMS) + 1


def test_buried_items_have_no_place():
    (rule,) = bound_rules(one("bury", items="[20, 50]")).bound
    assert (rule.cap.limit, rule.cap.rule) == (0, "x")
    count = Count([rule.cap])
    assert [count.fits(row) for row in range(5)] == [True, False, True, True, False]
    assert count.closed(5).tolist() == [False, True, False, False, True]


def test_an_empty_catalogue_and_no_users():
    text = one("cap", by="'genres'", most=1) + one("bury", name="y", items="'year > 1'", users="'age > 1'")
    bound = bind(Rules.parse(text), ITEMS.head(0), USERS.head(0))
    assert len(bound.bound) == 2
    assert bound.plan(-1, 0).buried is None
