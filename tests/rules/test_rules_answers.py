"""What answers promise, whatever the rules."""

from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from quick_models import SMALL, with_trees
from shortlist.errors import QueryError, RulesError
from shortlist.rules.parsing import Rules

N = SMALL["retrieval"]["candidates"]
UNTOUCHED = ["item_id", "rank", "score", "retrieval_rank", "retrieval_score", "sources", "predicted_rating"]


@pytest.fixture(scope="module")
def model():
    return with_trees()


@pytest.fixture(scope="module")
def n_items(model):
    return len(model.items)


def rule(kind, name="x", **keys):
    return f"[[{kind}]]\nname = '{name}'\n" + "".join(f"{key} = {value}\n" for key, value in keys.items())


def ids(table):
    return table["item_id"].to_list()


def plain(model, k=10, user=1, **asked):
    return ids(model.recommend(user, k, **asked))


def ruled(model, text, k=10, user=1, **asked):
    answer = model.recommend(user, k, details=True, rules=text, **asked)
    named = dict(zip(answer.table["item_id"], answer.table["rules"].to_list(), strict=True))
    return ids(answer.table), named, answer.details.to_dicts()[0]


# One rule at a time


def test_the_catalogue_has_what_these_tests_need(model, n_items):
    assert n_items > N + 5
    assert {"item_id", "group"} <= set(model.items.columns)


def test_without_rules_nothing_is_different(model):
    for rules in (None, "", "# none", Rules.parse("")):
        answer = model.recommend([1, 2, None], 10, details=True, rules=rules)
        assert_frame_equal(answer.table, model.recommend([1, 2, None], 10))
        assert answer.details["acted"].to_list() == [[], [], []]


def test_a_pin_is_where_it_was_put_and_has_its_score(model, n_items):
    everything = model.recommend(1, n_items)
    for place in (0, N - 1, N, len(everything) - 1):  # also items that stage 1 did not find
        wanted = everything["item_id"][place]
        found, named, details = ruled(model, rule("pin", items=[wanted], position=3))
        assert found[2] == wanted
        assert [name for name in named.values() if name] == [["x"]]
        assert details["acted"] == ["rules"]
        assert [item for item in found if item != wanted] == [item for item in plain(model, 11) if item != wanted][:9]
        table = model.recommend(1, 10, rules=rule("pin", items=[wanted], position=3))
        alone = model.recommend(1, 1, include_items=[wanted])
        assert table["score"][2] == alone["score"][0]
        assert table.filter(item_id=wanted)["predicted_rating"][0] == alone["predicted_rating"][0]


def test_a_rule_may_name_somebody_whom_the_model_does_not_know_yet(model):
    text = rule("pin", items=[8], position=1, users=[900, 1])
    users = [900, 2, None, 1, "900", 901, 900]
    answers = model.recommend(users, 5, rules=text, filter_seen=False)
    firsts = answers.filter(rank=1)
    held = [names.to_list() == ["x"] for names in firsts["rules"]]
    assert held == [True, False, False, True, False, False, True]
    assert firsts.filter(held)["item_id"].to_list() == [8, 8, 8]
    for user in users:
        alone = model.recommend(user, 5, rules=text, filter_seen=False)
        assert [name for names in alone["rules"].to_list() for name in names] == ["x"] * (user in (900, 1))
    assert model.recommend(True, 5, rules=rule("pin", items=[8], position=1, users=[900]))["rules"][0].to_list() == []
    shop = rule("exclude", items=[8], users=[900])
    assert 8 not in ids(model.recommend(900, 40, rules=shop))
    assert 8 in ids(model.recommend(901, 40, rules=shop))


def test_rules_for_certain_users_hold_in_every_block_of_a_batch(model, monkeypatch):
    monkeypatch.setattr("shortlist.stages.QUERIES_AT_ONCE", 2)
    users = [5, 900, 6, 901, 7]
    answers = model.recommend(users, 3, rules=rule("pin", items=[8], position=1, users=[901]), filter_seen=False)
    held = [names.to_list() == ["x"] for names in answers.filter(rank=1)["rules"]]
    assert held == [False, False, False, True, False]


def test_a_pin_that_no_source_proposed_does_not_say_that_one_did(model, n_items):
    everything = model.recommend(1, n_items)
    beyond = everything.tail(len(everything) - N).filter(pl.col("retrieval_score") > 0)
    nobodys = beyond.filter(pl.col("sources").list.len() == 0)
    assert len(nobodys), "the sources' proposals must not be the whole catalogue"
    for wanted in (nobodys["item_id"][0], beyond["item_id"][0]):
        (pinned,) = model.recommend(1, 1, rules=rule("pin", items=[wanted], position=1), explain=True).to_dicts()
        assert pinned["item_id"] == wanted
        assert pinned["sources"] == beyond.filter(item_id=wanted)["sources"][0].to_list()
        proposed = [told["source"] for told in pinned["explanation"]["sources"] if told["proposed"]]
        assert sorted(proposed) == sorted(pinned["sources"])
        assert "fills the list" not in pinned["explanation"]["sentence"]
        alone = model.explain(1, [wanted])[wanted]
        assert [told["source"] for told in pinned["explanation"]["sources"]] == [one.source for one in alone.sources]


