"""A store as a Parquet file and as a data set, alone and joined to a log."""

import hashlib
import sys

import polars as pl
import pytest

from shortlist.cli.main import main
from shortlist.data.dataset import Dataset
from shortlist.data.synthetic import two_tastes
from shortlist.errors import DataError, StoreError
from shortlist.saving import load
from shortlist.serving.store import frames
from shortlist.serving.store.contract import Event
from shortlist.serving.store.dataset import joined, with_items
from shortlist.serving.store.frames import events_frame, export_events
from shortlist.serving.store.opening import open_store

T = 1_700_000_000
LOG = {"user_id": [1, 2, 2], "item_id": ["a", "a", "b"], "timestamp": [T, T + 1, T + 2], "rating": [4.0, 3.0, 5.0]}


def event(id, user_id=1, item_id="a", timestamp=T, **more):
    return Event(id=id, user_id=user_id, item_id=item_id, timestamp=timestamp, **more)


def base(**columns):
    return Dataset.from_frames(LOG | columns, name="log")


def rows(dataset, *columns):
    return dataset.interactions.select(columns or ("user_id", "item_id", "timestamp")).rows()


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_exported_file_holds_every_event_in_order_of_arrival(store, folder):
    store.append([event("e1", rating=4.5, event="buy"), event("e2", 2, "b", T - 5, weight=0.5, request_id="r")])
    assert export_events(store, folder / "out.parquet") == 2
    found = pl.read_parquet(folder / "out.parquet")
    assert found.to_dicts() == [
        {"user_id": 1, "item_id": "a", "timestamp": T, "rating": 4.5, "weight": 1.0, "event": "buy",
         "event_id": "e1", "request_id": None},
        {"user_id": 2, "item_id": "b", "timestamp": T - 5, "rating": None, "weight": 0.5, "event": None,
         "event_id": "e2", "request_id": "r"},
    ]  # fmt: skip
    assert len(Dataset.from_parquet(folder / "out.parquet")) == 2


def test_an_empty_store_gives_an_empty_file(store, folder):
    assert export_events(store, folder / "out.parquet") == 0
    assert pl.read_parquet(folder / "out.parquet").shape == (0, 8)


def test_the_same_events_give_the_same_bytes_however_they_are_read(store, folder, monkeypatch):
    store.append([event(f"e{n}", n % 9, "abc"[n % 3], T + n) for n in range(1000)])
    digests = set()
    for n, at_once in enumerate((7, 100, 20_000)):
        monkeypatch.setattr(frames, "EVENTS_AT_ONCE", at_once)
        assert export_events(store, folder / "out.parquet") == 1000
        digests.add(digest(folder / "out.parquet"))
        assert pl.read_parquet(folder / "out.parquet")["event_id"].to_list() == [f"e{n}" for n in range(1000)]
    assert len(digests) == 1


def test_events_that_arrive_meanwhile_wait_for_the_next_export(store, folder, monkeypatch):
    store.append([event(f"e{n}") for n in range(5)])
    monkeypatch.setattr(frames, "EVENTS_AT_ONCE", 2)
    read = store.read_events

    def reading_while_more_arrive(seq, n):
        store.append([event(f"late{seq}")])
        return read(seq, n)

    monkeypatch.setattr(store, "read_events", reading_while_more_arrive)
    assert export_events(store, folder / "out.parquet") == 5


def test_an_export_that_fails_leaves_the_file_before(store, folder, monkeypatch):
    store.append([event("e1")])
    export_events(store, folder / "out.parquet")
    before = digest(folder / "out.parquet")

    def fail(seq, n):
        raise StoreError("the store cannot read")

    monkeypatch.setattr(store, "read_events", fail)
    with pytest.raises(StoreError, match="cannot read"):
        export_events(store, folder / "out.parquet")
    assert digest(folder / "out.parquet") == before
    assert not [file for file in folder.iterdir() if file.name.startswith(".out")]


def test_the_frame_of_a_store_has_the_ids_of_its_kind(store):
    assert events_frame(store).schema["user_id"] == pl.String
    store.append([event("e1")])
    assert events_frame(store).schema["user_id"] == pl.Int64


