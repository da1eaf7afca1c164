"""What becomes of events: stored once, repeated, contradicted, refused, deleted."""

import math
import time

import pytest

from shortlist.errors import StoreError
from shortlist.serving.store import sql_store
from shortlist.serving.store.contract import Event, Exposure, History, Unavailable
from shortlist.serving.store.opening import open_store

NOW = int(time.time())


def event(id, user_id=1, item_id="a", timestamp=100, **more):
    return Event(id=id, user_id=user_id, item_id=item_id, timestamp=timestamp, **more)


def statuses(outcomes):
    return [outcome.status for outcome in outcomes]


def ids(history):
    return [one.id for one in history.events]


def test_an_event_comes_back_as_it_was_sent(store):
    sent = event("e", rating=4.5, weight=0.25, event="buy", request_id="r", timestamp=NOW)
    assert statuses(store.append([sent])) == ["stored"]
    (found,) = store.history(1).events
    assert {name: getattr(found, name) for name in Event.__struct_fields__} == {
        name: getattr(sent, name) for name in Event.__struct_fields__
    }
    assert found.seq == 1
    assert store.read_events() == [found]


def test_nothing_is_stored_of_nothing(store):
    assert store.append([]) == []
    assert store.counts().events == 0


@pytest.mark.parametrize("again", [{}, {"timestamp": None}, {"rating": 4.0}])
def test_the_same_event_counts_once(store, again):
    first = event("e", rating=4)
    fields = {name: getattr(first, name) for name in Event.__struct_fields__}
    assert statuses(store.append([first, Event(**fields | again)])) == ["stored", "duplicate"]
    assert statuses(store.append([Event(**fields | again)])) == ["duplicate"]
    assert store.counts().events == 1


@pytest.mark.parametrize(
    "other",
    [
        {"user_id": 2},
        {"item_id": "b"},
        {"timestamp": 101},
        {"rating": 3.0},
        {"rating": None},
        {"weight": 1.0},
        {"event": "view"},
        {"request_id": "q"},
    ],
)
def test_another_content_under_the_same_id_is_a_conflict_and_the_first_stays(store, other):
    first = event("e", rating=4.0)
    fields = {name: getattr(first, name) for name in Event.__struct_fields__}
    changed = Event(**fields | other)
    assert statuses(store.append([first, changed])) == ["stored", "conflict"]
    (outcome,) = store.append([changed])
    assert outcome.status == "conflict"
    assert next(iter(other)) in outcome.reason
    (kept,) = store.read_events()
    assert (kept.user_id, kept.item_id, kept.timestamp, kept.rating) == (1, "a", 100, 4.0)


def test_without_a_time_it_is_that_of_its_arrival(store):
    before = int(time.time())
    store.append([event("e", timestamp=None)])
    (found,) = store.history(1).events
    assert before <= found.timestamp <= time.time()


@pytest.mark.parametrize(
    ("fault", "names"),
    [
        ({"id": ""}, "id"),
        ({"id": "x" * 257}, "id"),
        ({"id": 7}, "id"),
        ({"id": "\ud800"}, "id"),
        ({"id": "a\0b"}, "id"),
        ({"user_id": ""}, "user_id"),
        ({"user_id": True}, "user_id"),
        ({"user_id": None}, "user_id"),
        ({"user_id": 1.0}, "user_id"),
        ({"user_id": 2**63}, "user_id"),
        ({"user_id": 10**5000}, "user_id"),
        ({"user_id": "text"}, "user_id"),
        ({"item_id": 3}, "item_id"),
        ({"timestamp": -1}, "timestamp"),
        ({"timestamp": 1.5}, "timestamp"),
        ({"timestamp": NOW * 1000}, "timestamp"),
        ({"timestamp": NOW + 2 * 86_400}, "timestamp"),
        ({"event": ""}, "event"),
        ({"event": "x" * 65}, "event"),
        ({"rating": math.nan}, "rating"),
        ({"rating": math.inf}, "rating"),
        ({"rating": "4"}, "rating"),
        ({"rating": True}, "rating"),
        ({"rating": 10**400}, "rating"),
        ({"weight": -0.5}, "weight"),
        ({"request_id": "x" * 257}, "request_id"),
    ],
)
def test_what_can_never_be_stored_is_refused_alone_and_says_why(store, fault, names):
    store.append([event("first")])
    bad = Event(**{"id": "e", "user_id": 1, "item_id": "a", "timestamp": 100} | fault)
    outcomes = store.append([event("before"), bad, event("after")])
    assert statuses(outcomes) == ["stored", "rejected", "stored"]
    assert outcomes[1].reason.startswith(f"{names}:")
    assert len(outcomes[1].reason) < 200
    assert store.counts().events == 3


