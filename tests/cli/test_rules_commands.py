"""`shortlist rules`: what a file would do, before it is live."""

import json

import pytest

import shortlist as sl

RULES = """
[[pin]]
name = "film of the week"
items = {pinned}
position = 1

[[exclude]]
name = "withdrawn"
items = {excluded}

[[boost]]
name = "never"
items = "year > 3000"
places = 3
"""


@pytest.fixture(scope="module")
def loaded(model):
    return sl.load(model)


@pytest.fixture(scope="module")
def best(loaded):
    return loaded.recommend(1, 30)["item_id"].to_list()


@pytest.fixture
def rules(tmp_path, best):
    path = tmp_path / "shop.toml"
    path.write_text(RULES.format(pinned=[best[20]], excluded=[best[1]]))
    return path


def test_check_says_what_the_rules_are_and_what_an_editor_should_know(run, model, rules):
    done = run("rules", "check", rules, model)
    assert (done.code, done.err) == (0, "")
    first, pin, exclude, boost, finding = done.out.splitlines()
    assert first.startswith(f"{rules}: 3 rules, version ")
    assert pin == "  pin     'film of the week', line 2: 1 items, everybody"
    assert exclude.startswith("  exclude 'withdrawn', line 7: 1 items")
    assert boost.startswith("  boost   'never', line 11: 0 items")
    assert finding == f"warning: {rules}, line 13: 'never': items: no item satisfies it"
    told = json.loads(run("rules", "check", rules, model, "--json").out)
    assert (told["ok"], [rule["kind"] for rule in told["rules"]]) == (True, ["pin", "exclude", "boost"])
    assert told["rules"][0] == {
        "name": "film of the week",
        "kind": "pin",
        "line": 2,
        "phase": "holds",
        "items": 1,
        "users": None,
    }
    assert told["findings"] == [
        {"line": 13, "level": "warning", "rule": "never", "message": "items: no item satisfies it"}
    ]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("[[pin]", 1, "Expected"),
        ("\n[[pni]]", 2, "did you mean [[pin]]?"),
        ("[[exclude]]\nname = 'x'\nitems = 'yaer > 1'", 3, "there is no column 'yaer'; did you mean 'year'?"),
    ],
)
def test_a_bad_file_ends_in_lines_and_no_traceback(run, model, tmp_path, text, line, words):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    for command in (("check",), ("test", "--user", "1")):
        done = run("rules", command[0], path, model, *command[1:])
        assert done.code == 1
        assert f"{path}, line {line}" in done.err
        assert words in done.err
        assert "Traceback" not in done.err
        assert not done.out
    told = run("rules", "check", path, model, "--json")
    assert told.code == 1
    document = json.loads(told.out)
    assert document["ok"] is False
    assert document["findings"][0]["line"] == line
    assert words in document["findings"][0]["message"]


def test_a_file_that_is_not_there(run, model, tmp_path):
    done = run("rules", "check", tmp_path / "none.toml", model, "--json")
    assert done.code == 1
    assert "cannot be read: No such file" in done.err


def test_before_and_after_side_by_side(run, model, loaded, rules, best):
    done = run("rules", "test", rules, model, "--user", 1, "--user", 999, "--k", 5)
    assert done.code == 0
    first, second = done.out.split("\n\n", 1)
    lines = first.splitlines()
    assert lines[0] == "user 1"
    assert lines[1].split() == ["before", "after", "rules"]
    titles = dict(loaded.items.select("item_id", "title").iter_rows())
    assert titles[best[0]] in lines[2]
    assert f"+ (was 21) {best[20]} {titles[best[20]]}" in lines[2]
    assert lines[2].endswith("film of the week")
    assert f"↓1 {best[0]} " in lines[3]
    assert f"= {best[2]} " in lines[4]
    assert f"- {best[1]} {titles[best[1]]} (was 2, gone): withdrawn" in first
    assert f"- {best[4]} {titles[best[4]]} (was 5, now 5)" not in first
    assert second.startswith("user 999")
    assert "999 is not a user that the model knows" in done.err
    assert "line 13: 'never': items: no item satisfies it" in done.err


