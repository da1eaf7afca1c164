"""Rules in a server that runs: its file, and the rules of a request."""

import json
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from running_server import PATIENT, serving
from test_following import wait_until

import shortlist as sl
from shortlist import artifact
from shortlist.serving.metrics import Metrics
from shortlist.serving.rules_file import RulesFile


def rule(kind, name, **keys):
    return f"[[{kind}]]\nname = '{name}'\n" + "".join(f"{key} = {value}\n" for key, value in keys.items())


def put(path, text):
    """The file at once as a whole: a slow machine may look at any moment."""
    temporary = path.with_suffix(".new")
    temporary.write_text(text)
    temporary.replace(path)


def ids(answer):
    return [item["item_id"] for item in answer["items"]]


def live(server):
    return server.client.get("/v1/rules").json()


@pytest.fixture(scope="session")
def best(model):
    return model.recommend(1, 30)["item_id"].to_list()


@pytest.fixture
def path(tmp_path, best):
    file = tmp_path / "shop.toml"
    file.write_text(rule("pin", "first", items=[best[20]], position=1) + rule("exclude", "out", items=[best[0]]))
    return file


@pytest.fixture
def ruled(model_dir, path, tmp_path):
    with serving(model_dir, tmp_path / "log", "--rules", str(path), "--poll-s", "0.1", *PATIENT) as running:
        yield running


def test_a_server_without_rules(server):
    told = live(server)
    assert (told["following"], told["text"], told["rules"], told["findings"], told["refused"]) == (
        False,
        "",
        [],
        [],
        None,
    )
    assert server.recommend(user_id=1)["acted"] == []


def test_rules_of_a_request(server, model, best):
    text = rule("pin", "first", items=[best[20]], position=2) + rule("exclude", "out", items=[best[0]])
    answer = server.recommend(user_id=1, rules=text)
    assert ids(answer) == model.recommend(1, 10, rules=text)["item_id"].to_list()
    assert answer["items"][1]["rules"] == ["first"]
    assert answer["acted"] == ["rules"]
    assert ids(server.recommend(user_id=1, rules="")) == best[:10]
    both = server.post("/v1/recommend/batch", {"queries": [{"user_id": 1, "rules": text}, {"user_id": 1}]}).json()
    assert [ids(one) for one in both["answers"]] == [ids(answer), best[:10]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[pin]", "rules, line 1"),
        (rule("exclude", "x", items="'yaer > 1'"), "rules, line 3: 'x': items: position 1: there is no column 'yaer'"),
        ("x = " + "[" * 60_000, "nested too deeply"),
    ],
)
def test_bad_rules_of_a_request_are_the_callers_fault(server, text, words):
    response = server.post("/v1/recommend", {"user_id": 1, "rules": text})
    assert (response.status_code, response.json()["type"].rsplit(":", 1)[1]) == (400, "invalid-query")
    assert words in response.json()["detail"]


@pytest.mark.parametrize("rules", ["#" * 65_537, 3, ["x"]])
def test_rules_that_are_no_text_or_too_long(server, rules):
    response = server.post("/v1/recommend", {"user_id": 1, "rules": rules})
    assert (response.status_code, response.json()["type"].rsplit(":", 1)[1]) == (400, "invalid-request")


def test_windows_of_a_request_are_judged_at_its_moment(server, best):
    text = rule("exclude", "x", items=[best[0]], **{"from": "2030-01-01", "until": "2030-01-31"})
    for at, gone in (("2030-01-31T12:00:00Z", True), ("2030-02-01T00:00:00Z", False), (1_893_456_000, True)):
        without = [best[0]] if gone else []
        expected = server.recommend(user_id=1, at=at, k=30, exclude_items=without)
        assert ids(server.recommend(user_id=1, at=at, k=30, rules=text)) == ids(expected)


def test_the_file_is_followed_and_a_bad_one_refused(ruled, model, path, best):
    pinned = model.recommend(1, 10, rules=path)["item_id"].to_list()
    assert pinned[0] == best[20]
    answer = ruled.recommend(user_id=1)
    assert ids(answer) == pinned
    assert (answer["items"][0]["rules"], answer["acted"]) == (["first"], ["rules"])
    first = live(ruled)
    assert first["following"]
    assert first["text"] == path.read_text()
    assert [(one["name"], one["kind"], one["line"], one["state"], one["items"]) for one in first["rules"]] == [
        ("first", "pin", 1, "holds", 1),
        ("out", "exclude", 5, "holds", 1),
    ]
    assert ids(ruled.recommend(user_id=1, rules="")) == best[:10]
    assert ids(ruled.post("/v1/rank", {"user_id": 1, "items": best[:3]}).json()) == best[:3]

    for bad, words in (("[[pin]", "line 1"), (rule("exclude", "x", items="'yaer > 1'"), "line 3: 'x': items")):
        put(path, bad)
        wait_until(lambda: words in (live(ruled)["refused"] or ""))  # noqa: B023
        told = live(ruled)
        assert str(path) in told["refused"]
        assert (told["version"], told["text"]) == (first["version"], first["text"])
        assert ids(ruled.recommend(user_id=1)) == pinned
    path.unlink()
    wait_until(lambda: "cannot be read" in (live(ruled)["refused"] or ""))

    put(path, rule("exclude", "other", items=[best[1], 999], until="2020-01-01"))
    wait_until(lambda: live(ruled)["version"] != first["version"])
    told = live(ruled)
    assert told["refused"] is None
    assert [one["message"] for one in told["findings"]] == [
        "items: 1 of 2 ids are not known to the model (999)",
        "until: is over",
    ]
    assert ids(ruled.recommend(user_id=1)) == best[:10]
    text = ruled.client.get("/metrics").text
    assert 'shortlist_rules_total{outcome="refused"} 3.0' in text
    assert 'shortlist_rules_total{outcome="followed"} 2.0' in text


