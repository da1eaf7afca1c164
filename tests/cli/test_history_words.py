"""What `recommend` takes for a user, and what for an item of the history."""

import json

import pytest

import shortlist as sl
from shortlist.data.synthetic import shop


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """A model whose users are u0, u1 … and whose items i0, i1 …, one of them with a comma in its name."""
    log = shop()
    named = log.interactions.with_columns(log.interactions["item_id"].replace("i1", "Fog, The"))
    model = sl.train(sl.Dataset.from_frames(named), "next", {"ranking": {"ranker": "fusion"}})
    folder = tmp_path_factory.mktemp("people") / "model"
    model.save(folder)
    return folder


def answer(done):
    assert done.code == 0, done.err
    return json.loads(done.out)


@pytest.mark.parametrize(
    "written", [["--history", "i2,i3"], ["--history", "i2", "--history", "i3"], ["--history=i2, i3"]]
)
def test_several_items_are_a_history(run, people, written):
    got = answer(run("recommend", people, *written, "--json", "--details"))
    assert got["details"][0]["history_items"] == 2
    expected = sl.load(people).recommend(None, history=["i2", "i3"])
    assert [row["item_id"] for row in got["recommendations"]] == expected["item_id"].to_list()


def test_an_id_with_a_comma_is_one_item(run, people):
    got = answer(run("recommend", people, "--history", "Fog, The", "--history", "i2,i3", "--json", "--details"))
    assert got["details"][0]["history_items"] == 3
    left = answer(run("recommend", people, "u1", "--json", "--k", "100", "--exclude", "Fog, The", "--keep-seen"))
    assert "Fog, The" not in [row["item_id"] for row in left["recommendations"]]


def test_several_items_are_included_or_excluded(run, people):
    asked = ("recommend", people, "u1", "--json", "--keep-seen")
    some = answer(run(*asked, "--include", "i2", "--include", "i3,i4"))["recommendations"]
    assert sorted(row["item_id"] for row in some) == ["i2", "i3", "i4"]
    assert not {"i2", "i3"} & {
        row["item_id"] for row in answer(run(*asked, "--exclude", "i2,i3", "--k", "100"))["recommendations"]
    }


def test_a_blank_between_items_is_refused_with_what_to_write(run, people):
    done = run("recommend", people, "u1", "--history", "i2", "i3", "i4")
    assert done.code == 1
    assert "--history i2,i3,i4" in done.err.replace("\n", " ")


def test_an_item_in_the_place_of_the_user_is_refused(run, people):
    done = run("recommend", people, "--history", "i2", "i3")
    assert done.code == 1
    assert "'i3' was taken for a user" in done.err.replace("\n", " ")
    assert "--history i2,i3" in done.err.replace("\n", " ")


def test_somebody_unknown_may_be_named(run, people):
    done = run("recommend", people, "somebody", "--history", "i2,i3", "--json")
    assert {row["user_id"] for row in answer(done)["recommendations"]} == {"somebody"}
    assert not done.err


def test_whose_history_is_replaced_is_said(run, people):
    done = run("recommend", people, "u1", "--history", "i2,i3", "--json")
    assert answer(done)["recommendations"][0]["user_id"] == "u1"
    assert "user u1, with this history in place of the stored one: i2,i3" in done.err


def test_an_empty_history_is_one(run, people):
    assert answer(run("recommend", people, "--history", "", "--json", "--details"))["details"][0]["history_items"] == 0
