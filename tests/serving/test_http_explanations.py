"""Explanations over HTTP: what the library says; late or broken, the answer goes out without them and says so."""

import msgspec
import pytest
from ladder_harness import HANG_S, fail

from shortlist.explaining.explainer import Explainer


def test_an_answer_is_explained_as_the_library_does(server):
    for user in (1, 2, None):
        answer = server.client.post("/v1/recommend", json={"user_id": user, "k": 5, "explain": True}).json()
        expected = server.model.explain(user, k=5)
        assert answer["degraded"] == []
        assert answer["stages"] == ["retrieval", "ranking", "explanation"]
        assert [item["item_id"] for item in answer["items"]] == list(expected)
        for item in answer["items"]:
            assert item["explanation"] == msgspec.to_builtins(expected[item["item_id"]])
            told = item["explanation"]
            total = told["base"] + sum(group["contribution"] for group in told["ranking"])
            assert total == pytest.approx(item["score"], abs=1e-6)


def test_only_who_asks_is_told(server):
    answer = server.client.post("/v1/recommend", json={"user_id": 1, "k": 5}).json()
    assert [item["explanation"] for item in answer["items"]] == [None] * 5
    assert answer["stages"] == ["retrieval", "ranking"]


def test_batches_and_own_candidates_too(server):
    queries = [{"user_id": 1, "k": 2, "explain": "de"}, {"user_id": 1, "k": 2}]
    told, silent = server.client.post("/v1/recommend/batch", json={"queries": queries}).json()["answers"]
    expected = server.model.explain(1, k=2, language="de")
    assert [item["explanation"]["sentence"] for item in told["items"]] == [one.sentence for one in expected.values()]
    assert [item["explanation"] for item in silent["items"]] == [None, None]
    answer = server.client.post("/v1/rank", json={"user_id": 1, "items": [3, 5, 12345], "explain": True}).json()
    assert answer["unknown_items"] == [12345]
    for item in answer["items"]:
        (alone,) = server.model.explain(1, [item["item_id"]], filter_seen=False).values()
        assert item["explanation"]["sentence"] == alone.sentence
        assert item["explanation"]["base"] == alone.base


@pytest.mark.parametrize(("language", "status"), [("tlh", 400), (False, 200), (None, 400), (1, 400), ("", 200)])
def test_what_may_be_asked(server, language, status):
    response = server.client.post("/v1/recommend", json={"user_id": 1, "explain": language})
    assert response.status_code == status


@pytest.mark.parametrize("how", ["fails", "hangs", "takes too long"])
def test_without_explanations_the_answer_goes_out_in_time(harness, monkeypatch, how):
    plain = [answer for answer, _ in harness.ask(*({"user_id": user} for user in range(5)))]

    def broken(self, *arguments, until, **more):
        if how == "takes too long":
            raise TimeoutError
        if how == "hangs":
            harness.hang()
        fail()

    if how == "hangs":
        harness.hurry()
    monkeypatch.setattr(Explainer, "explain", broken)
    for user, (answer, seconds) in enumerate(harness.ask(*({"user_id": user, "explain": True} for user in range(5)))):
        assert answer["degraded"] == ["explanation"]
        assert answer["stages"] == ["retrieval", "ranking"]
        assert answer["items"] == plain[user]["items"]
        assert seconds < HANG_S / 2
    cause = "failed" if how == "fails" else "late"
    assert harness.counted("degraded", stage="explanation", cause=cause) == 3
    assert harness.counted("degraded", stage="explanation", cause="paused") == 2  # nobody waits for it for a while
    assert [answer["degraded"] for answer, _ in harness.ask({"user_id": 1})] == [[]]


def test_without_ranking_there_is_nothing_to_explain(harness):
    harness.break_ranker(fail)
    ((answer, _),) = harness.ask({"user_id": 1, "explain": True})
    assert answer["degraded"] == ["ranking", "explanation"]
    assert all(item["explanation"] is None for item in answer["items"])