def test_a_file_that_is_being_written_is_not_read(tmp_path):
    path = tmp_path / "shop.toml"
    path.write_text(rule("exclude", "x", items=[1]))
    followed = RulesFile(path, Metrics())
    assert not followed.changed()
    path.write_text("")
    assert not followed.changed()  # perhaps there is more to come
    path.write_text(rule("exclude", "y", items=[1]))
    assert [followed.changed(), followed.changed(), followed.changed()] == [False, True, True]


def test_the_server_looks_again_on_sighup(model_dir, path, best, tmp_path):
    with serving(model_dir, tmp_path / "log", "--rules", str(path), "--poll-s", "3600", *PATIENT) as server:
        path.write_text(rule("exclude", "other", items=[best[1]]))
        assert best[1] in ids(server.recommend(user_id=1))
        server.tell(signal.SIGHUP)
        wait_until(lambda: best[1] not in ids(server.recommend(user_id=1)))


def test_a_rule_that_a_new_model_cannot_follow_is_left_out_and_told(model_dir, model, path, best, tmp_path):
    path.write_text(
        rule("exclude", "by year", items="'year >= 0'", users="[2]") + rule("exclude", "out", items=[best[0]])
    )
    with serving(model_dir, tmp_path / "log", "--rules", str(path), "--poll-s", "0.1", *PATIENT) as server:
        assert ids(server.recommend(user_id=2)) == []
        first = artifact.versions(model_dir)[0]
        items = model.items.drop("year")
        facts = model.first.features.item_facts
        attributeless = replace(
            model, items=items, first=replace(model.first, features=replace(model.first.features, item_facts=facts))
        )
        second = sl.load(attributeless.save(model_dir)).digest[:16]
        wait_until(lambda: server.recommend(user_id=1)["model_version"] == second)
        assert len(ids(server.recommend(user_id=2))) == 10  # the broken rule does nothing
        assert best[0] not in ids(server.recommend(user_id=1))  # the other goes on
        told = live(server)
        assert [one["state"] for one in told["rules"]] == ["left out", "holds"]
        (finding,) = told["findings"]
        assert (finding["level"], finding["rule"], finding["line"]) == ("error", "by year", 3)
        assert "there is no column 'year'" in finding["message"]
        assert "shortlist_rules_left_out 1.0" in server.client.get("/metrics").text
        assert "line 3" in json.dumps(server.wait_for("rules left out"))
        artifact.promote(model_dir, first)
        wait_until(lambda: server.recommend(user_id=1)["model_version"] == first)
        assert ids(server.recommend(user_id=2)) == []
        assert live(server)["findings"] == []


def test_a_changed_item_is_seen_by_the_rules(ruled, path, best):
    put(path, rule("exclude", "old", items="'year < 1000'"))
    wait_until(lambda: [one["name"] for one in live(ruled)["rules"]] == ["old"])
    assert best[0] in ids(ruled.recommend(user_id=1))
    done = ruled.client.put(f"/v1/items/{best[0]}", json={"attributes": {"title": "x", "group": "even", "year": 1}})
    assert done.status_code == 200
    assert best[0] not in ids(ruled.recommend(user_id=1))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[pin]", "line 1"),
        (rule("exclude", "x", items="'yaer > 1'"), "line 3: 'x': items: position 1"),
        (None, "cannot"),
    ],
)
def test_a_server_does_not_start_on_bad_rules(saved, tmp_path, text, words):
    path = tmp_path / "bad.toml"
    if text is not None:
        path.write_text(text)
    command = ["serve", str(saved), "--port", "0", "--store", "none", "--rules", str(path)]
    done = subprocess.run([sys.executable, "-m", "shortlist", *command], capture_output=True, text=True)
    assert (done.returncode, words in done.stderr, str(path) in done.stderr) == (1, True, True)
    assert "Traceback" not in done.stderr