def test_values_at_the_limits_are_stored(store):
    sent = [
        event("x" * 256, user_id=2**63 - 1, rating=1e9),
        event("é🎬", user_id=-(2**63), weight=0, timestamp=0, rating=-0.0),
        event("t", timestamp=NOW + 86_000, event="x" * 64),
    ]
    assert statuses(store.append(sent)) == ["stored"] * 3
    assert statuses(store.append(sent)) == ["duplicate"] * 3
    assert [one.user_id for one in store.read_events()] == [2**63 - 1, -(2**63), 1]


def test_integers_and_texts_are_different_ids(folder):
    for name, user in (("integers", 7), ("texts", "7")):
        store = open_store(f"sqlite:///{folder}/{name}.db")
        store.append([event("e", user_id=user)])
        assert len(store.history(user).events) == 1
        assert store.history("7" if user == 7 else 7) == History()
        assert store.history(True) == History()
        store.close()


def test_the_model_says_of_which_kind_ids_are(store):
    assert store.id_kinds() == (None, None)
    store.require_id_kinds("integer", "string")
    assert statuses(store.append([event("e", user_id="text"), event("f")])) == ["rejected", "stored"]
    store.require_id_kinds("integer", "string")
    with pytest.raises(StoreError, match="users: expected ids of kind string, but the store holds ids of kind integer"):
        store.require_id_kinds("string", "string")
    assert store.id_kinds() == ("integer", "string")


def test_the_first_event_says_of_which_kind_ids_are_also_after_a_restart(url):
    store = open_store(url)
    assert statuses(store.append([event("e", user_id="u"), event("f")])) == ["stored", "rejected"]
    store.close()
    store = open_store(url)
    assert store.id_kinds() == ("string", "string")
    assert statuses(store.append([event("f")])) == ["rejected"]
    store.close()


def test_a_history_is_in_order_of_time_then_of_arrival(store):
    store.append([event("late", timestamp=300), event("first", timestamp=100)])
    store.append([event("tie", timestamp=300), event("other", user_id=2), event("second", timestamp=200)])
    assert ids(store.history(1)) == ["first", "second", "late", "tie"]
    assert store.history(3) == History()


def test_a_history_holds_the_latest_events(store, monkeypatch):
    monkeypatch.setattr(sql_store, "MAX_HISTORY", 3)
    store.append([event(str(time), timestamp=time) for time in (5, 1, 4, 2, 3)])
    before = store.history(1)
    assert ids(before) == ["3", "4", "5"]
    store.append([event("old", timestamp=0)])  # changes nothing that shows, but is a change
    assert ids(store.history(1)) == ["3", "4", "5"]
    assert store.history(1).version > before.version
    assert store.delete_user(1) == 6


def test_a_version_stands_for_one_content(store):
    versions = {0: ()}

    def note():
        history = store.history(1)
        assert versions.setdefault(history.version, history.events) == history.events

    for step in range(6):
        store.append([event(f"e{step}"), event(f"e{step}"), event(f"other{step}", user_id=2)])
        note()
        if step % 2:
            store.delete_user(1)
            note()
    assert len(versions) == 1 + 6 + 3
    assert list(versions) == sorted(versions)


def test_of_a_deleted_user_nothing_stays(store, path):
    secret = "somebody-" + "x" * 40
    store.append([event("e1", user_id=secret), event("e2", user_id=secret), event("e3", user_id="other")])
    shown = [Exposure(request_id=f"r{n}", user_id=secret, item_ids=("a",), timestamp=1) for n in range(3)]
    store.log_exposures(shown).result()
    before = int(time.time())
    assert store.delete_user(secret) == 5
    assert store.history(secret).events == ()
    assert store.history(secret).deleted_seq == store.history(secret).version == 4
    assert store.counts().events == 1
    assert store.counts().exposures == 0
    times = store.deletion_times(["other", secret])
    assert list(times) == [secret]
    assert before <= times[secret] <= time.time()
    store.close()
    for file in path.parent.iterdir():
        assert secret.encode() not in file.read_bytes(), file


def test_events_after_a_deletion_start_anew(store):
    store.append([event("e1"), event("e2")])
    store.delete_user(1)
    assert statuses(store.append([event("e1", item_id="b"), event("e3")])) == ["stored", "stored"]
    history = store.history(1)
    assert [(one.id, one.item_id, one.seq) for one in history.events] == [("e1", "b", 4), ("e3", "a", 5)]
    assert (history.version, history.deleted_seq) == (5, 3)
    assert store.delete_user(1) == 2
    assert store.history(1).deleted_seq == 6


def test_deleting_somebody_unknown_is_remembered_too(store):
    assert store.delete_user(99) == 0
    assert list(store.deletion_times([99, 98])) == [99]
    store.append([event("e")])
    assert store.delete_user("text") == 0
    assert store.deletion_times(["text"]) == {}


