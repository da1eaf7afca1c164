"""`shortlist recommend` with what acts after the score."""

import json

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import shortlist as sl


@pytest.fixture(scope="module")
def loaded(model):
    return sl.load(model)


def test_the_options_are_those_of_the_library(run, model, loaded):
    done = run(
        *("recommend", model, "1", "2", "--k", "6", "--json", "--details"),
        *("--diversity", "0.5", "--cap", "group=2", "--cap", "year=1", "--explore", "0.3", "--at", "1600000000"),
    )
    acts = {"diversity": 0.5, "caps": {"group": 2, "year": 1}, "explore": 0.3, "at": 1_600_000_000}
    table, details = loaded.recommend([1, 2], k=6, details=True, **acts)
    told = json.loads(done.out)
    rows = pl.DataFrame(told["recommendations"])
    assert_frame_equal(
        rows.select("user_id", "item_id", "propensity"), table.select("user_id", "item_id", "propensity")
    )
    assert [row["acted"] for row in told["details"]] == details["acted"].to_list()
    assert [row["notes"] for row in told["details"]] == details["notes"].to_list()


def test_the_text_says_what_acted(run, model):
    page = run("recommend", model, "1", "--cap", "group=1", "--details", "--k", "6").out
    assert "caps acted; no other item that is allowed fits the caps (group: 1): the last 4 items exceed them" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--cap", "group"), "--cap: expected ATTRIBUTE=N, for example genres=3, got 'group'"),
        (("--cap", "group=two"), "--cap: expected ATTRIBUTE=N"),
        (("--cap", "group=0"), "caps: group: expected a whole number of at least 1, got 0"),
        (("--cap", "colour=2"), "there is no item attribute 'colour'"),
        (("--diversity", "2"), "--diversity"),
        (("--explore", "-1"), "--explore"),
    ],
)
def test_mistakes(run, model, arguments, message):
    done = run("recommend", model, "1", *arguments)
    assert done.code in (1, 2)
    assert message in done.err
    assert "Traceback" not in done.err
