"""How fast `shortlist serve` answers, beside its floors: python benchmarks/serving.py --million FOLDER [--work FOLDER]

Two models are served in turn, each by a process of its own with one thread of BLAS, and asked for random known users,
k = 20: the preset `fast` on MovieLens 1M, and a model of 100,000 invented items. Measured (CPU is the server's own):

- seconds from start to ready, and resident memory, beside a process that only imports what the server needs;
- `GET /livez`, which does nothing, and `POST /v1/recommend`, closed loop: 8 connections that ask again when answered
  (by wrk, Debian's package of that name), beside bare uvicorn and both stages without HTTP;
- `POST /v1/recommend`, open loop: requests sent at moments drawn beforehand (exponential gaps), latencies counted from
  those moments, so that a server that falls behind is not let off;
- `POST /v1/events`: a hundred at once from 8 connections and one by one from 64, beside the disk and SQLite alone.

With --work the trained models are kept there and used again. The last line is JSON.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402

from shortlist.saving import load  # noqa: E402

HERE = Path(__file__).parent
TICK = os.sysconf("SC_CLK_TCK")
K = 20
SHORTLIST = [sys.executable, "-m", "shortlist"]
Figures = dict[str, Any]
BARE = """
import os, uvicorn
async def app(scope, receive, send):
    if scope["type"] == "http":
        headers = [(b"content-type", b"application/json"), (b"content-length", b"15")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"status":"ok"}'})
uvicorn.run(app, port=int(os.environ["PORT"]), access_log=False, log_level="warning")
"""
IMPORTS = """
import litestar, msgspec, numpy, polars, prometheus_client, scipy.sparse, sqlalchemy, time, uvicorn
print("ready", flush=True)
time.sleep(60)
"""
ROW = "{:<44} {:>9} {:>12} {:>9} {:>9} {:>9}  {}"


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def memory_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0]) / 1024


class Server:
    """`shortlist serve` on a model, with a store of its own."""

    def __init__(self, model: Path, folder: Path, *options: str) -> None:
        log, begin = folder / "log", time.perf_counter()
        command = [*SHORTLIST, "serve", str(model), "--port", "0", "--store", f"sqlite:///{folder / 'events.db'}"]
        with log.open("wb") as out:
            self.process = subprocess.Popen([*command, *options], stderr=out)
        self.pid = self.process.pid
        while True:
            if self.process.poll() is not None:
                raise SystemExit(log.read_text())
            found = [line for line in log.read_bytes().splitlines() if b'"listening"' in line and line.endswith(b"}")]
            if found:
                break
            time.sleep(0.005)
        self.ready = {
            "seconds": time.perf_counter() - begin,
            "cpu_s": cpu_seconds(self.pid),
            "rss_mb": memory_mb(self.pid),
        }
        self.port = json.loads(found[-1])["port"]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def wrk(port: int, pid: int, mode: str, connections: int, seconds: float, users: tuple[int, int] = (1, 1)) -> Figures:
    """A closed loop; users are the greatest and the least id."""
    cpu = cpu_seconds(pid)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "-s", str(HERE / "serving.lua")]
    span = [str(users[0] - users[1] + 1), str(users[1])]
    done = subprocess.run(
        [*command, f"http://localhost:{port}", "--", mode, *span], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return told(found, cpu_seconds(pid) - cpu)


def told(found: Figures, cpu: float) -> Figures:
    n = found["requests"]
    return found | {"per_s": n / found["seconds"], "cpu_us": cpu / max(n, 1) * 1e6}


class Connection:
    """One connection that stays open."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.degraded = self.failed = 0

    async def open(self) -> "Connection":
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    async def ask(self, user: int) -> None:
        body = b'{"user_id":%d,"k":%d}' % (user, K)
        head = b"POST /v1/recommend HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d"
        self.writer.write(head % len(body) + b"\r\n\r\n" + body)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        answer = await self.reader.readexactly(length)
        self.failed += b" 200 " not in head[:16]
        self.degraded += b'"degraded":["' in answer


