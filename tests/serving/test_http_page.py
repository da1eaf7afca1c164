"""What the page is served by: its files, users and items to show, versions beside the promoted one, their reports."""

import re
from importlib.resources import files

import httpx
import pytest
from running_server import serving
from versions_beside import save_beside

import quick_models
from shortlist.reports import KeptReport, keep_report
from shortlist.serving.keys import add_key

STATIC = files("shortlist.serving") / "static" / "page"


def test_the_files_of_the_page(server):
    response = server.client.get("/")
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    kinds = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
    for entry in STATIC.iterdir():
        answer = server.client.get(f"/page/{entry.name}")
        assert answer.content == entry.read_bytes()
        assert answer.headers["content-type"].split(";")[0] == kinds[entry.name.rpartition(".")[2]]
    for path in ("x.js", "..%2fdocs.js", "%2e%2e%2fdocs.html", "docs.js"):
        assert server.client.get(f"/page/{path}").status_code == 404


def test_nothing_in_the_page_comes_from_elsewhere_or_is_inline():
    for entry in STATIC.iterdir():
        text = entry.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"""https?://(?!127\.0\.0\.1|localhost)[^"'\s]*\.[a-z]""", text), entry.name
        assert "innerHTML" not in text, entry.name
        if entry.name.endswith(".html"):
            assert not re.search(r"<style|<script(?![^>]*\ssrc=)|\sstyle=|\son[a-z]+=", text), entry.name


def test_the_policy_allows_the_own_files_only(server):
    policy = server.client.get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


def test_users_of_the_log(server, model):
    answer = server.client.get("/v1/users", params={"limit": 3}).json()
    assert [user["user_id"] for user in answer["users"]] == [0, 1, 2]
    assert answer["total"] == len(model.users)
    for user in answer["users"]:
        assert user["events"] == server.client.get(f"/v1/users/{user['user_id']}/history").json()["total"]
        assert user["attributes"] == {"group": ["even", "odd"][user["user_id"] % 2]}
    found = server.client.get("/v1/users", params={"search": "4"}).json()
    assert {str(user["user_id"])[0] for user in found["users"]} == {"4"}
    assert server.client.get("/v1/users", params={"search": "nobody"}).json()["users"] == []


def test_items_by_their_ids(server):
    answer = server.post("/v1/items/lookup", {"item_ids": [7, 999, 3, 7, "x"]}).json()
    assert [item["item_id"] for item in answer["items"]] == [7, 3, 7]
    assert answer["items"][1]["attributes"] == server.client.get("/v1/items/3").json()["attributes"]
    assert server.post("/v1/items/lookup", {"item_ids": []}).json()["items"] == []


def test_what_the_ratings_are(server):
    told = server.client.get("/v1/model").json()
    assert told["ratings"] == {"low": 4.0, "high": 5.0}
    assert told["positive_events"] == []


def test_a_version_beside_the_promoted_one_answers_when_asked(own_server, model_dir):
    other = quick_models.fit(ranking=quick_models.SMALL["ranking"] | {"ranker": "fusion"})
    version = save_beside(other, model_dir)
    serving_now = own_server.client.get("/v1/model").json()["version"]
    body = {"user_id": 3, "k": 5}
    for name in (version, serving_now, version):
        answer = own_server.post(f"/v1/models/{name}/recommend", body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["model_version"] == name == answer.headers["x-model-version"]
    expected = other.recommend(3, k=5)
    assert [item["item_id"] for item in answer.json()["items"]] == expected["item_id"].to_list()
    assert own_server.recommend(**body)["model_version"] == serving_now
    assert own_server.post("/v1/models/0123456789abcdef/recommend", body).status_code == 404


def test_a_damaged_version_beside_is_refused(own_server, model_dir):
    version = save_beside(quick_models.fit("next"), model_dir)
    file = next((model_dir / version).rglob("*.npy"))
    file.write_bytes(file.read_bytes()[:-1])
    answer = own_server.post(f"/v1/models/{version}/recommend", {"user_id": 3})
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:shortlist:problem:model-refused")
    assert own_server.recommend(user_id=3)["returned"] == 10


def test_reports_of_versions(own_server, model_dir):
    version = own_server.client.get("/v1/model").json()["version"]
    path = f"/v1/models/{version}/report"
    assert own_server.client.get(path).json() == {
        "version": version, "judged": "", "same_model": False, "report": None,
    }  # fmt: skip
    keep_report(model_dir, KeptReport(version, "another model", False, {"verdict": "Better"}))
    assert own_server.client.get(path).json()["report"] == {"verdict": "Better"}
    assert own_server.client.get("/v1/models/0123456789abcdef/report").status_code == 404


def test_the_version_to_roll_back_to(own_server, model_dir):
    first = own_server.client.get("/v1/models").json()
    assert first["previous"] is None
    version = save_beside(quick_models.fit("next"), model_dir)
    assert own_server.client.post(f"/v1/models/{version}/promote?force=true").status_code == 200
    assert own_server.client.get("/v1/models").json()["previous"] == first["serving"]


@pytest.fixture(scope="module")
def locked(saved, tmp_path_factory):
    folder = tmp_path_factory.mktemp("locked-page")
    key = add_key(folder / "keys.json", "reader", ["read"])
    with serving(saved, folder / "log", "--keys", str(folder / "keys.json"), "--store", "none") as server:
        server.key = {"Authorization": f"Bearer {key}"}
        yield server


def test_the_files_are_public_and_the_rest_is_not(locked):
    for path in ("/", "/page/page.css"):
        assert httpx.get(locked.address + path).status_code == 200
    version = locked.client.get("/v1/model", headers=locked.key).json()["version"]
    for method, path in [
        ("GET", "/v1/users"),
        ("POST", "/v1/items/lookup"),
        ("GET", f"/v1/models/{version}/report"),
        ("POST", f"/v1/models/{version}/recommend"),
    ]:
        assert locked.client.request(method, path, json={}).status_code == 401, path
    answer = locked.client.post(f"/v1/models/{version}/recommend", json={}, headers=locked.key)
    assert answer.status_code == 403