def test_places_are_never_given_twice(url):
    store = open_store(url)
    store.append([event("e1"), event("e2")])
    store.delete_user(1)
    store.close()
    store = open_store(url)
    store.append([event("e4")])
    assert [one.seq for one in store.read_events()] == [4]
    assert store.counts().last_seq == 4
    store.close()


def test_events_are_read_in_parts(store):
    store.append([event(f"e{n}") for n in range(25)])
    found, seq = [], 0
    while part := store.read_events(seq, 10):
        assert len(part) <= 10
        found += [one.id for one in part]
        seq = part[-1].seq
    assert found == [f"e{n}" for n in range(25)]


def test_an_item_is_replaced_whole(store):
    first = store.put_item("a", {"title": "A", "year": 1999, "genres": ["x", "y"], "free": True, "none": None})
    store.put_item("b", {})
    last = store.put_item("a", {"title": "B"})
    assert first.attributes["genres"] == ["x", "y"]
    assert [(one.item_id, one.attributes) for one in store.items_since()] == [("b", {}), ("a", {"title": "B"})]
    assert store.items_since(first.version + 1) == [last]
    assert store.items_since(last.version) == []


@pytest.mark.parametrize(
    "attributes",
    [{"x": math.nan}, {"x": {"y": 1}}, {"x": [1, 2]}, {1: "x"}, {"x": "y" * 70_000}, {"x": 2**70}, [("x", 1)], {"": 1}],
)
def test_an_item_with_other_attributes_is_refused(store, attributes):
    with pytest.raises(StoreError):
        store.put_item("a", attributes)
    assert store.items_since() == []


def test_an_item_of_the_other_kind_is_refused(store):
    store.append([event("e")])
    with pytest.raises(StoreError, match="item_id: the ids of this store are text, got 7"):
        store.put_item(7, {})
    with pytest.raises(StoreError, match="item_id"):
        store.put_item("", {})


def test_an_exposure_counts_once(store):
    shown = [Exposure(request_id=f"r{n}", item_ids=("a", "b"), timestamp=NOW, user_id=1) for n in (1, 2, 1)]
    assert store.log_exposures(shown).result() == 2
    assert store.log_exposures(shown).result() == 0
    assert store.log_exposures([Exposure(request_id="r3", item_ids=(), timestamp=NOW)]).result() == 1
    assert store.counts().exposures == 3


def test_an_exposure_keeps_its_propensities(store):
    drawn = Exposure(request_id="r1", item_ids=("a", "b"), timestamp=NOW, propensities=(0.005, 1 - 1e-9))
    plain = Exposure(request_id="r2", item_ids=("a",), timestamp=NOW)
    store.log_exposures([drawn, plain]).result()
    assert store.read_exposures("", 10) == [drawn, plain]


@pytest.mark.parametrize(
    "fault",
    [{"request_id": ""}, {"item_ids": ("a",) * 1001}, {"item_ids": (1.5,)}, {"timestamp": None}, {"user_id": ""}]
    + [{"propensities": wrong} for wrong in ((), (0.0,), (1.5,), (float("nan"),), (0.5, 0.5))],
)
def test_an_exposure_that_can_never_be_stored_is_refused(store, fault):
    with pytest.raises(StoreError):
        store.log_exposures([Exposure(**{"request_id": "r", "item_ids": ("a",), "timestamp": 1} | fault)])


def test_an_exposure_of_the_other_kind_is_refused_and_decides_nothing(store):
    future = store.log_exposures([Exposure(request_id="r", item_ids=("a", 7), timestamp=1)])
    with pytest.raises(StoreError, match="item_id"):
        future.result()
    assert store.id_kinds() == (None, None)
    assert statuses(store.append([event("e", item_id=7)])) == ["stored"]


def test_a_refused_change_does_not_hold_back_its_group(store):
    store.append([event("first")])
    futures = [store.log_exposures([Exposure(request_id="r", item_ids=(7,), timestamp=1)])]
    futures += [store.submit([event(f"e{n}")]) for n in range(5)]
    with pytest.raises(StoreError):
        futures[0].result()
    assert [statuses(future.result()) for future in futures[1:]] == [["stored"]] * 5


def test_everything_is_there_after_a_restart(url):
    store = open_store(url)
    store.append([event("e"), event("f", user_id=2)])
    store.put_item("a", {"title": "A"})
    store.delete_user(2)
    before = (store.store_id, store.counts(), store.history(1), store.history(2), store.items_since())
    store.close()
    store.close()
    with pytest.raises(Unavailable, match="closed"):
        store.append([event("g")])
    with pytest.raises(Unavailable, match="closed"):
        store.history(1)
    store = open_store(url)
    assert (store.store_id, store.counts(), store.history(1), store.history(2), store.items_since()) == before
    store.close()