async def open_loop(port: int, pid: int, users: tuple[int, int], rate: float, seconds: float) -> Figures:
    draw = random.Random(0)
    moments, moment = [], 0.0
    while (moment := moment + draw.expovariate(rate)) < seconds:
        moments.append(moment)
    free = asyncio.Queue[Connection]()
    connections = [await Connection(port).open() for _ in range(64)]
    for connection in connections:
        free.put_nowait(connection)
    latencies: list[float] = []
    begin, cpu = time.perf_counter(), cpu_seconds(pid)

    async def send(planned: float) -> None:
        connection = await free.get()
        await connection.ask(draw.randint(users[1], users[0]))
        latencies.append(time.perf_counter() - begin - planned)
        free.put_nowait(connection)

    tasks = []
    for planned in moments:
        await asyncio.sleep(max(0.0, begin + planned - time.perf_counter()))
        tasks.append(asyncio.create_task(send(planned)))
    await asyncio.gather(*tasks)
    p50, p99, p999 = (np.percentile(latencies, [50, 99, 99.9]) * 1e3).tolist()
    found = {"requests": len(latencies), "seconds": time.perf_counter() - begin, "p50_ms": p50, "p99_ms": p99}
    found |= {"p99.9_ms": p999, "failed": sum(one.failed for one in connections)}
    return told(found | {"degraded": sum(one.degraded for one in connections)}, cpu_seconds(pid) - cpu)


def bare_http(seconds: float) -> Figures:
    """The floor of HTTP here: uvicorn and an application that does nothing."""
    port = 18_431
    process = subprocess.Popen([sys.executable, "-c", BARE], env=os.environ | {"PORT": str(port)})
    try:
        time.sleep(2)
        return wrk(port, process.pid, "livez", 8, seconds)
    finally:
        process.terminate()
        process.wait()


def bare_start() -> Figures:
    """The floor of starting: a process that imports what a server needs."""
    begin = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", IMPORTS], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    found = {
        "seconds": time.perf_counter() - begin,
        "cpu_s": cpu_seconds(process.pid),
        "rss_mb": memory_mb(process.pid),
    }
    process.kill()
    process.wait()
    return found


def stages_alone(folder: Path, n: int) -> Figures:
    """The floor of an answer: both stages in this process, without tables, HTTP and threads. CPU microseconds."""
    model = load(folder)
    users = model.users["user_id"].sample(n + 20, with_replacement=True, seed=0).to_list()
    everything = np.ones(len(model.items), dtype=bool)
    for place, user in enumerate(users):
        if place == 20:
            begin = time.process_time()
        request = model.request([user])
        allowed = everything[None].copy()
        allowed[0, request.seen.item_rows] = False
        model.rank(request.queries, allowed, K)
    return {"cpu_us": (time.process_time() - begin) / n * 1e6}


def disk_alone(folder: Path, seconds: float) -> Figures:
    """The floor of events: how often this disk syncs, and rows written by the sqlite3 module, a hundred at once."""
    with (folder / "sync").open("wb") as file:
        begin = time.perf_counter()
        for _ in range(100):
            file.write(b"x" * 4096)
            file.flush()
            os.fdatasync(file.fileno())
        sync_ms = (time.perf_counter() - begin) * 10
    connection = sqlite3.connect(folder / "floor.db", isolation_level=None)
    for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL"):
        connection.execute(statement)
    connection.execute("CREATE TABLE e (seq INTEGER PRIMARY KEY, id TEXT UNIQUE, u TEXT, i TEXT, t INT)")
    connection.execute("CREATE INDEX by_user ON e (u)")
    begin, n = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds:
        rows = [(f"{random.getrandbits(128):032x}", str(n % 5000), str(n % 999), n) for _ in range(100)]
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO e (id, u, i, t) VALUES (?, ?, ?, ?)", rows)
        connection.execute("COMMIT")
        n += 100
    connection.close()
    return {"fdatasync_ms": sync_ms, "sqlite3_per_s": n / (time.perf_counter() - begin)}


