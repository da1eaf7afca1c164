"""Many at once, a full queue, and what goes wrong with the disk."""

import random
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from shortlist.errors import StoreError
from shortlist.serving.store import sqlite
from shortlist.serving.store.contract import Busy, Event, Unavailable
from shortlist.serving.store.opening import open_store
from shortlist.serving.store.writer import Writer


def events(n, prefix="e", n_users=10):
    return [
        Event(id=f"{prefix}{place}", user_id=place % n_users, item_id=place % 7, timestamp=place) for place in range(n)
    ]


def send_doubled(store, n_events, n_clients):
    """Everything once, a third of it twice, shuffled, in batches of 1 to 50 from several threads at once."""
    whole = events(n_events)
    draw = random.Random(0)
    sent = whole + draw.sample(whole, n_events // 3)
    draw.shuffle(sent)
    batches = []
    while sent:
        size = draw.randrange(1, 50)
        batches.append(sent[:size])
        sent = sent[size:]
    with ThreadPoolExecutor(n_clients) as pool:
        outcomes = [outcome for part in pool.map(store.append, batches) for outcome in part]
    return whole, Counter(outcome.status for outcome in outcomes)


def check_recount(store, whole, statuses):
    assert statuses == {"stored": len(whole), "duplicate": len(whole) // 3}
    found, seq = [], 0
    while part := store.read_events(seq):
        found += part
        seq = part[-1].seq
    assert sorted(one.id for one in found) == sorted(one.id for one in whole)
    assert [one.seq for one in found] == list(range(1, len(whole) + 1))
    counted = Counter((one.user_id, one.item_id) for one in whole)
    assert Counter((one.user_id, one.item_id) for one in found) == counted
    for user_id in {one.user_id for one in whole}:
        times = [one.timestamp for one in store.history(user_id).events]
        assert times == sorted(one.timestamp for one in whole if one.user_id == user_id)


def test_shuffled_and_doubled_from_many_threads_everything_counts_once(store):
    check_recount(store, *send_doubled(store, 6_000, 8))


@pytest.mark.soak
def test_a_hundred_thousand_shuffled_and_doubled(store):
    check_recount(store, *send_doubled(store, 100_000, 16))


def test_what_is_acknowledged_shows_in_the_next_history(store):
    """Readers that fill the memory of histories all the while must not bring back old ones."""
    stop = threading.Event()
    problems = []

    def read():
        lengths = dict.fromkeys(range(4), 0)
        while not stop.is_set():
            for user_id, length in lengths.items():
                lengths[user_id] = len(store.history(user_id).events)
                if lengths[user_id] < length:
                    problems.append(("went back", user_id))

    def write(user_id):
        for n in range(150):
            store.append([Event(id=f"{user_id} {n}", user_id=user_id, item_id=1, timestamp=n)])
            if len(store.history(user_id).events) != n + 1:
                problems.append(("not there", user_id, n))

    readers = [threading.Thread(target=read) for _ in range(2)]
    writers = [threading.Thread(target=write, args=(user_id,)) for user_id in range(4)]
    for thread in readers + writers:
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    for thread in readers:
        thread.join()
    assert problems == []


class Blocked:
    """Another program holds the database's write lock."""

    def __init__(self, path):
        self.connection = sqlite3.connect(path, isolation_level=None)

    def __enter__(self):
        self.connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, *error):
        self.connection.execute("ROLLBACK")
        self.connection.close()


@pytest.fixture
def patient(monkeypatch):
    """However slow the machine is, nobody gives up on a database that another program has locked."""
    monkeypatch.setattr(sqlite, "LOCK_WAIT_S", 300)


def test_a_full_queue_is_busy_and_takes_nothing_of_the_call(path, url, patient):
    store = open_store(url, queue_size=100)
    store.append(events(1, "first"))
    with Blocked(path):
        taken = [store.submit(events(30, f"b{n} ")) for n in range(3)]
        with pytest.raises(Busy, match="90 writes wait for their commit and 30 more find no room") as caught:
            store.submit(events(30, "too many"))
        assert caught.value.retry_after_s >= 1
        taken.append(store.submit(events(10, "fits")))
        with pytest.raises(Busy):
            store.delete_user(1)
        assert store.n_queued == 100
        assert [one.id for one in store.history(0).events] == ["first0"]
    assert sum(len(future.result()) for future in taken) == 100
    assert store.n_queued == 0
    assert store.counts().events == 101
    with pytest.raises(StoreError, match="expected at most 100 at once, got 101"):
        store.append(events(101))
    store.close()


def test_a_locked_database_is_unavailable_and_then_goes_on(path, url, monkeypatch):
    monkeypatch.setattr(sqlite, "LOCK_WAIT_S", 0.05)
    store = open_store(url)
    store.append(events(3))
    with Blocked(path):
        with pytest.raises(Unavailable, match="the store cannot write: database is locked") as caught:
            store.append(events(5))
        assert caught.value.retry_after_s >= 1
        with pytest.raises(Unavailable):
            store.check()
        assert store.counts().events == 3
    store.check()
    assert [one.status for one in store.append(events(5))] == ["duplicate"] * 3 + ["stored"] * 2
    store.close()


def test_a_database_that_is_gone_takes_nothing_more(path, url):
    store = open_store(url)
    store.append(events(3))
    moved = path.with_name("moved.db")
    path.rename(moved)
    for _ in range(2):
        with pytest.raises(Unavailable, match="removed or replaced"):
            store.append(events(5))
    path.touch()
    with pytest.raises(Unavailable, match="removed or replaced"):
        store.check()
    moved.replace(path)
    assert [one.status for one in store.append(events(5))] == ["duplicate"] * 3 + ["stored"] * 2
    assert store.counts().events == 5
    store.close()


def test_a_full_disk_refuses_and_goes_on_when_there_is_room(folder):
    disk = folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("only root can mount a small disk")
    try:
        fill_and_free(disk)
    finally:
        subprocess.run(["umount", disk], check=True)


def fill_and_free(disk):
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(1 << 20))
    store = open_store(f"sqlite:///{disk}/events.db")
    acknowledged, reason = 0, ""
    while not reason:
        try:
            store.append(events(500, f"{acknowledged} "))
            acknowledged += 500
        except Unavailable as error:
            reason = str(error)
    assert reason == "the store cannot write: database or disk is full"
    assert acknowledged
    assert store.counts().events == acknowledged
    with pytest.raises(Unavailable):
        store.append(events(500, f"{acknowledged} "))
    ballast.unlink()
    store.check()
    assert {one.status for one in store.append(events(500, f"{acknowledged} "))} == {"stored"}
    store.close()
    connection = sqlite3.connect(disk / "events.db")
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert connection.execute("SELECT count(*) FROM shortlist_events").fetchone() == (acknowledged + 500,)
    connection.close()