def test_new_events_come_after_the_log(store):
    store.append([event("e1", 3, "c", T + 9), event("e2", 1, "b", T - 9, rating=1.0)])
    dataset = joined(base(), store)
    assert rows(dataset) == [*rows(base()), (3, "c", T + 9), (1, "b", T - 9)]
    assert dataset.interactions["rating"].to_list() == [4.0, 3.0, 5.0, None, 1.0]
    assert "event" not in dataset.interactions.columns
    assert dataset.items["item_id"].to_list() == ["a", "b", "c"]
    assert "2 of the store's 2 events were added to the log" in dataset.notes


def test_an_event_that_the_log_has_counts_once(store):
    store.append([event("e1", 2, "b", T + 2, event="buy"), event("e2", 2, "b", T + 2), event("e3", 2, "b", T)])
    assert rows(joined(base(), store), "item_id", "timestamp")[3:] == [("b", T)]
    with_kinds = joined(base(event=["buy", None, "buy"]), store)
    assert rows(with_kinds, "timestamp", "event")[3:] == [(T + 2, None), (T, None)]


def test_what_was_exported_before_counts_once(store, folder):
    store.append([event("e1"), event("e2", 2, timestamp=T + 5), event("e3", 2, "b")])
    export_events(store, folder / "out.parquet")
    store.append([event("e4", 3)])
    log = Dataset.from_parquet(folder / "out.parquet")
    assert rows(joined(log, store), "user_id") == [(1,), (2,), (2,), (3,)]


def test_of_equal_events_in_the_store_the_last_one_stays(store):
    store.append([event("e1", 5, rating=1.0), event("e2", 5, rating=2.0)])
    assert rows(joined(base(), store), "user_id", "rating")[3:] == [(5, 2.0)]


def test_weights_are_one_where_none_is_given(store):
    store.append([event("e1", 5, weight=0.5), event("e2", 6)])
    assert joined(base(), store).interactions["weight"].to_list() == [1, 1, 1, 0.5, 1]
    assert joined(base(weight=[2.0, 0.0, 3.0]), store).interactions["weight"].to_list() == [2, 0, 3, 0.5, 1]


def test_deleted_users_leave_the_log_too(store):
    store.append([event("e1", 9)])
    store.delete_user(2)
    users = pl.DataFrame({"user_id": [1, 2, 8], "city": ["x", "y", "z"]})
    dataset = joined(Dataset.from_frames(LOG, users=users), store)
    assert rows(dataset, "user_id") == [(1,), (9,)]
    assert dataset.users["user_id"].to_list() == [1, 8, 9]
    assert "2 rows of the log were left out: the data of their users were deleted" in dataset.notes
    store.append([event("back", 2, "b", T + 99)])
    assert rows(joined(base(), store)) == [(1, "a", T), (9, "a", T), (2, "b", T + 99)]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"user_id": ["1", "2", "2"]}, "'user_id': the log has String .*the store Int64"),
        ({"item_id": [1, 2, 3]}, "'item_id'"),
        ({"timestamp": [0, 1, 2]}, "times that are only an order"),
        ({"timestamp": [T, T, T]}, "no usable times"),
    ],
)
def test_a_log_that_does_not_go_with_the_store_is_refused(store, columns, words):
    store.append([event("e1")])
    with pytest.raises(DataError, match=words):
        joined(base(**columns), store)


def test_an_empty_store_leaves_the_log_as_it_is(store):
    assert rows(joined(base(timestamp=[0, 1, 2]), store)) == rows(base(timestamp=[0, 1, 2]))


ITEMS = pl.DataFrame({"item_id": ["a", "b"], "title": ["A", "B"], "year": [1999, 2000], "genres": [["x"], ["y", "z"]]})


def test_changed_items_take_the_place_of_those_given(store):
    store.put_item("b", {"title": "New B", "year": 2001, "genres": "y", "free": True})
    store.put_item("c", {"title": 7})
    dataset = with_items(Dataset.from_frames(LOG, ITEMS), store.items_since())
    assert dataset.items.to_dicts() == [
        {"item_id": "a", "title": "A", "year": 1999, "genres": ["x"], "free": None},
        {"item_id": "b", "title": "New B", "year": 2001, "genres": ["y"], "free": True},
        {"item_id": "c", "title": "7", "year": None, "genres": None, "free": None},
    ]


