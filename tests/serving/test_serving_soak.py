"""Minutes of real processes: killed, swapped under load, asked at random, held up. `make soak` runs these.

Each test notes figures; docs/reliability.md has those of the last run.
"""

import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import polars as pl
import pytest
from running_server import PATIENT, serving
from versions_beside import other, save_beside

from quick_models import fit
from shortlist import artifact
from shortlist.data.power_law import PowerLaw, power_law
from shortlist.errors import ArtifactError
from shortlist.saving import load

pytestmark = pytest.mark.soak
NOW = 1_700_000_000


def memory_mb(server):
    return int(Path(f"/proc/{server.process.pid}/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


def p99_ms(seconds):
    return float(np.percentile(seconds, 99) * 1e3)


def test_kills_of_a_server_that_takes_events(model_dir, tmp_path, note):
    """Test 10: every acknowledged event is there once, after fifty kill -9 at random moments."""
    draw, numbers = random.Random(0), itertools.count()
    acknowledged, restarts = set(), []
    for _ in range(50):
        begin = time.perf_counter()
        with serving(model_dir, tmp_path / "log", *PATIENT) as server:
            restarts.append(time.perf_counter() - begin)
            stop = threading.Event()

            def send(address=server.address, stop=stop):
                with httpx.Client(base_url=address, timeout=30) as client:
                    while not stop.is_set():
                        ids = [f"e{next(numbers)}" for _ in range(5)]
                        events = [{"id": i, "user_id": 7000, "item_id": 1, "timestamp": NOW} for i in ids]
                        try:
                            answer = client.post("/v1/events", json=events)
                        except httpx.HTTPError:
                            return
                        if answer.status_code == 200:
                            acknowledged.update(ids)

            threads = [threading.Thread(target=send) for _ in range(4)]
            for thread in threads:
                thread.start()
            time.sleep(draw.uniform(0.0, 0.4))
            server.process.send_signal(signal.SIGKILL)
            server.process.wait()
            stop.set()
            for thread in threads:
                thread.join()
    with serving(model_dir, tmp_path / "log", *PATIENT):
        pass
    export = tmp_path / "events.parquet"
    store = f"sqlite:///{model_dir / 'events.db'}"
    words = ["events", "export", store, "--out", str(export)]
    subprocess.run([sys.executable, "-m", "shortlist", *words], check=True, capture_output=True)
    ids = pl.read_parquet(export)["event_id"]
    lost, doubled = acknowledged - set(ids), len(ids) - ids.n_unique()
    note("kills of a server that takes events", 50)
    note("events acknowledged", len(acknowledged))
    note("events lost", len(lost))
    note("events doubled", doubled)
    note("longest restart, s", round(max(restarts), 2))
    assert (lost, doubled) == (set(), 0)
    assert len(acknowledged) > 500


PUBLISHING = """
import sys, numpy as np
from dataclasses import replace
from shortlist.saving import load
model = load(sys.argv[1])
print("ready", flush=True)
n = 0
while True:
    n += 1
    model.record["n"] = n
    model.save(sys.argv[1])
    print(n, flush=True)
"""


def test_kills_of_a_process_that_publishes(model_dir, note):
    """Test 11: the promoted version is whole after every kill."""
    draw, published = random.Random(1), 0
    for _ in range(50):
        process = subprocess.Popen([sys.executable, "-c", PUBLISHING, str(model_dir)], stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"ready\n"
        time.sleep(draw.uniform(0, 0.5))
        process.kill()
        published += len(process.communicate()[0].split())
        artifact.verify(model_dir)
        load(model_dir)
    note("kills of a process that publishes", 50)
    note("versions published meanwhile", published)
    note("promoted versions damaged", 0)
    assert published


def test_swaps_at_half_load(model, model_dir, tmp_path, note):
    """Tests 6 and 21: a hundred swaps, not one error, no answer of two models, memory and latency as before."""
    first = artifact.versions(model_dir)[0]
    second = save_beside(other(model), model_dir)
    models = {version: load(model_dir / version) for version in (first, second)}
    expected = {
        version: {user: one.recommend(user, k=5)["item_id"].to_list() for user in range(60)}
        for version, one in models.items()
    }
    phases = {"steady": [], "swapping": []}
    wrong, failed, phase = [], [], "steady"
    with serving(model_dir, tmp_path / "log", "--poll-s", "0.2", *PATIENT) as server:
        stop = threading.Event()

        def ask(seed):
            draw = random.Random(seed)
            with httpx.Client(base_url=server.address, timeout=60) as client:
                while not stop.is_set():
                    user, begin = draw.randrange(60), time.perf_counter()
                    response = client.post("/v1/recommend", json={"user_id": user, "k": 5})
                    phases[phase].append(time.perf_counter() - begin)
                    if response.status_code != 200:
                        failed.append(response.status_code)
                        continue
                    answer = response.json()
                    if [item["item_id"] for item in answer["items"]] != expected[answer["model_version"]][user]:
                        wrong.append(answer)
                    time.sleep(0.02)

        threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(2)]
        for thread in threads:
            thread.start()
        time.sleep(20)
        before, phase = memory_mb(server), "swapping"
        for swap in range(100):
            artifact.promote(model_dir, (second, first)[swap % 2])
            target = (second, first)[swap % 2]
            until = time.monotonic() + 30
            while server.client.get("/v1/model").json()["version"] != target:
                assert time.monotonic() < until
                time.sleep(0.05)
            time.sleep(0.3)
        after = memory_mb(server)
        stop.set()
        for thread in threads:
            thread.join()
    note("swaps under load", 100)
    note("requests meanwhile", len(phases["swapping"]))
    note("requests failed", len(failed))
    note("answers that mixed two models", len(wrong))
    note("p99 steady, ms", round(p99_ms(phases["steady"]), 1))
    note("p99 while swapping, ms", round(p99_ms(phases["swapping"]), 1))
    note("RSS before the swaps, MB", round(before))
    note("RSS after the swaps, MB", round(after))
    assert (wrong, failed) == ([], [])
    assert after < 1.1 * before


def test_ten_thousand_answers_hold_nothing_seen(model_dir, tmp_path, note):
    """Test 5, by four clients that also send events: what was acknowledged before is in no answer after."""
    leaks, asked = [], itertools.count()
    with serving(model_dir, tmp_path / "log", *PATIENT) as server:

        def live(user):
            draw, seen = random.Random(user), set()
            with httpx.Client(base_url=server.address, timeout=60) as client:
                for step in range(2_500):
                    if step % 400 == 399:
                        client.delete(f"/v1/users/{user}")
                        seen = set()
                    elif step % 25 == 0 and len(seen) < 38:
                        item = draw.randrange(40)
                        event = {"id": f"{user}-{step}", "user_id": user, "item_id": item}
                        assert client.post("/v1/events", json=event).json()["stored"] == 1
                        seen.add(item)
                    answer = client.post("/v1/recommend", json={"user_id": user, "k": 40, "filter_seen": True}).json()
                    found = {item["item_id"] for item in answer["items"]}
                    next(asked)
                    if found & seen or len(found) != 40 - len(seen):
                        leaks.append((user, step))

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(live, range(8_000, 8_004)))
    note("answers asked beside events", next(asked))
    note("seen items in them", len(leaks))
    assert leaks == []


@pytest.fixture(scope="module")
def large():
    """A catalogue of 5,000 items."""
    made = power_law(PowerLaw(n_interactions=60_000, n_users=2_000, n_items=5_000, seed=0))
    return fit("window", made, ranking={"shifts": 3, "trees": {"max_trees": 20, "depth": 3, "step": 10}})


def test_k_is_kept_whatever_is_allowed(large, note):
    """Test 2: 2,000 queries for each share of the catalogue."""
    draw, items = np.random.default_rng(0), np.array(large.known_items)
    users = large.users["user_id"].to_list()
    short = 0
    for share in (1, 0.5, 0.05, 0.005, 0.0005, 0):
        for _ in range(20):
            allowed = items[draw.random(len(items)) < share]
            k = int(draw.integers(1, 60))
            asked = draw.choice(users, 100, replace=False).tolist()
            answer = large.recommend(asked, k=k, include_items=allowed.tolist(), filter_seen=False, details=True)
            short += int((answer.details["returned"] != min(k, len(allowed))).sum())
            assert set(answer.table["item_id"]) <= set(allowed.tolist())
    note("queries under filters", 12_000)
    note("answers of another length than min(k, allowed)", short)
    assert short == 0


def test_served_scores_are_those_of_the_library(large, tmp_path, note):
    """Test 7: a thousand users with a hundred items each."""
    large.save(tmp_path / "model")
    model = load(tmp_path / "model")
    worst, orders = 0.0, 0
    with serving(tmp_path / "model", tmp_path / "log", *PATIENT) as server:
        for user in model.users["user_id"].to_list()[:1_000]:
            items = server.recommend(user_id=user, k=100)["items"]
            table = model.recommend(user, k=100)
            orders += [item["item_id"] for item in items] == table["item_id"].to_list()
            pairs = zip((item["score"] for item in items), table["score"].to_list(), strict=True)
            worst = max(worst, *(abs(a - b) for a, b in pairs if a is not None))
    note("served answers of 100 in the library's order", f"{orders} of 1,000")
    note("greatest difference of a score", worst)
    assert (orders, worst) == (1_000, 0.0)


def test_flipped_and_cut_files_are_refused(model_dir, tmp_path, note):
    """Test 15: at 64 places of every file."""
    version = artifact.versions(model_dir)[0]
    draw, tried, accepted = np.random.default_rng(0), 0, []
    for file in sorted(path for path in (model_dir / version).rglob("*") if path.is_file()):
        content = file.read_bytes()
        for place in draw.integers(0, len(content), 64).tolist() if content else []:
            flipped = content[:place] + bytes([content[place] ^ (1 << int(draw.integers(8)))]) + content[place + 1 :]
            for damaged in (flipped, content[:place]):
                file.write_bytes(damaged)
                tried += 1
                try:
                    load(model_dir)
                    accepted.append((file.name, place))
                except ArtifactError:
                    pass
        file.write_bytes(content)
    load(model_dir)
    note("damaged files tried", tried)
    note("damaged files accepted", len(accepted))
    assert accepted == []


def test_a_thousand_idle_and_slow_connections(saved, tmp_path, note):
    """Test 36: those who say nothing, or a byte now and then, hold up nobody."""
    head = b"POST /v1/recommend HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"

    def latencies(server):
        seconds = []
        for user in range(500):
            begin = time.perf_counter()
            assert server.recommend(user_id=user % 60)["returned"]
            seconds.append(time.perf_counter() - begin)
        return p99_ms(seconds)

    with serving(saved, tmp_path / "log", "--store", "none", "--at-once", "1024", *PATIENT) as server:
        alone, memory = latencies(server), memory_mb(server)
        idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(1_000)]
        for connection in idle[:100]:
            connection.sendall(head + b"Content-Length: 1000\r\n\r\n{")
        beside = latencies(server)
        grown = memory_mb(server) - memory
        for connection in idle:
            connection.close()
    note("p99 alone, ms", round(alone, 1))
    note("p99 beside 1,000 idle and slow connections, ms", round(beside, 1))
    note("memory they cost, MB", round(grown, 1))
    assert grown < 100


