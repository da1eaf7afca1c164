"""What answers where a stage fails or hangs: the next rung, in time, with filters and seen items as before."""

import asyncio
import threading
import time

import httpx
import numpy as np
import pytest
from ladder_harness import HANG_S, BrokenRanker, Harness, fail

from shortlist.serving.ladder import Breaker
from shortlist.serving.workers import MOST_ABANDONED, Workers


def retrieval_order(model, user, k, where=None):
    """The shortlist's own order, worked out by the library."""
    request = model.request([user])
    allowed = model.filters.allowed(where=where)[None].copy()
    allowed[0, request.seen.item_rows] = False
    rows = model.shortlist(request.queries, allowed, k, model.config.retrieval.candidates).item_rows
    return [model.known_items[row] for row in rows[:k]]


@pytest.mark.parametrize("how", ["fails", "hangs", "gives nan"])
def test_without_ranking_the_retrieval_order_answers_in_time(harness, how):
    expected = {user: retrieval_order(harness.model, user, 8, "year >= 1990") for user in range(6)}
    acts = {"fails": fail, "hangs": harness.hang}
    if how == "hangs":
        harness.hurry()
    if how == "gives nan":
        ranker = BrokenRanker(harness.model.ranker, lambda: None)
        ranker.score = lambda features: np.full(len(features), np.nan)
        harness.put(ranker=ranker)
    else:
        harness.break_ranker(acts[how])
    answers = harness.ask(*({"user_id": user, "k": 8, "where": "year >= 1990"} for user in range(6)))
    for user, (answer, seconds) in enumerate(answers):
        assert answer["degraded"] == ["ranking"]
        assert answer["stages"] == ["retrieval"]
        assert [item["item_id"] for item in answer["items"]] == expected[user]
        assert all(item["score"] is None for item in answer["items"])
        assert seconds < HANG_S / 2
    assert harness.counted("rungs", rung="retrieval") == 6
    causes = {"hangs": "late"}.get(how, "failed")
    assert harness.counted("degraded", stage="ranking", cause=causes) == 3
    assert harness.counted("degraded", stage="ranking", cause="paused") == 3  # the breaker opened after three


def test_a_hanging_ranker_costs_few_threads(harness):
    before = threading.active_count()
    harness.hurry()
    harness.break_ranker(harness.hang)
    harness.ask(*({"user_id": user} for user in range(20)))
    assert threading.active_count() - before <= MOST_ABANDONED
    harness.released.set()
    until = time.monotonic() + 60
    while threading.active_count() > before and time.monotonic() < until:
        time.sleep(0.01)
    assert threading.active_count() <= before


def test_a_ranker_that_works_again_is_used_again(saved):
    harness = Harness(saved)
    ranker = harness.model.ranker
    harness.break_ranker(fail)
    harness.ask(*({"user_id": 1} for _ in range(4)))
    harness.put(ranker=ranker)
    harness.service.ladder.ranking.open_until = 0.0
    assert [answer["degraded"] for answer, _ in harness.ask({"user_id": 1}, {"user_id": 1})] == [[], []]


@pytest.mark.parametrize("how", ["fails", "hangs"])
def test_without_retrieval_filters_and_seen_items_hold(harness, how):
    seen = {user: set(harness.model.request([user]).seen.item_rows.tolist()) for user in range(8)}
    year = harness.model.items["year"].to_list()
    group = harness.model.items["group"].to_list()
    harness.break_retrieval(fail if how == "fails" else harness.hang, keep=["ease"])
    if how == "hangs":
        harness.hurry()
    excluded = [2, 3, 4, 5]
    bodies = [
        {"user_id": user, "k": 30, "where": "year >= 1990", "exclude_items": excluded, "filter_seen": True}
        for user in range(8)
    ]
    for user, (answer, seconds) in enumerate(harness.ask(*bodies)):
        items = [item["item_id"] for item in answer["items"]]  # the ids of this catalogue are its row numbers
        assert answer["degraded"] == ["retrieval"]
        assert answer["stages"] == []
        assert len(items) == len(set(items)) == min(30, answer["allowed"])
        assert not set(items) & (seen[user] | set(excluded))
        assert all(year[item] >= 1990 for item in items)
        assert seconds < HANG_S / 2
        if how == "fails":
            own = [item for item in items if group[item] == ("odd" if user % 2 else "even")]
            assert items[: len(own)] == own  # the neighbours of the history come first
    assert harness.counted("degraded", stage="retrieval", cause="failed" if how == "fails" else "late") == 3


def test_without_retrieval_and_without_a_history_popularity_answers(harness):
    harness.break_retrieval(fail)
    ((answer, _),) = harness.ask({"k": 5})
    counts = harness.model.first.fallback.item_counts.before(0)
    assert [item["item_id"] for item in answer["items"]] == np.argsort(-counts, kind="stable")[:5].tolist()
    assert [item["sources"] for item in answer["items"]] == [["fallback"]] * 5
    assert harness.counted("rungs", rung="popularity") == 1


def test_ranking_candidates_goes_down_the_same_ladder(harness):
    harness.break_ranker(fail)
    ((answer, _),) = harness.ask({"user_id": 1, "items": [5, 3, 1]}, path="/v1/rank")
    assert sorted(item["item_id"] for item in answer["items"]) == [1, 3, 5]
    assert answer["degraded"] == ["ranking"]


def test_too_many_at_once_are_told_to_come_back(saved):
    harness = Harness(saved)
    harness.service.workers = Workers(2, harness.metrics)
    harness.break_ranker(harness.hang)

    async def run():
        transport = httpx.ASGITransport(harness.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            asked = [asyncio.create_task(client.post("/v1/recommend", json={"user_id": 1})) for _ in range(6)]
            while sum(task.done() for task in asked) < 4:
                await asyncio.sleep(0.01)
            harness.released.set()
            return await asyncio.gather(*asked)

    responses = asyncio.run(run())
    refused = [response for response in responses if response.status_code == 503]
    assert len(refused) == 4
    assert all(response.headers["retry-after"] == "1" for response in refused)
    assert harness.counted("refusals", cause="overloaded") == 4


def test_a_library_that_panics_costs_one_answer(harness):
    """Such an error is no `Exception`; no thread ends with it."""

    class Panic(BaseException):
        pass

    def panic():
        raise Panic

    async def run():
        transport = httpx.ASGITransport(harness.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return [await client.post("/v1/recommend", json={"user_id": 1}) for _ in range(MOST_ABANDONED + 2)]

    ranker = harness.model.ranker
    harness.break_ranker(panic)
    responses = asyncio.run(run())
    assert {response.status_code for response in responses} == {500}
    assert {response.json()["type"] for response in responses} == {"urn:shortlist:problem:internal"}
    harness.put(ranker=ranker)
    assert harness.ask({"user_id": 1})[0][0]["degraded"] == []


def test_a_breaker_opens_longer_and_longer():
    breaker, now, pauses = Breaker(), 0.0, []
    for _ in range(9):
        while not breaker.closed(now):
            now += 0.5
        breaker.failed(now)
        pauses.append(breaker.open_until - now)
    assert [pause for pause in pauses if pause > 0] == [1, 2, 4, 8, 16, 32, 60]
    breaker.worked()
    assert breaker.closed(now)