def test_before_and_after_as_json(run, model, loaded, rules, best):
    done = run("rules", "test", rules, model, "--user", 1, "--k", 5, "--json")
    document = json.loads(done.out)
    (user,) = document["users"]
    assert (document["before"], document["k"], user["user_id"], user["acted"]) == (None, 5, 1, ["rules"])
    assert [row["item_id"] for row in user["before"]] == best[:5]
    after = loaded.recommend(1, 5, rules=sl.read_rules(rules))["item_id"].to_list()
    assert [row["item_id"] for row in user["after"]] == after == [best[20], best[0], *best[2:5]]
    assert [row["mark"] for row in user["after"]] == ["added", "down", "same", "same", "same"]
    assert [row["rank_before"] for row in user["after"]] == [21, 1, 3, 4, 5]
    assert user["after"][0]["rules"] == ["film of the week"]
    (removed,) = user["removed"]
    assert (removed["item_id"], removed["rules"], removed["rank_after"]) == (best[1], ["withdrawn"], None)


def test_two_files_are_compared(run, model, rules, best, tmp_path):
    other = tmp_path / "other.toml"
    other.write_text(f"[[exclude]]\nname = 'other'\nitems = [{best[0]}]\n")
    done = run("rules", "test", rules, model, "--user", 1, "--k", 3, "--before", other, "--json")
    (user,) = json.loads(done.out)["users"]
    assert [row["item_id"] for row in user["before"]] == best[1:4]
    assert [row["item_id"] for row in user["after"]] == [best[20], best[0], best[2]]
    assert [row["mark"] for row in user["after"]] == ["added", "added", "down"]
    assert {row["item_id"]: row["rules"] for row in user["removed"]} == {best[1]: ["withdrawn"], best[3]: []}


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        ("[[bury]]\nname = 'low'\nitems = [{0}]", "low"),
        ("[[boost]]\nname = 'down'\nitems = [{0}]\nplaces = -20", "down"),
        ("[[cap]]\nname = 'few'\nitems = [{1}, {0}]\nmost = 1", "few"),
    ],
)
def test_what_drove_an_item_out(run, model, best, tmp_path, rule, name):
    path = tmp_path / "shop.toml"
    path.write_text(rule.format(best[1], best[0]))
    (user,) = json.loads(run("rules", "test", path, model, "--user", 1, "--k", 3, "--json").out)["users"]
    (removed,) = user["removed"]
    assert (removed["item_id"], removed["rules"]) == (best[1], [name])
    assert removed["rank_after"] is None or removed["rank_after"] > 3


def test_windows_are_judged_at_the_moment_given(run, model, best, tmp_path):
    path = tmp_path / "shop.toml"
    path.write_text(f"[[exclude]]\nname = 'x'\nitems = [{best[0]}]\nfrom = 2030-01-01\nuntil = 2030-01-31\n")
    for at, n_removed in (("2030-01-31T23:59:59", 1), ("2030-02-01", 0), ("1893456000", 1)):
        done = run("rules", "test", path, model, "--user", 1, "--at", at, "--json")
        assert len(json.loads(done.out)["users"][0]["removed"]) == n_removed


def test_recommend_takes_a_file_of_rules(run, model, rules, best, tmp_path):
    rows = json.loads(run("recommend", model, 1, "--rules", rules, "--json").out)["recommendations"]
    assert (rows[0]["item_id"], rows[0]["rules"]) == (best[20], ["film of the week"])
    assert "film of the week" in run("recommend", model, 1, "--rules", rules).out
    out = tmp_path / "all.csv"
    assert run("recommend", model, "--all", "--rules", rules, "--out", out).code == 0
    assert "film of the week" in out.read_text()
    done = run("recommend", model, 1, "--rules", tmp_path / "none.toml")
    assert (done.code, "cannot be read" in done.err) == (1, True)


def test_a_user_is_needed(run, model, rules):
    assert run("rules", "test", rules, model).code == 2
