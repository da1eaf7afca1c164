"""kill -9 of a process that writes: everything acknowledged is there, nothing counts twice."""

import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from shortlist.serving.store.contract import Event
from shortlist.serving.store.opening import open_store

SCRIPT = Path(__file__).with_name("writing_process.py")


def run_and_kill(url, prefix, n_lines):
    """What the process acknowledged before it was killed, as lines: at least so many."""
    process = subprocess.Popen([sys.executable, SCRIPT, url, prefix], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n", process.stderr.read()
    lines = [process.stdout.readline() for _ in range(n_lines)]
    process.kill()
    lines += process.communicate()[0].splitlines(keepends=True)
    return [line.decode().split() for line in lines if line.endswith(b"\n")]


def killed_over_and_over(path, url, n_kills):
    draw = random.Random(n_kills)
    acknowledged, version = set(), 0
    for kill in range(n_kills):
        lines = run_and_kill(url, f"p{kill}", draw.randrange(2_000))
        acknowledged |= {word for kind, word in lines if kind == "event"}
        version = max([version, *(int(word) for kind, word in lines if kind == "item")])
        check(path, url, acknowledged, version)
    assert len(acknowledged) > 10 * n_kills


def check(path, url, acknowledged, version):
    reader = open_store(url, read_only=True)
    found = list(everything(reader))
    assert max([0, *(item.version for item in reader.items_since())]) >= version
    reader.close()
    ids = [event.id for event in found]
    assert len(ids) == len(set(ids))
    assert acknowledged <= set(ids)
    store = open_store(url)  # which also moves what the killed process left in its log
    again = [Event(**{name: getattr(one, name) for name in Event.__struct_fields__}) for one in found]
    assert {
        outcome.status for start in range(0, len(again), 5000) for outcome in store.append(again[start:][:5000])
    } <= {"duplicate"}
    assert store.counts().events == len(found)
    assert sum(len(store.history(user).events) for user in range(50)) == len(found)
    store.close()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def everything(store):
    seq = 0
    while part := store.read_events(seq):
        yield from part
        seq = part[-1].seq


def test_after_kills_everything_acknowledged_is_there_once(path, url):
    killed_over_and_over(path, url, 2)


@pytest.mark.soak
def test_after_fifty_kills_on_the_real_disk(tmp_path):
    path = tmp_path / "events.db"
    killed_over_and_over(path, f"sqlite:///{path}", 50)
