"""How fast events become durable: python benchmarks/store.py [FOLDER]

Events of random users and items, with random ids, go into a new store in FOLDER (default: a temporary one), in batches
of 100 from one and from eight clients, and one by one from 64 clients; then duplicates, and histories are read. Beside
them stands the floor: how often this disk syncs, and the same rows written by the sqlite3 module alone.
"""

import argparse
import os
import random
import sqlite3
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from shortlist.serving.store.contract import Event, Store
from shortlist.serving.store.opening import open_store

SECONDS = 5.0
BATCH = 100


def invented(n: int) -> list[Event]:
    draw = random.Random(0)
    return [
        Event(
            id=str(uuid.uuid4()),
            user_id=draw.randrange(100_000),
            item_id=draw.randrange(20_000),
            timestamp=1_700_000_000 + place,
            event="click",
            request_id=str(uuid.uuid4()),
        )
        for place in range(n)
    ]


def clients(n_clients: int, send: Callable[[int], int]) -> tuple[float, float, np.ndarray]:
    """Run ``send(client)``, which returns how many events it sent, over and over in threads of their own.

    Returns:
        Events per second, CPU microseconds per event, and the latency of each call in ms.
    """
    sent = [0] * n_clients
    latencies: list[list[float]] = [[] for _ in range(n_clients)]
    begin, cpu = time.perf_counter(), time.process_time()

    def run(client: int) -> None:
        while time.perf_counter() - begin < SECONDS:
            start = time.perf_counter()
            sent[client] += send(client)
            latencies[client].append((time.perf_counter() - start) * 1e3)

    threads = [threading.Thread(target=run, args=(client,)) for client in range(n_clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    n, seconds = sum(sent), time.perf_counter() - begin
    return n / seconds, (time.process_time() - cpu) / n * 1e6, np.concatenate(latencies)


def batches(store: Store, n_clients: int, size: int) -> None:
    events = [invented(400_000 // n_clients) for _ in range(n_clients)]
    places = [0] * n_clients

    def send(client: int) -> int:
        part = events[client][places[client] : places[client] + size]
        places[client] += size
        outcomes = store.append(part)
        assert all(outcome.status == "stored" for outcome in outcomes)
        return len(part)

    say(f"{n_clients} client{'s' if n_clients > 1 else ''}, {size} at once", *clients(n_clients, send))


def duplicates(store: Store) -> None:
    events = invented(BATCH)
    store.append(events)
    say(f"1 client, {BATCH} at once, all duplicates", *clients(1, lambda _: len(store.append(events))))


def histories(store: Store) -> None:
    draw = random.Random(1)
    users = [draw.randrange(100_000) for _ in range(10_000)]
    for label in ("from disk", "kept in memory"):
        begin = time.process_time()
        for user in users:
            store.history(user)
        print(f"history, {label:<32} {(time.process_time() - begin) / len(users) * 1e6:8.0f} µs CPU")


def floor(folder: Path) -> None:
    """What the disk and SQLite alone can do."""
    with (folder / "sync").open("wb") as file:
        begin = time.perf_counter()
        for _ in range(200):
            file.write(b"x" * 4096)
            file.flush()
            os.fdatasync(file.fileno())
        print(f"{'fdatasync of 4 KB':<41} {(time.perf_counter() - begin) / 200 * 1e3:8.1f} ms")
    connection = sqlite3.connect(folder / "floor.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(
        "CREATE TABLE e (seq INTEGER PRIMARY KEY, id TEXT UNIQUE, u TEXT, i TEXT, t INT, e TEXT, r TEXT)"
    )
    connection.execute("CREATE INDEX by_user ON e (u)")
    rows = [(e.id, str(e.user_id), str(e.item_id), e.timestamp, e.event, e.request_id) for e in invented(200_000)]
    begin, done = time.perf_counter(), 0
    while time.perf_counter() - begin < SECONDS and done < len(rows):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO e (id, u, i, t, e, r) VALUES (?,?,?,?,?,?)", rows[done : done + BATCH])
        connection.execute("COMMIT")
        done += BATCH
    print(f"{f'sqlite3 alone, {BATCH} at once':<41} {done / (time.perf_counter() - begin):8,.0f} events/s")
    connection.close()


def say(label: str, per_second: float, cpu_us: float, latencies_ms: Sequence[float] | np.ndarray) -> None:
    p50, p99 = np.percentile(latencies_ms, [50, 99])
    print(f"{label:<41} {per_second:8,.0f} events/s {cpu_us:6.0f} µs CPU/event   p50 {p50:5.1f} ms  p99 {p99:6.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    with tempfile.TemporaryDirectory(dir=parser.parse_args().folder) as name:
        folder = Path(name)
        floor(folder)
        store = open_store(f"sqlite:///{folder}/events.db")
        batches(store, 1, BATCH)
        batches(store, 8, BATCH)
        batches(store, 64, 1)
        duplicates(store)
        histories(store)
        counts = store.counts()
        print(f"{counts.events:,} events, {(folder / 'events.db').stat().st_size / counts.events:.0f} bytes each")
        store.close()


if __name__ == "__main__":
    main()