def test_a_cancelled_call_is_not_stored(path, url, patient):
    store = open_store(url)
    store.append(events(1))
    with Blocked(path):
        running = store.submit(events(2, "running"))
        while not running.running():
            time.sleep(0.001)
        waiting = store.submit(events(2, "waiting"))
        assert not running.cancel()
        assert waiting.cancel()
    running.result()
    store.check()
    assert store.n_queued == 0
    assert store.counts().events == 3
    store.close()


def test_closing_writes_what_is_queued(path, url, patient):
    store = open_store(url)
    with Blocked(path):
        futures = [store.submit(events(10, f"b{n} ")) for n in range(20)]
        closing = threading.Thread(target=store.close)
        closing.start()
    closing.join()
    assert all(outcome.status == "stored" for future in futures for outcome in future.result())
    store = open_store(url)
    assert store.counts().events == 200
    store.close()


def test_a_job_that_cannot_be_written_does_not_fail_its_group():
    started = threading.Event()
    groups = []

    def commit(works):
        started.wait()
        groups.append(list(works))
        if "poison" in works:
            raise ZeroDivisionError
        return [StoreError("refused") if work == "bad" else work for work in works]

    writer = Writer(commit, lambda: 1 / 0, 100)
    futures = {work: writer.submit(work, 1) for work in ("first", "good", "poison", "bad", "last")}
    started.set()
    assert [futures[work].result() for work in ("first", "good", "last")] == ["first", "good", "last"]
    with pytest.raises(ZeroDivisionError):
        futures["poison"].result()
    with pytest.raises(StoreError, match="refused"):
        futures["bad"].result()
    writer.close()
    assert sum(group.count("good") for group in groups) <= 2
    with pytest.raises(Unavailable, match="closed"):
        writer.submit("more", 1)


def test_groups_are_bounded_and_in_order(monkeypatch):
    monkeypatch.setattr("shortlist.serving.store.writer.GROUP", 10)
    started, groups = threading.Event(), []

    def commit(works):
        started.wait()
        groups.append(sum(works))
        return works

    writer = Writer(commit, lambda: True, 1000)
    futures = [writer.submit(n, n) for n in (1, 4, 6, 3, 25, 2, 2)]
    started.set()
    assert [future.result() for future in futures] == [1, 4, 6, 3, 25, 2, 2]
    writer.close()
    assert groups in ([1, 10, 3, 25, 4], [5, 9, 25, 4])
