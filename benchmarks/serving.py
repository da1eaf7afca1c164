"""How fast `shortlist serve` answers: python benchmarks/serving.py MODEL_DIR [--seconds 10] [--rate 100]

A server is started on the model with one process and one thread of BLAS. Measured, with random known users, k = 20:

- the no-op route (`GET /livez`) and `POST /v1/recommend`, closed loop: 8 connections that each ask again when answered;
- `POST /v1/recommend`, open loop: requests sent at moments drawn beforehand (exponential gaps), latencies counted from
  those moments, so that a server that falls behind is not let off;
- the floor: the same answers from `model.recommend` in this process, without HTTP;
- seconds from start to ready, and resident memory.

CPU is the server's own, from /proc. The last line is JSON.
"""

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402

from shortlist.saving import load  # noqa: E402

CONNECTIONS = 8
TICK = os.sysconf("SC_CLK_TCK")


class Connection:
    """One connection that stays open."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.degraded = self.failed = 0

    async def open(self) -> "Connection":
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    async def ask(self, request: bytes) -> None:
        self.writer.write(request)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        body = await self.reader.readexactly(length)
        self.failed += b" 200 " not in head[:16]
        self.degraded += b'"degraded":["' in body


def livez(_: int) -> bytes:
    return b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


def recommend(users: list[Any]) -> Callable[[int], bytes]:
    def made(n: int) -> bytes:
        body = json.dumps({"user_id": users[n * 37 % len(users)], "k": 20}).encode()
        head = "POST /v1/recommend HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    return made


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


async def closed(port: int, pid: int, request: Callable[[int], bytes], seconds: float) -> dict[str, float]:
    connections = [await Connection(port).open() for _ in range(CONNECTIONS)]
    latencies: list[float] = []

    async def run(connection: Connection, place: int) -> None:
        while time.perf_counter() < until:
            begin = time.perf_counter()
            await connection.ask(request(place + CONNECTIONS * len(latencies)))
            latencies.append(time.perf_counter() - begin)

    begin, cpu = time.perf_counter(), cpu_seconds(pid)
    until = begin + seconds
    await asyncio.gather(*(run(connection, place) for place, connection in enumerate(connections)))
    return told(latencies, connections, time.perf_counter() - begin, cpu_seconds(pid) - cpu)


async def opened(port: int, pid: int, request: Callable[[int], bytes], seconds: float, rate: float) -> dict[str, float]:
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

    async def send(place: int, planned: float) -> None:
        connection = await free.get()
        await connection.ask(request(place))
        latencies.append(time.perf_counter() - begin - planned)
        free.put_nowait(connection)

    tasks = []
    for place, planned in enumerate(moments):
        await asyncio.sleep(max(0.0, begin + planned - time.perf_counter()))
        tasks.append(asyncio.create_task(send(place, planned)))
    await asyncio.gather(*tasks)
    return told(latencies, connections, time.perf_counter() - begin, cpu_seconds(pid) - cpu)


def told(latencies: list[float], connections: list[Connection], seconds: float, cpu: float) -> dict[str, float]:
    p50, p99, p999 = np.percentile(latencies, [50, 99, 99.9]) * 1e3
    n = len(latencies)
    return {
        "requests": n,
        "per_s": n / seconds,
        "cpu_ms": cpu / n * 1e3,
        "per_cpu_s": n / cpu if cpu else 0.0,
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "p99.9_ms": float(p999),
        "degraded": sum(connection.degraded for connection in connections),
        "failed": sum(connection.failed for connection in connections),
    }


def floor_ms(folder: Path, users: list[Any], n: int = 300) -> float:
    """CPU ms of one answer in this process."""
    model = load(folder)
    for user in users[:50]:
        model.recommend(user, k=20)
    begin = time.process_time()
    for place in range(n):
        model.recommend(users[place * 37 % len(users)], k=20)
    return (time.process_time() - begin) / n * 1e3


def say(label: str, figures: dict[str, float]) -> None:
    print(
        f"{label:<20} {figures['per_s']:6.0f}/s  {figures['cpu_ms']:.2f} ms CPU, {figures['per_cpu_s']:.0f} per CPU s  "
        f"p50 {figures['p50_ms']:6.1f}  p99 {figures['p99_ms']:6.1f} ms  "
        f"degraded {figures['degraded']:.0f}  failed {figures['failed']:.0f}",
        flush=True,
    )


def started(model: Path, folder: Path, options: list[str]) -> tuple[subprocess.Popen[bytes], int, float]:
    log = folder / "log"
    begin = time.perf_counter()
    command = [sys.executable, "-m", "shortlist", "serve", str(model), "--port", "0"]
    with log.open("wb") as out:
        process = subprocess.Popen([*command, "--store", f"sqlite:///{folder / 'events.db'}", *options], stderr=out)
    while True:
        for line in log.read_bytes().splitlines():
            if b'"listening"' in line:
                return process, json.loads(line)["port"], time.perf_counter() - begin
        if process.poll() is not None:
            raise SystemExit(log.read_text())
        time.sleep(0.01)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rate", type=float, default=100, help="of the open loop, requests per second")
    parser.add_argument("--deadline-ms", default="50")
    arguments = parser.parse_args()
    users = load(arguments.model).users["user_id"].to_list()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        process, port, ready_s = started(arguments.model, Path(name), ["--deadline-ms", arguments.deadline_ms])
        try:
            rss = int(Path(f"/proc/{process.pid}/status").read_text().partition("VmRSS:")[2].split()[0]) / 1024
            results |= {"ready_s": ready_s, "ready_cpu_s": cpu_seconds(process.pid), "rss_mb": rss}
            print(f"ready after {ready_s:.1f} s ({results['ready_cpu_s']:.1f} s CPU), {rss:.0f} MB", flush=True)
            ask = recommend(users)
            runs: dict[str, Callable[[], Awaitable[dict[str, float]]]] = {
                "no-op, closed": lambda: closed(port, process.pid, livez, arguments.seconds / 2),
                "warm-up": lambda: closed(port, process.pid, ask, 2),
                "recommend, closed": lambda: closed(port, process.pid, ask, arguments.seconds),
                f"recommend, {arguments.rate:.0f}/s": lambda: opened(
                    port, process.pid, ask, arguments.seconds, arguments.rate
                ),
            }
            for label, run in runs.items():
                results[label] = asyncio.run(run())  # type: ignore[arg-type]
                say(label, results[label])
        finally:
            process.terminate()
            process.wait()
    results["floor_cpu_ms"] = floor_ms(arguments.model, users)
    print(f"floor: model.recommend, {results['floor_cpu_ms']:.2f} ms CPU")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
