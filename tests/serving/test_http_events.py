"""Events and changed items: stored once, and part of the next answer."""

import asyncio
import itertools
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import numpy as np
import polars as pl
import pytest
from ladder_harness import Harness
from running_server import PATIENT, serving

from shortlist.saving import load
from shortlist.serving.calls import Call
from shortlist.serving.idempotency import Answered
from shortlist.serving.keys import Bucket, Caller
from shortlist.serving.store.opening import open_store

NEW_ID = itertools.count()
NOW = 1_700_000_000


@pytest.fixture(scope="module")
def collecting(saved, tmp_path_factory):
    """A server for the tests of events, each with users of its own."""
    folder = tmp_path_factory.mktemp("collecting")
    store = f"sqlite:///{folder / 'events.db'}"
    with serving(saved, folder / "log", "--store", store, "--deadline-ms", "20000") as server:
        yield server


def event(user, item, **more):
    return {"id": f"e{next(NEW_ID)}", "user_id": user, "item_id": item} | more


def send(server, events):
    response = server.post("/v1/events", events)
    assert response.status_code == 200, response.text
    return response.json()


def merged(model, user, events):
    """The history the library would have, had its log held the events."""
    queries = model.request([user]).queries
    rows = queries.item_rows.tolist() if user is not None else []
    return {
        "item_id": [model.known_items[row] for row in rows] + [one["item_id"] for one in events],
        "timestamp": queries.timestamps.tolist() + [one["timestamp"] for one in events],
        "rating": queries.ratings.tolist() + [one.get("rating") or np.nan for one in events],
        "weight": queries.weights.tolist() + [one.get("weight", 1.0) for one in events],
    }


def test_an_event_is_part_of_the_next_answer(collecting, model):
    """Test 5: not one seen item comes back, in as many answers as there are items."""
    server, user = collecting, 4
    while items := server.recommend(user_id=user, k=3)["items"]:
        taken = items[-1]["item_id"]
        send(server, event(user, taken))
        after = server.recommend(user_id=user, k=40)
        assert taken not in [item["item_id"] for item in after["items"]]
    assert after["reason"]


@pytest.mark.parametrize("user", [0, 13, 5000])
def test_answers_are_those_of_a_model_whose_log_holds_the_events(collecting, model, user):
    server = collecting
    draw = np.random.default_rng(user)
    events = [
        event(user, int(item), timestamp=NOW + n, rating=float(draw.integers(1, 6)))
        for n, item in enumerate(draw.integers(0, 40, 6))
    ]
    events[3] |= {"weight": 0.5}
    send(server, [events[n] for n in (3, 1, 0, 5, 2, 4)])  # in whatever order they arrive
    found = server.recommend(user_id=user, k=12)
    library = model.recommend(user, k=12, history=merged(model, user, events), filter_seen=True)
    assert [item["item_id"] for item in found["items"]] == library["item_id"].to_list()
    assert [item["score"] for item in found["items"]] == library["score"].to_list()
    assert found["history_items"] == len(merged(model, user, events)["item_id"])
    earlier = server.recommend(user_id=user, k=12, at=1_600_000_000 + 100 * 86_400)
    before = model.recommend(user, k=12, at=1_600_000_000 + 100 * 86_400)
    assert [item["item_id"] for item in earlier["items"]] == before["item_id"].to_list()


def test_a_report_for_each_event(collecting):
    server = collecting
    good, bad = event(30, 2, timestamp=NOW), event("x", 2)
    late = event(30, 2, timestamp=int(time.time()) + 10 * 86_400)
    response = server.post("/v1/events", [good, bad, late, good, good | {"item_id": 3}])
    assert response.status_code == 207
    report = response.json()
    assert [one["status"] for one in report["results"]] == ["stored", "rejected", "rejected", "duplicate", "conflict"]
    assert [one["reason"] is None for one in report["results"]] == [True, False, False, True, False]
    assert (report["stored"], report["duplicate"], report["conflict"], report["rejected"]) == (1, 1, 1, 2)
    metrics = server.client.get("/metrics").text
    for status in ("stored", "duplicate", "conflict", "rejected"):
        assert f'shortlist_events_total{{status="{status}"}}' in metrics


