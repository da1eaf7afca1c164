"""Answers over HTTP: those of the library, to the letter."""

import random
import subprocess
import sys

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

USERS = [*range(60), 977, "nobody", None]
ITEMS = range(44)
WHERE = ["year >= 1995", "group == 'even'", "'Item 1' in title", "year < 1900", "not year >= 1990 or group == 'odd'"]


def expected(model, **query):
    """What the library says, in the words of the server."""
    answer = model.recommend(query.pop("user_id", None), details=True, **query)
    rows = answer.table.to_dicts()
    return [{name: value for name, value in row.items() if name != "user_id"} for row in rows], answer.details.row(
        0, named=True
    )


def same(answer, model, **query):
    rows, details = expected(model, **query)
    found = answer["items"]
    assert [item["item_id"] for item in found] == [row["item_id"] for row in rows]
    for item, row in zip(found, rows, strict=True):
        for name, value in row.items():
            assert item[name] == value, name  # to the bit: JSON gives back every float64
    for name in (
        "returned",
        "allowed",
        "reason",
        "known_user",
        "history_items",
        "unknown_history_items",
        "notes",
        "acted",
    ):
        assert answer[name] == details[name], name
    assert answer["degraded"] == []
    assert answer["stages"] == ["retrieval", "ranking"]
    assert answer["user_id"] == query.get("user_id")


queries = st.fixed_dictionaries(
    {"user_id": st.sampled_from(USERS)},
    optional={
        "k": st.integers(1, 60),
        "history": st.lists(st.sampled_from(ITEMS), max_size=12),
        "at": st.integers(1_600_000_000, 1_618_000_000),
        "filter_seen": st.sampled_from([True, False, None]),
        "include_items": st.lists(st.sampled_from(ITEMS), max_size=30),
        "exclude_items": st.lists(st.sampled_from(ITEMS), max_size=30),
        "where": st.sampled_from(WHERE),
        "diversity": st.floats(0, 1),
        "caps": st.dictionaries(st.sampled_from(["group", "year"]), st.integers(1, 5)),
        "explore": st.floats(0, 1),
    },
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=queries)
def test_the_same_query_gives_the_same_answer_as_the_library(server, query):
    same(server.recommend(**query), server.model, **query)


def test_scores_are_the_same_numbers(server, model):
    scores = [item["score"] for user in range(60) for item in server.recommend(user_id=user, k=40)["items"]]
    library = model.recommend(list(range(60)), k=40)["score"].to_list()
    assert scores == library


def test_histories_with_times_and_ratings(server, model):
    draw = random.Random(0)
    for _ in range(30):
        n = draw.randrange(1, 9)
        times = [1_617_000_000 + draw.randrange(10**6) for _ in range(n)]
        events = [
            {"item_id": draw.randrange(44), "timestamp": time, "rating": draw.choice([1.0, 3.5, 5.0])} for time in times
        ]
        table = {name: [event[name] for event in events] for name in events[0]}
        found = server.recommend(user_id=3, history=events, k=7)
        same(found, model, user_id=3, history=table, k=7)


def test_a_moment_may_be_a_date(server, model):
    by_seconds = server.recommend(user_id=3, at=1_609_459_200)
    by_date = server.recommend(user_id=3, at="2021-01-01T00:00:00Z")
    assert by_seconds["items"] == by_date["items"]
    assert by_seconds["notes"]


def test_a_batch_is_its_queries(server):
    queries = [{"user_id": user, "k": 3} for user in range(10)] + [{"history": [1, 3], "k": 5}]
    response = server.post("/v1/recommend/batch", {"queries": queries})
    assert response.status_code == 200
    answers = response.json()["answers"]
    call = response.headers["x-request-id"]
    assert [answer.pop("request_id") for answer in answers] == [f"{call}/{place}" for place in range(11)]
    single = [server.recommend(**query) for query in queries]
    for answer in single:
        answer.pop("request_id")
    assert answers == single


def test_a_bad_query_in_a_batch_is_named(server):
    response = server.post("/v1/recommend/batch", {"queries": [{"user_id": 1}, {"where": "nothing"}]})
    assert response.status_code == 400
    assert response.json()["detail"].startswith("queries[1]: where, position 1")


def test_rank_scores_items_as_recommend_does(server, model):
    """An item's score does not depend on what else is asked: so ranking some is ranking all, and leaving out."""
    scores = {}
    answer = server.post("/v1/rank", {"user_id": 7, "items": list(range(40))}).json()
    for item in answer["items"]:
        scores[item["item_id"]] = item["score"]
    assert len(scores) == 40
    assert None not in scores.values()
    ranked = [item["score"] for item in answer["items"]]
    assert ranked == sorted(ranked, reverse=True)
    some = server.post("/v1/rank", {"user_id": 7, "items": [9, 4, 2, "x", 99]}).json()
    assert some["unknown_items"] == ["x", 99]
    assert {item["item_id"]: item["score"] for item in some["items"]} == {item: scores[item] for item in (2, 4, 9)}
    for item in server.recommend(user_id=7, k=10)["items"]:
        assert item["score"] == scores[item["item_id"]]


def test_k_is_kept_under_every_filter(server):
    """Test 2 of the list: exactly min(k, allowed), whatever part of the catalogue is allowed."""
    draw = random.Random(1)
    for n_allowed in (40, 20, 2, 1, 0):
        for _ in range(20):
            items = draw.sample(range(40), n_allowed)
            k = draw.randrange(1, 45)
            answer = server.recommend(user_id=draw.randrange(60), include_items=items, k=k, filter_seen=False)
            assert answer["returned"] == len(answer["items"]) == min(k, n_allowed)
            assert {item["item_id"] for item in answer["items"]} <= set(items)
            assert (answer["reason"] is None) == (n_allowed >= k)


