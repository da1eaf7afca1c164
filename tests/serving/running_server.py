"""`shortlist serve` as a process of its own, and a client for it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

PATIENT = ("--deadline-ms", "20000")
"""Options of a server whose answers must not be cut short on a busy machine."""

PATIENCE_S = 300


class Server:
    """A server that is running.

    Attributes:
        client: an `httpx.Client` on its address.
        process: of the operating system.
    """

    def __init__(self, model: Path, log: Path, *options: str, program: list[str] | None = None) -> None:
        self.log = log
        self._out = log.open("ab")
        self._log_starts = log.stat().st_size
        command = program or [sys.executable, "-m", "shortlist"]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [*command, "serve", str(model), "--port", "0", *options],
            stdout=self._out,
            stderr=self._out,
            env=environment,
        )
        try:
            self.port = self._listening()["port"]
        except BaseException:
            self.process.kill()
            raise
        self.address = f"http://127.0.0.1:{self.port}"
        self.client = httpx.Client(base_url=self.address, timeout=PATIENCE_S)

    def _listening(self) -> dict[str, Any]:
        return self.wait_for("listening")

    def lines(self) -> list[dict[str, Any]]:
        """The log: every line of it is JSON."""
        text = self.log.read_bytes()[self._log_starts :].decode()
        return [json.loads(line) for line in text.splitlines() if line]

    def wait_for(self, event: str, **fields: Any) -> dict[str, Any]:
        """The latest line of the log with such fields, as soon as there is one."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise AssertionError(self.log.read_text())
            text = self.log.read_bytes()[self._log_starts :].decode()
            for line in reversed(text.splitlines()):
                found = json.loads(line) if line.startswith("{") and line.endswith("}") else {}
                if found.get("event") == event and fields.items() <= found.items():
                    return found
            time.sleep(0.02)
        raise AssertionError(f"no {event}: {text}")

    def post(self, path: str, body: Any, **options: Any) -> httpx.Response:
        return self.client.post(path, json=body, **options)

    def recommend(self, **body: Any) -> dict[str, Any]:
        response = self.post("/v1/recommend", body)
        assert response.status_code == 200, response.text
        return response.json()

    def tell(self, number: int) -> None:
        self.process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(PATIENCE_S)
        self._out.close()
        return code


@contextmanager
def serving(model: Path, log: Path, *options: str, **more: Any) -> Iterator[Server]:
    server = Server(model, log, *options, **more)
    try:
        yield server
    finally:
        server.stop()