@pytest.mark.parametrize("number", [{"weight": 1e308}, {"weight": 2e9}, {"rating": -1e38}])
def test_numbers_that_nothing_can_count_with_are_rejected(collecting, number):
    """One such weight would be infinite in every sum that it is part of."""
    answer = collecting.post("/v1/events", event(33, 2, **number))
    assert (answer.status_code, answer.json()["rejected"]) == (207, 1)
    assert "expected a number from" in answer.json()["results"][0]["reason"]
    assert send(collecting, event(33, 2, **{name: np.sign(value) * 1e9 for name, value in number.items()}))["stored"]


def test_one_event_sent_by_ten_at_once_counts_once(collecting):
    """Test 19, with the event's own id as the key."""
    server = collecting
    one = event(31, 2, timestamp=NOW)
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: send(server, one), range(10)))
    assert sum(answer["stored"] for answer in answers) == 1
    assert sum(answer["duplicate"] for answer in answers) == 9
    assert server.post("/v1/events", one | {"item_id": 9}).json()["conflict"] == 1
    history = server.client.get("/v1/users/31/history").json()
    assert [entry["item_id"] for entry in history["events"] if not entry["known_to_model"]] == [2]


@pytest.mark.parametrize(
    "body", [{"id": "1"}, [], [{"id": 1, "user_id": 1, "item_id": 1}], {"id": "1", "user_id": 1, "item_id": 1, "x": 1}]
)
def test_events_that_do_not_fit_the_schema(server, body):
    assert server.post("/v1/events", body).status_code == 400


def test_acknowledged_events_survive_kill_9(model_dir, tmp_path):
    """Test 10, seen from outside."""
    sent = 0
    for _ in range(3):
        with serving(model_dir, tmp_path / "log") as server:
            assert server.client.get("/v1/users/7000/history").json()["total"] == sent
            for _ in range(10):
                sent += send(server, [event(7000, item, timestamp=NOW + sent) for item in (1, 2)])["stored"]
            server.stop(signal.SIGKILL)


# A user's data


def test_history_tells_what_the_model_knows_and_what_came_since(collecting, model):
    server = collecting
    known = len(model.request([3]).queries.item_rows)
    send(server, event(3, 8, timestamp=NOW, event="click", rating=2.0))
    told = server.client.get("/v1/users/3/history?limit=2").json()
    assert (told["total"], told["known_user"]) == (known + 1, True)
    assert [entry["known_to_model"] for entry in told["events"]] == [True, False]
    assert told["events"][-1] | {"weight": 1.0} == {
        "item_id": 8,
        "timestamp": NOW,
        "rating": 2.0,
        "weight": 1.0,
        "event": "click",
        "known_to_model": False,
    }
    assert server.client.get("/v1/users/999/history").json()["total"] == 0
    assert server.client.get("/v1/users/nobody/history").status_code == 404


def test_deletion_forgets_also_what_the_model_knows(collecting, model):
    server = collecting
    send(server, event(6, 8, timestamp=NOW))
    assert server.recommend(user_id=6)["known_user"]
    assert server.client.delete("/v1/users/6").json() == {"user_id": 6, "removed": 1}
    answer = server.recommend(user_id=6, k=40)
    assert (answer["known_user"], answer["history_items"], answer["returned"]) == (False, 0, 40)
    assert [item["item_id"] for item in answer["items"]] == model.recommend(None, k=40)["item_id"].to_list()
    assert server.client.get("/v1/users/6/history").json()["total"] == 0
    assert server.client.get("/v1/users?search=6").json() | {"model_version": ""} == {
        "model_version": "",
        "total": 0,
        "users": [],
    }
    assert 6 not in [one["user_id"] for one in server.client.get("/v1/users?limit=200").json()["users"]]
    send(server, event(6, 9, timestamp=NOW))  # somebody new, by that name
    assert server.recommend(user_id=6)["history_items"] == 1


