"""Ids of all sorts in paths: slashes, blanks, dots, letters of every alphabet."""

from dataclasses import replace
from urllib.parse import quote

import polars as pl
import pytest
from running_server import serving

from quick_models import SMALL, fit

IDS = ["a/b", "a/b/similar", "/", "//", "..", ".", "a b", "%2F", "é🎬", "a?b#c", "similar", "a%b", "x\\y", "+", ";=&"]


@pytest.fixture(scope="module")
def model():
    """Small, with such ids for its first items and users."""
    made = fit(ranking=SMALL["ranking"] | {"ranker": "fusion"})
    names = [*IDS, *(f"item {number}" for number in range(len(made.items) - len(IDS)))]
    users = [*IDS, *(f"user {number}" for number in range(len(made.users) - len(IDS)))]
    return replace(
        made,
        items=made.items.with_columns(pl.Series("item_id", names)),
        users=made.users.with_columns(pl.Series("user_id", users)),
        validation=None,
    )


@pytest.fixture(scope="module")
def server(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ids")
    model.save(folder / "model")
    with serving(folder / "model", folder / "log", "--deadline-ms", "20000") as running:
        yield running


@pytest.mark.parametrize("name", IDS)
def test_every_id_has_its_paths(server, model, name):
    place = quote(name, safe="").replace(".", "%2e")  # or the client would leave dots out
    assert server.client.get(f"/v1/items/{place}").json()["item_id"] == name
    similar = server.client.get(f"/v1/items/{place}/similar", params={"k": 3}).json()
    assert similar["item_id"] == name
    assert [one["item_id"] for one in similar["items"]] == model.similar_items(name, 3)["similar_item_id"].to_list()
    history = server.client.get(f"/v1/users/{place}/history").json()
    assert (history["user_id"], history["total"]) == (name, len(model.request([name]).queries.item_rows))
    assert server.recommend(user_id=name, k=3)["known_user"]


def test_a_new_item_and_a_user_to_delete_with_slashes(server):
    assert server.client.put("/v1/items/new%2fone", json={"attributes": {"year": 2031}}).json()["item_id"] == "new/one"
    assert server.recommend(where="year > 2030")["items"][0]["item_id"] == "new/one"
    assert server.client.get("/v1/items/new/one").status_code == 404  # a slash that is not encoded parts
    event = {"id": "1", "user_id": "so/me", "item_id": "a/b"}
    assert server.post("/v1/events", event).json()["stored"] == 1
    assert server.client.delete("/v1/users/so%2Fme").json() == {"user_id": "so/me", "removed": 1}