def trained(work: Path, million: Path) -> dict[str, Path]:
    """Both models, trained where they are not there yet."""

    def shortlist(*words: str) -> None:
        print(f"shortlist {' '.join(words[:3])} …", flush=True)
        subprocess.run([*SHORTLIST, *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    films, large = work / "ml-1m", work / "items-100k"
    if not films.exists():
        shortlist("train", "ml-1m", "--from", str(million), "--config", "fast", "--target", "next", "--out", str(films))
    if not large.exists():
        log = work / "log"
        sizes = ["--interactions", "1000000", "--users", "20000", "--items", "100000"]
        shortlist("data", "synthesize", "--out", str(log), *sizes)
        made = [str(log / name) for name in ("interactions.parquet", "items.parquet", "users.parquet")]
        options = ["--items", made[1], "--users", made[2], "--config", "fast", "--out", str(large)]
        shortlist("train", made[0], *options)
        shutil.rmtree(log)
    return {"MovieLens 1M": films, "100,000 items": large}


def say(what: str, figures: Figures, floor: str = "") -> None:
    shown = [f"{figures[name]:.{digits}f}" for name, digits in SHOWN.items()]
    bad = " ".join(f"{name} {figures[name]}" for name in ("degraded", "failed") if figures.get(name))
    print(ROW.format(what, *shown, f"{floor} {bad}".strip()), flush=True)


SHOWN = {"per_s": 0, "cpu_us": 0, "p50_ms": 1, "p99_ms": 1, "p99.9_ms": 1}


def measure(name: str, model: Path, rate: float, seconds: float, http_us: float) -> Figures:
    """One model: start, no-op, closed and open loop; of the first one events as well."""
    stages = stages_alone(model, 300)
    found: Figures = {"stages alone": stages}
    users = load(model).users["user_id"]
    span = int(users.max()), int(users.min())  # type: ignore[arg-type]
    floor_us = stages["cpu_us"] + http_us
    with tempfile.TemporaryDirectory() as folder:
        server = Server(model, Path(folder), "--rate", "0")
        try:
            found["start"] = server.ready
            print(f"{name}: {' '.join(f'{key} {value:.2f}' for key, value in server.ready.items())}")
            found["no-op"] = wrk(server.port, server.pid, "livez", 8, seconds / 2)
            say(f"{name}: GET /livez, closed", found["no-op"], f"{found['no-op']['cpu_us'] / http_us:.1f} × floor")
            wrk(server.port, server.pid, "recommend", 8, 2, span)
            closed = found["closed"] = wrk(server.port, server.pid, "recommend", 8, seconds, span)
            say(f"{name}: recommend, closed", closed, f"{closed['cpu_us'] / floor_us:.1f} × floor {floor_us:.0f} µs")
            opened = found["open"] = asyncio.run(open_loop(server.port, server.pid, span, rate, seconds))
            say(f"{name}: recommend, open, {rate:.0f}/s", opened)
            found["rss_after_mb"] = memory_mb(server.pid)
            for mode, connections, size in (("events", 8, 100), ("event", 64, 1)):
                label = f"{size} at once, {connections} connections"
                if name == "MovieLens 1M":
                    figures = wrk(server.port, server.pid, mode, connections, seconds, span)
                    found[f"events, {label}"] = figures | {"events_per_s": figures["per_s"] * size}
                    say(f"events, {label}", figures, f"{figures['per_s'] * size:,.0f} events/s")
        finally:
            server.stop()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--million", type=Path, help="the folder of MovieLens 1M, where its model is not in --work")
    parser.add_argument("--work", type=Path, help="where models are kept; left out: nowhere")
    parser.add_argument("--seconds", type=float, default=10)
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed: apt install wrk")
    with tempfile.TemporaryDirectory() as name:
        work = arguments.work or Path(name)
        work.mkdir(parents=True, exist_ok=True)
        models = trained(work, arguments.million)
        print(ROW.format("", "per s", "CPU µs each", "p50 ms", "p99 ms", "p99.9 ms", ""))
        results: Figures = {"bare uvicorn": bare_http(arguments.seconds / 2), "bare start": bare_start()}
        say("floor: bare uvicorn", results["bare uvicorn"])
        start = results["bare start"]
        print(f"floor: imports alone: {start['seconds']:.2f} s, {start['cpu_s']:.2f} CPU s, {start['rss_mb']:.0f} MB")
        http_us = results["bare uvicorn"]["cpu_us"]
        results["disk"] = disk_alone(Path(name), arguments.seconds / 2)
        print(
            f"floor: fdatasync {results['disk']['fdatasync_ms']:.1f} ms, sqlite3 alone, 100 at once, "
            f"{results['disk']['sqlite3_per_s']:,.0f} events/s"
        )
        for (label, model), rate in zip(models.items(), (100.0, 60.0), strict=True):
            results[label] = measure(label, model, rate, arguments.seconds, http_us)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
