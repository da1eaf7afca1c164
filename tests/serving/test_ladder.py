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
    found = model.shortlist(request.queries, allowed, k, model.config.retrieval.candidates)
    rows = found.candidates.item_rows
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


RUNGS = {
    "retrieval": lambda harness: harness.break_ranker(fail),
    "item_to_item": lambda harness: harness.break_retrieval(fail, keep=["ease"]),
    "popularity": lambda harness: harness.break_retrieval(fail),
}
RULES = """
[[pin]]
name = "third"
items = [31]
position = 3

[[bury]]
name = "old"
items = "year < 1990"

[[exclude]]
name = "gone"
items = [5, 7]
"""


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize("k", [6, 30])
def test_caps_and_rules_hold_on_every_rung(harness, rung, k):
    year, group = (harness.model.items[name].to_list() for name in ("year", "group"))
    body = {"user_id": 1, "k": k, "caps": {"group": 3}, "rules": RULES, "filter_seen": False}
    RUNGS[rung](harness)
    ((answer, _),) = harness.ask(body | {"diversity": 0.5, "explore": 0.5})
    assert harness.counted("rungs", rung=rung) == 1
    items = [item["item_id"] for item in answer["items"]]
    assert len(items) == len(set(items)) == min(k, answer["allowed"])
    assert items[2] == 31
    assert not {5, 7} & set(items)
    assert sorted(group[item] for item in items[:6]) == ["even"] * 3 + ["odd"] * 3
    assert all(year[item] >= 1990 for item in items[:6] if item != 31)
    assert answer["acted"] == ["caps", "rules"]
    assert [item["rules"] for item in answer["items"]][2] == ["third"]
    assert all(item["score"] is None and item["propensity"] is None for item in answer["items"])
    assert bool(answer["notes"]) == (k > 6)  # there are only two groups


@pytest.mark.parametrize("rung", RUNGS)
def test_what_chooses_by_the_score_leaves_the_lower_rungs_as_they_are(harness, rung):
    RUNGS[rung](harness)
    body = {"user_id": 2, "k": 30, "filter_seen": False}  # more than there are candidates
    (plain, _), (same, _) = harness.ask(body, body | {"diversity": 0.9, "explore": 0.9})
    n = harness.model.config.retrieval.candidates
    assert len(same["items"]) == 30
    assert [item["item_id"] for item in same["items"]][:n] == [item["item_id"] for item in plain["items"]][:n]
    assert same["acted"] == []


@pytest.mark.parametrize("broken", ["arrange", "wanted"])
@pytest.mark.parametrize("rung", RUNGS)
def test_rules_that_fail_do_not_cost_the_answer(harness, rung, broken, monkeypatch):
    RUNGS[rung](harness)
    monkeypatch.setattr(f"shortlist.rules.plan.Plan.{broken}", lambda self, rows: fail())
    ((answer, _),) = harness.ask({"user_id": 2, "k": 30, "rules": RULES})
    assert len(answer["items"]) == min(30, answer["allowed"])
    assert not {5, 7} & {item["item_id"] for item in answer["items"]}