# Items


def test_a_new_item_takes_part_at_once(own_server, model):
    server = own_server
    told = server.client.put(
        "/v1/items/500", json={"attributes": {"title": "Brand new", "year": 2031, "smell": "nice"}}
    )
    assert told.json()["waiting"] == ["smell"]
    assert server.client.get("/v1/items", params={"search": "brand"}).json()["items"][0]["item_id"] == 500
    (item,) = server.recommend(user_id=1, where="year > 2030")["items"]
    assert (item["item_id"], item["sources"]) == (500, ["fallback"])
    ranked = server.post("/v1/rank", {"user_id": 1, "items": [500, 1, 3]}).json()
    assert {one["item_id"] for one in ranked["items"]} == {500, 1, 3}
    everything = server.recommend(user_id=1, k=41, filter_seen=False)
    assert (everything["returned"], everything["items"][-1]["item_id"]) == (41, 500)
    send(server, event(1, 500))
    assert server.recommend(user_id=1, where="year > 2030")["returned"] == 0  # seen
    assert server.client.get("/v1/model").json()["overlay_items"] == 1


def test_a_changed_item_is_filtered_by_what_it_is_now(own_server):
    server = own_server
    assert server.recommend(where="title == 'Renamed'")["returned"] == 0
    server.client.put("/v1/items/3", json={"attributes": {"title": "Renamed", "year": 2000, "group": "odd"}})
    (item,) = server.recommend(where="title == 'Renamed'")["items"]
    assert item["item_id"] == 3
    assert server.client.get("/v1/model").json()["overlay_items"] == 0


@pytest.mark.parametrize(
    "attributes", [{"year": "old"}, {"year": 1.5}, {"title": 7}, {"title": {"deep": 1}}, {"a" * 65: 1}, {"year": True}]
)
def test_attributes_of_another_kind_are_refused(server, attributes):
    response = server.client.put("/v1/items/3", json={"attributes": attributes})
    assert response.status_code == 400, response.text


def test_items_and_events_are_there_after_a_restart(model_dir, tmp_path):
    for _ in range(2):
        with serving(model_dir, tmp_path / "log", *PATIENT) as server:
            server.client.put("/v1/items/500", json={"attributes": {"year": 2031}})
            send(server, event(1, 7, timestamp=NOW))
            assert server.recommend(where="year > 2030")["returned"] == 1
    assert load(model_dir).digest


def test_exposures_are_logged_if_wanted_and_exported_with_the_events_that_name_them(model_dir, tmp_path):
    with serving(model_dir, tmp_path / "log", "--log-exposures", "--log-users", *PATIENT) as server:
        answer = server.post("/v1/recommend", {"user_id": 1, "k": 4}, headers={"X-Request-Id": "r-1"}).json()
        assert server.wait_for("request", request_id="r-1")["user_id"] == 1
        batch = {"queries": [{"user_id": 2, "k": 2}, {"k": 3}]}
        answers = server.post("/v1/recommend/batch", batch, headers={"X-Request-Id": "r-2"}).json()["answers"]
        assert [one["request_id"] for one in answers] == ["r-2/0", "r-2/1"]
        assert server.post("/v1/recommend", {"user_id": "no\0store takes this", "k": 1}).status_code == 200
        taken = answer["items"][2]["item_id"]
        send(server, event(1, taken, request_id="r-1"))
    store = f"sqlite:///{model_dir / 'events.db'}"
    for options, name in (((), "events"), (("--exposures",), "shown")):
        out = str(tmp_path / f"{name}.parquet")
        run = [sys.executable, "-m", "shortlist", "events", "export", store, "--out", out, *options]
        subprocess.run(run, check=True, capture_output=True)
    shown, events = (pl.read_parquet(tmp_path / f"{name}.parquet") for name in ("shown", "events"))
    expected = {("r-1", 1): answer, ("r-2/0", 2): answers[0], ("r-2/1", None): answers[1]}
    for (request_id, user_id), one in expected.items():
        rows = shown.filter(pl.col("request_id") == request_id)
        assert rows["item_id"].to_list() == [item["item_id"] for item in one["items"]]
        assert rows["rank"].to_list() == list(range(1, len(rows) + 1))
        assert rows["user_id"].unique().to_list() == [user_id]
        assert rows["model_version"].unique().to_list() == [one["model_version"]]
    assert len(shown) == 4 + 2 + 3
    assert events.join(shown, on=["request_id", "user_id", "item_id"])["rank"].to_list() == [3]