def test_items_without_a_table_get_the_narrowest_type(store):
    store.put_item("a", {"n": 1, "x": 1, "t": "t", "l": ["t"], "mixed": 1, "b": True, "none": None})
    store.put_item("b", {"n": 2, "x": 1.5, "t": "u", "l": "u", "mixed": "1", "b": False})
    items = with_items(base(), store.items_since()).items
    types = [pl.String, pl.Int64, pl.Float64, pl.String, pl.List(pl.String), pl.String, pl.Boolean, pl.String]
    assert items.dtypes == types


@pytest.mark.parametrize("attributes", [{"year": "soon"}, {"year": 1.5}, {"year": ["1", "2"]}])
def test_an_item_of_another_type_is_named(store, attributes):
    store.put_item("a", attributes)
    with pytest.raises(DataError, match="the store's item 'a', attribute 'year'"):
        with_items(Dataset.from_frames(LOG, ITEMS), store.items_since())


@pytest.fixture
def run(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["shortlist", *map(str, arguments)])
        try:
            main()
        except SystemExit as stop:
            return stop.code, capsys.readouterr()
        return 0, capsys.readouterr()

    return call


def collected(url):
    """The log of `two_tastes` as events of a store, and one item that is new."""
    dataset = two_tastes()
    store = open_store(url)
    store.append(
        [
            event(f"e{n}", row["user_id"], row["item_id"], row["timestamp"], rating=row["rating"])
            for n, row in enumerate(dataset.interactions.iter_rows(named=True))
        ]
    )
    store.put_item(999, {"title": "new"})
    known = {"store_id": store.store_id, "last_seq": len(dataset), "item_version": 1}
    store.close()
    return dataset, known


def test_a_model_is_trained_from_a_store_and_knows_how_far(run, url, folder):
    dataset, known = collected(url)
    (folder / "quick.toml").write_text('[ranking]\nranker = "fusion"\n')
    common = ("--target", "next", "--config", folder / "quick.toml", "--threads", "1")
    code, printed = run("train", "--from", url, "--out", folder / "m1", *common)
    assert code == 0, printed.err
    model = load(folder / "m1")
    assert model.record["store"] == known
    assert len(model.log) == len(dataset)
    assert 999 in model.items["item_id"].to_list()
    dataset.interactions.write_parquet(folder / "log.parquet")
    code, printed = run("train", folder / "log.parquet", "--from", url, "--out", folder / "m2", *common)
    assert code == 0, printed.err
    assert "0 of the store's 844 events were added" in printed.err
    users = dataset.users["user_id"].to_list()
    assert load(folder / "m2").recommend(users).equals(model.recommend(users))


def test_mistakes_of_train_and_export_end_in_one_line(run, url, folder):
    open_store(url).close()
    for arguments, words in (
        (("train", "--out", folder / "m"), "nothing to train on"),
        (("train", "--from", url, "--out", folder / "m"), "holds no events yet"),
        (("train", "--from", "sqlite:///nowhere.db", "--out", folder / "m"), "no such file"),
        (("events", "export", "events.db", "--out", folder / "x.parquet"), "no address of a store"),
        (("events", "export", url, "--out", folder / "x.csv"), "ending in .parquet"),
        (("events", "export", url, "--out", folder / "none" / "x.parquet"), "there is no folder"),
    ):
        code, printed = run(*arguments)
        assert code == 1
        assert words in printed.err
        assert printed.err.count("\n") == 1
        assert printed.out == ""


def test_the_export_command_says_how_many(run, url, folder):
    collected(url)
    code, printed = run("events", "export", url, "--out", folder / "x.parquet")
    assert (code, printed.out) == (0, f"844 events are in {folder / 'x.parquet'}\n")
    assert len(pl.read_parquet(folder / "x.parquet")) == 844