def test_pins_win_over_neither_filters_nor_what_was_seen(model):
    seen = model.log.item_rows[model.log.user_rows == model.user_vocabulary.rows([1])[0]]
    held = model.items["item_id"].to_list()[int(seen[0])]
    text = rule("pin", items=[held], position=1)
    assert ruled(model, text, filter_seen=True)[0] == plain(model, filter_seen=True)
    assert ruled(model, text, filter_seen=False)[0][0] == held
    assert ruled(model, text, filter_seen=False, exclude_items=[held])[0] == plain(
        model, filter_seen=False, exclude_items=[held]
    )
    assert held not in ruled(model, text, filter_seen=False, where=f"item_id != {held}")[0]


def test_a_pin_beyond_the_end_keeps_its_item_for_its_place(model):
    best = plain(model, 12)
    text = rule("pin", items=[best[0]], position=11)
    assert ruled(model, text, 10)[0] == best[1:11]
    assert ruled(model, text, 12)[0] == [*best[1:11], best[0], best[11]]


def test_a_pin_that_the_answer_does_not_reach_stands_last(model):
    few = plain(model, 4)
    text = rule("pin", items=[few[0]], position=900)
    assert ruled(model, text, include_items=few)[0] == [*few[1:], few[0]]


def test_an_excluded_item_is_gone_and_the_answer_is_as_long(model):
    best = plain(model)
    found, named, details = ruled(model, rule("exclude", items=best[:3]))
    assert found == plain(model, exclude_items=best[:3])
    assert not any(named.values())
    assert (details["returned"], details["allowed"]) == (10, len(plain(model, 1000)) - 3)


def test_buried_items_come_after_all_others_of_the_catalogue(model, n_items):
    everything = plain(model, n_items)
    buried = everything[: N + 2]
    for k in (5, 10, len(everything)):
        found, named, _ = ruled(model, rule("bury", items=buried), k)
        kept = len(everything) - len(buried)
        assert set(found[:kept]) <= set(everything) - set(buried)
        assert len(found) == k
        assert [item for item in found if named[item]] == found[kept:]
    assert set(found[kept:]) == set(buried)


def test_a_boost_moves_by_its_places(model):
    best = plain(model, N)
    found, named, _ = ruled(model, rule("boost", items=[best[7]], places=5), N)
    assert found == [*best[:2], best[7], *best[2:7], *best[8:]]
    assert named == {item: ["x"] if item == best[7] else [] for item in best}


def test_a_cap_of_a_rule_is_the_cap_of_the_argument(model):
    for limit in (1, 2, 4):
        text = rule("cap", by="'group'", most=limit)
        found, named, _ = ruled(model, text, 6)
        assert found == plain(model, 6, caps={"group": limit})
        groups = dict(model.items.select("item_id", "group").iter_rows())
        for place, item in enumerate(found):
            over = [groups[one] for one in found[: place + 1]].count(groups[item]) > limit
            assert (named[item] == ["x"]) == over


def test_a_cap_on_what_satisfies_a_condition(model):
    best = plain(model, 4)
    found, _, _ = ruled(model, rule("cap", items=best, most=1))
    assert [item for item in found if item in best] == best[:1]


# Order of conflicts


def test_the_written_order_of_conflicts(model):
    best = plain(model, 12)
    a, b, c = best[:3]
    last = best[11]
    excluded = rule("exclude", "out", items=[a]) + rule("pin", "pin", items=[a], position=1)
    assert a not in ruled(model, excluded, 40)[0]
    pinned = rule("bury", "low", items=[last]) + rule("pin", "pin", items=[last], position=2)
    assert ruled(model, pinned)[0][1] == last
    capped = rule("cap", "one", items=[a, b, last], most=1) + rule("pin", "pin", items=[last], position=5)
    found = ruled(model, capped)[0]  # the pin takes the group's place
    assert (found[4], a in found, b in found) == (last, False, False)
    boosted = rule("bury", "low", items=[b]) + rule("boost", "up", items=[b], places=1000)
    assert b not in ruled(model, boosted)[0]
    both = rule("cap", "one", items=[b, c], most=1) + rule("boost", "up", items=[c], places=5)
    found = ruled(model, both)[0]
    assert (found[0], b in found) == (c, False)


# Whom and when


def test_windows_are_judged_at_the_moment_of_asking(model):
    best = plain(model)
    end = datetime.fromtimestamp(int(model.log.end), UTC)
    today = end.date().isoformat()
    text = rule("exclude", items=[best[0]], **{"from": today})
    assert best[0] in ruled(model, text, at=int(model.log.end) - 3 * 86_400)[0] or best[0] not in plain(
        model, at=int(model.log.end) - 3 * 86_400
    )
    for at, gone in ((end, True), (int(end.timestamp()), True), (end.replace(year=end.year - 1), False)):
        asked = {"at": at, "filter_seen": False}
        there = plain(model, 40, **asked)
        assert ruled(model, text, 40, **asked)[0] == [item for item in there if not (gone and item == best[0])]


