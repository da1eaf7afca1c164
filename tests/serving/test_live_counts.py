"""Events that move the items' counts: they are what a recount says."""

import time
from dataclasses import replace

import numpy as np
import pytest
from running_server import serving

from shortlist.retrieval.popularity import ItemCounts
from shortlist.serving.live import Live
from shortlist.serving.live_counts import later_events, with_events
from shortlist.serving.metrics import Metrics
from shortlist.serving.questions import request_of
from shortlist.serving.schemas import Recommend
from shortlist.serving.store.contract import Event, StoredEvent
from shortlist.serving.store.opening import open_store

DAY = 86_400


def made_up(model, n, n_users=70, seed=0):
    """Events of known and unknown users over the days after the log and before its end, in no order."""
    draw = np.random.default_rng(seed)
    times = model.log.end + draw.integers(-20 * DAY, 20 * DAY, n)
    return [
        Event(
            id=f"{seed}-{place}",
            user_id=int(draw.integers(n_users)),
            item_id=int(draw.integers(0, 43)),
            timestamp=int(time),
            weight=float(draw.choice([0, 0.5, 2])),
        )
        for place, time in enumerate(times)
    ]


def recounted(model, events, window_s=None):
    """The weight of each item's events, one by one; the latest moment is that after all of them."""
    log = model.log
    known = list(zip(log.item_rows, log.weights, log.timestamps, strict=True))
    known += [(event.item_id, event.weight, event.timestamp) for event in events if event.item_id < 40]
    end = max(time for _, _, time in known) + 1
    counts = np.zeros(40)
    for item, weight, moment in known:
        if window_s is None or moment >= end - window_s:
            counts[item] += weight
    return counts


@pytest.fixture
def store(tmp_path):
    opened = open_store(f"sqlite:///{tmp_path / 'events.db'}")
    yield opened
    opened.close()


def test_counts_are_those_of_a_recount(saved, model, store):
    live = Live(saved, store, Metrics(), move_counts=True)
    sent = []
    for part in range(4):
        events = made_up(model, 60, seed=part)
        sent += events
        store.append(events)
        live._recount_at = 0
        live.recount()
        counts = live.bundle.model.first.fallback.item_counts
        np.testing.assert_allclose(counts.before(0), recounted(model, sent))
        week = counts.before(0, window=7)
        np.testing.assert_allclose(week, recounted(model, sent, 7 * counts.tick_length))
    live._recount_at = 0
    before = live.bundle
    live.recount()
    assert live.bundle is before  # nothing came: nothing is made anew
    store.delete_user(3)
    live._recount_at = 0
    live.recount()
    left = [event for event in sent if event.user_id != 3]
    np.testing.assert_allclose(live.bundle.model.first.fallback.item_counts.before(0), recounted(model, left))
    assert Live(saved, store, Metrics()).bundle.model.first.fallback.item_counts.end == model.log.end  # off


def test_answers_are_those_of_a_model_whose_log_holds_all_events(saved, model, store):
    events = [event for event in made_up(model, 200, n_users=60) if event.item_id < 40]
    store.append(events)
    bundle = Live(saved, store, Metrics(), move_counts=True).bundle
    log, stored = model.log, store.read_events()
    rows = later_events(model, stored)
    more = replace(
        log,
        user_rows=np.array([event.user_id for event in stored], dtype=np.int32),
        item_rows=rows.item_rows,
        timestamps=rows.timestamps,
        ratings=rows.ratings,
        weights=rows.weights,
    )
    order = np.argsort(more.timestamps, kind="stable")
    whole = log.followed_by(more.take(order))
    counts = ItemCounts.of(whole)
    first_ticks = np.zeros(40, dtype=np.int32)
    np.minimum.at(first_ticks, counts.item_rows, counts.ticks)
    first = model.first
    facts = replace(first.features.item_facts, first_ticks=first_ticks)
    sources = tuple(
        replace(one, item_counts=counts) if one.name.startswith("popularity") else one for one in first.sources
    )
    oracle = replace(
        model,
        log=whole,
        first=replace(
            first,
            sources=sources,
            fallback=replace(first.fallback, item_counts=counts),
            features=replace(first.features, item_counts=counts, item_facts=facts),
        ),
    )
    for user in (*range(60), "nobody", None):
        request = request_of(
            bundle, store.history(user) if user is not None else store.history(-1), Recommend(user_id=user)
        )
        asked = oracle.request([user])
        for name in ("at", "item_rows", "timestamps", "ratings", "weights"):
            np.testing.assert_array_equal(getattr(request.queries, name), getattr(asked.queries, name), name)
        allowed = np.ones((1, 40), dtype=bool)
        (found,), (wanted,) = (
            one.rank(which.queries, allowed, 40) for one, which in ((bundle.model, request), (oracle, asked))
        )
        assert found.item_rows.tolist() == wanted.item_rows.tolist()
        np.testing.assert_array_equal(found.scores, wanted.scores)


def test_times_that_are_an_order(model):
    ordered = replace(model, log=replace(model.log, in_seconds=False))
    events = [StoredEvent(id=str(n), user_id=1, item_id=5, timestamp=9, seq=n) for n in range(1, 4)]
    parts = [later_events(ordered, events[:2]), later_events(ordered, events[2:])]
    made = with_events(ordered, parts)
    before = ordered.first.fallback.item_counts.before(0)
    assert (made.first.fallback.item_counts.before(0) - before).tolist() == [
        3.0 if item == 5 else 0.0 for item in range(40)
    ]
    assert made.log.end == ordered.log.end + 3


def test_somebody_unknown_sees_what_is_taken_up_now(model_dir, tmp_path):
    def place(server, item_id):
        items = server.recommend(k=40, filter_seen=False)["items"]
        return next(item["retrieval_rank"] for item in items if item["item_id"] == item_id)

    for options, moved in (((), False), (("--events-move-counts", "--poll-s", "0.1"), True)):
        store = f"sqlite:///{tmp_path / f'{moved}.db'}"
        with serving(
            model_dir, tmp_path / f"log{moved}", "--store", store, "--deadline-ms", "20000", *options
        ) as server:
            rare = server.recommend(k=40, filter_seen=False)["items"][-1]["item_id"]
            now = int(time.time())
            events = [{"id": str(n), "user_id": 1000 + n, "item_id": rare, "timestamp": now} for n in range(900)]
            assert server.post("/v1/events", events).json()["stored"] == 900
            before, until = place(server, rare), time.monotonic() + (30 if moved else 1)
            while place(server, rare) > 3 and time.monotonic() < until:
                time.sleep(0.1)
            assert (place(server, rare) <= 3) == moved
            assert before > 30 or moved
