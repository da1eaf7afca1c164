"""A model with new and changed items beside its arrays: all others are answered as before."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from quick_models import SMALL, fit
from shortlist.errors import DataError
from shortlist.serving.overlay import FILLS, fitted, overlaid
from shortlist.serving.soundness import faults
from shortlist.serving.store.contract import ItemOverlay
from shortlist.structure import check_structure

SOURCES = ["popularity", "ease", "covisitation", "als", "content"]


def changed(item_id, version=1, **attributes):
    return ItemOverlay(item_id=item_id, attributes=attributes, updated_at=0, version=version)


@pytest.fixture(scope="module")
def described():
    """A model with a source that describes items by their attributes."""
    return fit(retrieval=SMALL["retrieval"] | {"sources": SOURCES})


def test_nothing_changes_without_overlays(described):
    assert overlaid(described, []) is described
    assert overlaid(described, [changed("x", year=2000)]) is described  # ids of the other kind


def test_new_items_get_rows_in_every_part(described):
    made = overlaid(described, [changed(100, title="New", group="odd", year=1999), changed(101)])
    check_structure(made)
    assert faults(made) == []
    assert made.items["item_id"].to_list()[-2:] == [100, 101]
    assert made.items.schema == described.items.schema
    assert len(described.items) == 40  # the model itself is as it was


def test_what_the_model_knew_is_answered_as_before(described):
    made = overlaid(described, [changed(100, group="odd"), changed(101, group="even")])
    for user in range(0, 60, 7):
        before = described.recommend(user, k=40, filter_seen=False)
        after = made.recommend(user, k=42, filter_seen=False, exclude_items=[100, 101])
        assert sorted(before["item_id"]) == sorted(after["item_id"])


def test_a_new_item_is_proposed_by_what_describes_it(described):
    made = overlaid(described, [changed(100, title="Item 100 of the odd", group="odd", year=2000)])
    table = made.recommend(1, k=41, filter_seen=False)
    (row,) = table.filter(pl.col("item_id") == 100).to_dicts()
    assert row["sources"] == ["content"]


def test_a_changed_item_keeps_its_place(described):
    made = overlaid(described, [changed(3, title="Renamed", group="even", year=1950), changed(100)])
    assert made.items["item_id"].to_list() == [*range(40), 100]
    assert made.items.row(3, named=True) == {"item_id": 3, "title": "Renamed", "group": "even", "year": 1950}
    assert made.items[:3].equals(described.items[:3])
    assert made.recommend(1, where="year == 1950", filter_seen=False)["item_id"].to_list() == [3]


def test_every_source_and_rating_model_can_be_padded():
    from shortlist.retrieval.content import Content
    from shortlist.saving import KINDS

    rankers = {"blend", "linear"}
    assert {KINDS[kind] for kind in KINDS.keys() - rankers} <= {*FILLS, Content}


@pytest.mark.parametrize(
    ("attributes", "waiting"),
    [({}, []), ({"year": 2000, "title": None}, []), ({"colour": "red", "year": 1}, ["colour"]), ({"item_id": 3}, [])],
)
def test_attributes_that_fit(described, attributes, waiting):
    assert fitted(attributes, described) == waiting


@pytest.mark.parametrize("attributes", [{"year": "x"}, {"year": 1.5}, {"title": 3}, {"year": 2**70}, {"title": ["a"]}])
def test_attributes_that_do_not_fit(described, attributes):
    with pytest.raises(DataError, match="attribute '"):
        fitted(attributes, described)


def test_dates_and_lists():
    items = pl.DataFrame(
        {"item_id": range(40), "released": [None] * 40, "genres": [["a"]] * 40},
        schema={"item_id": pl.Int64, "released": pl.Date, "genres": pl.List(pl.String)},
    )
    model = replace(fit(retrieval=SMALL["retrieval"] | {"sources": ["popularity", "ease"]}), items=items)
    overlays = [changed(7, released="1999-12-31T22:00:00-05:00", genres="b"), changed(100, released="2001-02-03")]
    made = overlaid(model, overlays)
    assert made.items["released"].cast(pl.String).to_list()[7] == "2000-01-01"
    assert made.items["genres"].to_list()[7] == ["b"]
    assert np.array_equal(made.items["item_id"].to_numpy(), [*range(40), 100])
    with pytest.raises(DataError, match="released"):
        fitted({"released": "yesterday"}, model)