def test_without_a_moment_the_clock_decides(model):
    best = plain(model)
    now = datetime.now(UTC)
    over = rule("exclude", items=[best[0]], until=f"{now.year - 1}-01-01")
    on = rule("exclude", items=[best[0]], **{"from": f"{now.year - 1}-01-01", "until": f"{now.year + 1}-01-01"})
    assert best[0] in ruled(model, over)[0]
    assert best[0] not in ruled(model, on)[0]


def test_rules_for_some_users(model):
    text = rule("exclude", items="'item_id >= 0'", users="[2, 3]")
    answer = model.recommend([1, 2, 3, 4, None, 99], 5, details=True, rules=text)
    assert answer.details["returned"].to_list() == [5, 0, 0, 5, 5, 5]
    assert answer.details["reason"].is_null().to_list() == [True, False, False, True, True, True]


# Errors


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ("[[pin]", "rules, line 1"),
        (rule("exclude", items="'yaer > 1'"), r"rules, line 3: 'x': items: position 1: there is no column 'yaer'"),
        (rule("exclude", items="[1]", users="'age > 1'"), r"line 4: 'x': users: position 1: there is no column 'age'"),
        (3, "expected Rules, a TOML text or a Path, got int"),
    ],
)
def test_rules_that_cannot_be_used_are_refused(model, rules, words):
    with pytest.raises(RulesError, match=words) as caught:
        model.recommend(1, rules=rules)
    assert isinstance(caught.value, QueryError)


def test_a_file(model, tmp_path):
    path = tmp_path / "shop.toml"
    path.write_text(rule("exclude", items=plain(model)[:1]))
    assert ids(model.recommend(1, rules=path)) == plain(model, exclude_items=plain(model)[:1])


# The promise


ITEMS = st.one_of(
    st.lists(st.integers(-1, 45), min_size=1, max_size=8).map(str),
    st.sampled_from(["'item_id < 12'", "'item_id >= 20'", "'item_id >= 0'", "'item_id > 99'"]),
    st.sampled_from(["\"group == 'odd'\"", "\"group == 'even'\""]),
)
USERS = st.sampled_from([None, None, "[1, 2]", "'user_id < 5'"])
KEYS = {
    "pin": {"items": ITEMS, "position": st.integers(1, 30)},
    "boost": {"items": ITEMS, "places": st.integers(-30, 30).filter(bool)},
    "bury": {"items": ITEMS},
    "exclude": {"items": ITEMS},
    "cap": {"items": ITEMS, "most": st.integers(1, 6)},
    "cap by": {"by": st.sampled_from(["'group'", "'year'"]), "most": st.integers(1, 6)},
}


@st.composite
def texts(draw):
    text = ""
    for number, kind in enumerate(draw(st.lists(st.sampled_from(list(KEYS)), max_size=8))):
        keys = {key: draw(values) for key, values in KEYS[kind].items()}
        users = draw(USERS)
        text += rule(kind.split()[0], f"r{number}", **keys, **({"users": users} if users else {}))
    return text


ASKED = st.fixed_dictionaries(
    {"filter_seen": st.booleans()},
    optional={
        "include_items": st.lists(st.integers(0, 45), max_size=20),
        "diversity": st.sampled_from([0.0, 0.3, 1.0]),
        "caps": st.sampled_from([None, {"group": 2}]),
        "explore": st.sampled_from([0.0, 0.5]),
        "at": st.integers(0, 2_000_000_000),
    },
)


@settings(max_examples=40, deadline=None)
@given(text=texts(), asked=ASKED, k=st.integers(1, 50))
def test_the_length_promise_and_the_same_first_items_for_every_k(model, text, asked, k):
    users = [1, 7, None]
    answer = model.recommend(users, k, details=True, rules=text, **asked)
    longer = model.recommend(users, k + 7, rules=text, **asked)
    free = {key: value for key, value in asked.items() if key in ("filter_seen", "include_items", "at")}
    start, long_start = 0, 0
    for user, row in zip(users, answer.details.to_dicts(), strict=True):
        n = row["returned"]
        assert n == min(k, row["allowed"])
        part = answer.table[start : start + n]
        start += n
        assert part["item_id"].n_unique() == n
        assert part["rank"].to_list() == list(range(1, n + 1))
        assert part["user_id"].null_count() == (n if user is None else 0)
        allowed = set(ids(model.recommend(user, 1000, **free)))
        assert set(ids(part)) <= allowed
        if "exclude" not in text:
            assert row["allowed"] == len(allowed)
        n_long = min(k + 7, row["allowed"])
        same = n if text else min(n, N)
        assert ids(longer[long_start : long_start + n_long])[:same] == ids(part)[:same]
        long_start += n_long
        score = part["score"].drop_nulls()
        if not row["acted"]:
            assert score.is_sorted(descending=True)
    assert start == len(answer.table)