# The header Idempotency-Key


def keyed(server, key, events):
    return server.client.post("/v1/events", json=events, headers={"Idempotency-Key": key})


def test_a_call_under_the_same_key_gets_the_same_answer(collecting):
    """Test 19: ten at once have one effect and equal answers; those that come meanwhile hear 409 and try again."""
    sent = [event(32, 2, timestamp=NOW), event("x", 2), event(32, 3, timestamp=NOW)]

    def until_answered(_):
        while (response := keyed(collecting, "key-1", sent)).status_code == 409:
            assert response.json()["type"].endswith("in-flight")
            assert response.headers["retry-after"] == "1"
        return response

    with ThreadPoolExecutor(10) as pool:
        responses = list(pool.map(until_answered, range(10)))
    assert {response.status_code for response in responses} == {207}
    assert len({response.content for response in responses}) == 1
    assert responses[0].json()["stored"] == 2
    other = keyed(collecting, "key-1", sent[:1])
    assert (other.status_code, other.json()["type"]) == (422, "urn:shortlist:problem:key-reused")
    assert keyed(collecting, "key-2", sent).json()["duplicate"] == 2  # the events' own ids hold without it
    assert keyed(collecting, "k" * 257, sent).status_code == 400


def test_a_call_that_failed_may_be_tried_again_and_old_keys_go():
    async def run():
        call = Call("id", Caller("anonymous", frozenset(), Bucket(0)), {b"idempotency-key": b"k"}, None)
        answered, outcomes = Answered(most=3), iter([RuntimeError(), "done"])

        async def act():
            outcome = next(outcomes)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        with pytest.raises(RuntimeError):
            await answered.once(call, b"body", act)
        assert await answered.once(call, b"body", act) == "done"
        assert await answered.once(call, b"body", act) == "done"

        async def same():
            return "other"

        for n in range(3):
            await answered.once(replace(call, headers={b"idempotency-key": b"%d" % n}), b"body", same)
        assert len(answered._known) == 3
        small = Answered(most_bytes=10)
        for n in range(5):
            await small.once(replace(call, headers={b"idempotency-key": b"%d" % n}), b"body", same)
        assert list(small._known) == [("anonymous", b"3"), ("anonymous", b"4")]
        assert small._n_bytes == 8
        assert await answered.once(call, b"another body", same) == "other"

    asyncio.run(run())


def test_many_changed_items_hold_up_nothing_else(saved, tmp_path):
    """While a model is loaded, changes wait for it; other calls do not wait for them."""
    store = open_store(f"sqlite:///{tmp_path / 'events.db'}")
    harness = Harness(saved, store=store)

    async def run():
        transport = httpx.ASGITransport(harness.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            with harness.service.live._lock:
                calls = [client.put(f"/v1/items/{500 + n}", json={"attributes": {}}) for n in range(40)]
                changes = [asyncio.create_task(call) for call in calls]
                while store.counts().items < 40:
                    await asyncio.sleep(0.01)
                others = [await client.get(path) for path in ("/readyz", "/v1/items", "/v1/items/3/similar")]
                assert not any(change.done() for change in changes)
            return others + [await change for change in changes]

    assert {response.status_code for response in asyncio.run(asyncio.wait_for(run(), 60))} == {200}
    assert len(harness.model.items) == 80
    harness.service.workers.stop()
    store.close()