def test_rollback_is_one_quick_command(model, model_dir, note):
    """Test 22."""
    first = artifact.versions(model_dir)[0]
    artifact.promote(model_dir, save_beside(other(model), model_dir))
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-m", "shortlist", "models", "rollback", str(model_dir)], check=True)
    note("shortlist models rollback, s", round(time.perf_counter() - begin, 2))
    assert artifact.versions(model_dir)[0] == first


def test_scrapes_of_the_metrics(server, note):
    """Test 44: after some answers."""
    for user in range(1, 101):
        server.client.post("/v1/recommend", json={"user_id": user, "k": 5})
    taken = []
    for _ in range(200):
        begin = time.perf_counter()
        assert "shortlist_" in server.client.get("/metrics").text
        taken.append(1000 * (time.perf_counter() - begin))
    note("p99 of a scrape of the metrics, ms", round(float(np.quantile(taken, 0.99)), 1))


def test_everything_the_document_allows_five_hundred_times(note):
    """Test 35: no status above 499, no answer outside its schema."""
    root = Path(__file__).parents[2]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "tests/serving/test_openapi.py",
        "-k",
        "document",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(
        command, cwd=root, env=os.environ | {"SHORTLIST_CASES": "500"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
    note("made-up requests per operation and kind", 500)


SLOW = """
import sys, time
from shortlist.cascade import Cascade
from shortlist.serving import ladder
order, ladder.FAILURES = Cascade.order, 1_000_000  # no breaker: every request meets the slow ranker
def slow(*arguments):
    until = time.perf_counter() + 0.2
    while time.perf_counter() < until:
        WAIT
    return order(*arguments)
Cascade.order = slow
from shortlist.cli.main import main; sys.argv[0] = "shortlist"; main()
"""


SLEEPER = """
import time
while True:
    begin = time.perf_counter()
    time.sleep(0.05)
    print((time.perf_counter() - begin) * 1e3, flush=True)
"""


@pytest.mark.parametrize(("how", "wait"), [("waits", "time.sleep(0.2)"), ("computes", "pass")])
def test_a_deadline_is_kept(model_dir, tmp_path, note, how, wait):
    """Tests 23 and 27: a ranker that takes 200 ms, with a deadline of 50; measured by the server, head to last byte."""
    program = [sys.executable, "-c", SLOW.replace("WAIT", wait)]
    floor = subprocess.Popen([sys.executable, "-c", SLEEPER], stdout=subprocess.PIPE, text=True)
    with serving(model_dir, tmp_path / "log", "--store", "none", program=program) as server:
        answers = [server.post("/v1/recommend", {"user_id": n % 60}) for n in range(500)]
        took = [line["ms"] for line in server.lines() if line.get("route") == "/v1/recommend"]
    floor.kill()
    slept = [float(line) for line in floor.communicate()[0].splitlines()]
    refused = sum(answer.status_code == 503 for answer in answers)
    whole = sum(answer.status_code == 200 and not answer.json()["degraded"] for answer in answers)
    note(f"load of the machine, ranker that {how}", round(os.getloadavg()[0], 1))
    note(f"of 500 answers refused, and given whole after a ranker that {how}", f"{refused}, {whole}")
    for name, times in (
        (f"answer, ranker that {how} 200 ms", took),
        ("process that only sleeps 50 ms, meanwhile", slept),
    ):
        shares = [f"{np.percentile(times, share):.1f}" for share in (50, 99, 99.9)]
        note(f"p50, p99, p99.9 of an {name}, ms", ", ".join(shares))
    assert len(took) == 500