def test_every_answer_says_what_made_it(server, model):
    response = server.post("/v1/recommend", {"user_id": 1}, headers={"X-Request-Id": "mine-1"})
    assert response.headers["x-request-id"] == response.json()["request_id"] == "mine-1"
    assert response.headers["x-model-version"] == response.json()["model_version"] == model.digest[:16]
    assert all(item["sources"] for item in response.json()["items"])
    other = server.post("/v1/recommend", {"user_id": 1}, headers={"X-Request-Id": "no blanks here"})
    assert len(other.json()["request_id"]) == 32
    line = server.wait_for("request", request_id="mine-1")
    assert line["version"] == model.digest[:16]
    assert set(line["stages_ms"]) == {"question", "retrieval", "ranking"}
    assert "user_id" not in line


def test_similar_items(server, model):
    answer = server.client.get("/v1/items/4/similar", params={"k": 5}).json()
    table = model.similar_items(4, 5)
    assert [item["item_id"] for item in answer["items"]] == table["similar_item_id"].to_list()
    np.testing.assert_allclose([item["score"] for item in answer["items"]], table["score"].to_list())
    for unknown in ("999", "x", "1.0", "١"):
        assert server.client.get(f"/v1/items/{unknown}/similar").status_code == 404


def test_search(server):
    found = server.client.get("/v1/items", params={"search": "ITEM 1", "limit": 3}).json()
    assert found["total"] == 13  # 1, 10 to 19, 21 and 31
    assert [item["item_id"] for item in found["items"]] == [1, 10, 11]
    backwards = server.client.get("/v1/items", params={"search": "odd  17 item"}).json()
    assert [item["item_id"] for item in backwards["items"]] == [17]
    assert server.client.get("/v1/items", params={"search": " 7 "}).json()["items"][0]["item_id"] == 7
    assert found["items"][0]["attributes"]["title"] == "Item 1 of the odd"
    assert server.client.get("/v1/items", params={"search": "(.*"}).json()["total"] == 0
    assert server.client.get("/v1/items").json()["total"] >= 40
    assert server.client.get("/v1/items/7").json()["attributes"]["group"] == "odd"


def test_what_the_model_is(server, model):
    told = server.client.get("/v1/model").json()
    assert told["version"] == model.digest[:16]
    assert told["record"].keys() == model.record.keys()
    assert (told["items"], told["users"], told["events"]) == (40, 60, len(model.log))
    assert server.client.get("/v1/models").json()["versions"] == [told["version"]]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"k": 0}, "$.k"),
        ({"k": 1001}, "$.k"),
        ({"k": "ten"}, "$.k"),
        ({"K": 3}, "K"),
        ({"user_id": True}, "user_id"),
        ({"user_id": 1.5}, "user_id"),
        ({"user_id": "x" * 300}, "user_id"),
        ({"history": [1, {"item_id": 2}]}, "history"),
        ({"history": [{"item_id": 1, "timestamp": 5}, {"item_id": 2}]}, "history"),
        ({"at": -1}, "at"),
        ({"at": 10**14}, "at"),
        ({"where": "__import__('os')"}, "where"),
        ({"where": "(" * 990}, "where"),
        ([], "object"),
        ("text", "object"),
    ],
)
def test_mistakes_are_named(server, body, words):
    response = server.post("/v1/recommend", body)
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["type"].startswith("urn:shortlist:problem:invalid-")
    assert problem["request_id"] == response.headers["x-request-id"]
    assert problem["status"] == 400
    assert words in problem["detail"]


def test_other_paths_and_methods(server):
    for method, path, status, kind in [
        ("GET", "/nothing", 404, "not-found"),
        ("GET", "/v1/items/../../etc/passwd", 404, "not-found"),
        ("GET", "/v1/recommend", 405, "method-not-allowed"),
        ("GET", "/v1/items?limit=0", 400, "invalid-request"),
        ("GET", "/v1/items?limit=1&limit=2", 400, "invalid-request"),
        ("GET", "/v1/items?path=/etc/passwd", 400, "invalid-request"),
    ]:
        response = server.client.request(method, path)
        assert (response.status_code, response.json()["type"]) == (status, f"urn:shortlist:problem:{kind}"), path
    assert "GET" in server.client.post("/livez").headers["allow"]


def test_the_server_lives_and_is_ready(server):
    assert server.client.get("/livez").json()["status"] == "ok"
    assert server.client.get("/readyz").json() == {"status": "ok", "checks": {}}


def test_the_page_needs_nothing_from_elsewhere(server):
    page = server.client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "script-src 'self'" in page.headers["content-security-policy"]
    for path in ("/docs", "/docs.js", "/docs.css"):
        text = server.client.get(path).text
        assert "http:" not in text
        assert "https:" not in text
        assert "//" not in text.replace("// ", "").replace("*/", "")


def test_no_library_of_training_is_loaded():
    program = (
        "import sys, shortlist.serving.server, shortlist.serving.store.sql_store\n"
        "print([m for m in ('torch', 'catboost', 'myfm', 'pandas', 'shortlist.training') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_answers_of_many_at_once(server, model):
    """Whoever asks beside whom: the same answers."""
    import asyncio

    async def ask_all():
        async with httpx.AsyncClient(base_url=server.address, timeout=60) as client:
            return await asyncio.gather(
                *(client.post("/v1/recommend", json={"user_id": user, "k": 5}) for user in range(40))
            )

    for user, response in enumerate(asyncio.run(ask_all())):
        same(response.json(), model, user_id=user, k=5)
