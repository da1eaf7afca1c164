import json

import polars as pl
import pytest

import shortlist as sl


@pytest.fixture
def loaded(model):
    return sl.load(model)


def test_the_numbers_are_the_librarys(run, model, loaded):
    done = run("explain", model, "1", "--k", "3", "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)["explanations"]
    expected = loaded.explain(1, k=3)
    assert [one["item_id"] for one in told] == list(expected)
    assert [one["sentence"] for one in told] == [one.sentence for one in expected.values()]
    assert told[0]["sources"][0]["source"] == next(iter(expected.values())).sources[0].source


def test_items_of_ones_own_a_history_and_a_language(run, model, loaded):
    items = [int(item) for item in loaded.items["item_id"].head(3)]
    names = ",".join(map(str, items))
    done = run("explain", model, "--item", names, "--history", names, "--language", "de", "--json")
    told = json.loads(done.out)["explanations"]
    assert [one["item_id"] for one in told] == items
    assert all("Sie haben es schon einmal gewählt" in one["sentence"] for one in told)


def test_for_people(run, model, loaded):
    page = run("explain", model, "1", "-k", "2").out
    for item, found in loaded.explain(1, k=2).items():
        assert f"{item}  " in page
        assert found.sentence in page.replace("\n", " ")
    assert "of the catalogue" in page
    assert " base, " in page


def test_recommend_explains_too(run, model, tmp_path):
    rows = json.loads(run("recommend", model, "1", "--k", "2", "--explain", "--json").out)["recommendations"]
    sentences = [row["explanation"]["sentence"] for row in rows]
    page = run("recommend", model, "1", "--k", "2", "--explain").out.replace("\n", " ")
    assert all(sentence in page for sentence in sentences)
    for ending in ("csv", "parquet"):
        out = tmp_path / f"two.{ending}"
        assert run("recommend", model, "1", "--k", "2", "--explain", "--out", out).code == 0
    assert pl.read_csv(tmp_path / "two.csv")["explanation"].to_list() == sentences
    structs = pl.read_parquet(tmp_path / "two.parquet")["explanation"]
    assert structs.struct.field("sentence").to_list() == sentences


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (("--item", "123456"), "items: not in the catalogue: 123456"),
        (("--language", "tlh"), "expected true or a language (de, en), got 'tlh'"),
        (("--at", "yesterday"), "--at: expected"),
    ],
)
def test_a_mistake_is_one_line(run, model, wrong, message):
    done = run("explain", model, "1", *wrong)
    assert done.code == 1
    assert message in done.err.replace("\n", " ")
    assert "Traceback" not in done.err
