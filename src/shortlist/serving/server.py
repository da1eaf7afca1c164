"""The process: uvicorn, signals, and following the promoted model."""

import asyncio
import contextlib
import gc
import ipaddress
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from shortlist.errors import ConfigError
from shortlist.serving.app import make_app
from shortlist.serving.connections import MOST_CONNECTIONS, Connection
from shortlist.serving.keys import Keys, read_keys
from shortlist.serving.live import Live
from shortlist.serving.logs import log_line, route_logging
from shortlist.serving.metrics import Metrics
from shortlist.serving.rules_file import RulesFile
from shortlist.serving.service import Service
from shortlist.serving.store.opening import open_store
from shortlist.serving.workers import Workers

STOP_S = 8
"""Requests that are being answered when the server stops have so long."""
OTHER_FILES = 1_000
"""That may be open besides the connections: those of the store and of models."""
SWITCH_S = 0.0005
"""How long a thread may hold the interpreter: at Python's 5 ms a worker would hold up the event loop."""


@dataclass(frozen=True)
class Settings:
    """How a server runs.

    Attributes:
        model: a directory with versions, or the folder of one version.
        store: the address of the store of events; ``None`` = the server has none.
        keys: a file of API keys; ``None`` = none are asked for, and only this machine is answered.
        deadline_ms: of each query.
        rate: requests per second of each key; 0 = no limit.
        most_at_once: requests being answered; more get 503.
        most_waiting: queries that wait for the worker; more get 503.
        poll_s: how often CURRENT is looked at.
        rules: a file of rules, followed when it changes; ``None`` = there are none.
        move_counts: events move the items' counts too: popularity as of now.
        drain_s: how long it goes on answering, no longer ready, after SIGTERM.
    """

    model: Path
    host: str = "127.0.0.1"
    port: int = 8000
    store: str | None = None
    keys: Path | None = None
    deadline_ms: float = 50.0
    rate: float = 0.0
    most_at_once: int = 256
    most_waiting: int = 64
    poll_s: float = 1.0
    drain_s: float = 0.0
    log_users: bool = False
    log_exposures: bool = False
    move_counts: bool = False
    rules: Path | None = None


def serve(settings: Settings) -> None:
    """Answer until told to stop.

    Raises:
        ConfigError: another address than this machine's own without keys, or the file of keys is none.
        ArtifactError: the model cannot be loaded, or must not answer.
        StoreError: the store cannot be opened, or holds ids of another kind.
        RulesError: the rules cannot be read, or the model cannot follow one.
    """
    keys = Keys(read_keys(settings.keys) if settings.keys else [], settings.rate)
    if settings.keys is None and not is_loopback(settings.host):
        raise ConfigError(
            f"--host {settings.host}: without API keys the server answers this machine only (127.0.0.1); make a key "
            "with `shortlist keys add FILE NAME` and start it with --keys FILE"
        )
    listener = bound(settings.host, settings.port)
    _allow_files(MOST_CONNECTIONS + OTHER_FILES)
    route_logging()
    sys.setswitchinterval(SWITCH_S)
    store = open_store(settings.store) if settings.store else None
    try:
        metrics = Metrics()
        rules = RulesFile(settings.rules, metrics)
        live = Live(settings.model, store, metrics, settings.move_counts)
        rules.start(live.bundle.model)
        live.rules = rules
        service = Service(
            live,
            store,
            Workers(settings.most_waiting, metrics),
            metrics,
            rules,
            settings.deadline_ms / 1e3,
            settings.log_users,
            settings.log_exposures,
        )
        _run(service, keys, settings, listener)
    finally:
        if store is not None:
            store.close()
    log_line("stopped")


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own.

    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "example.org")]
    [True, True, True, False, False]
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def bound(host: str, port: int) -> socket.socket:
    """A socket that has the address, and does not listen yet.

    Raises:
        ConfigError: the address cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise ConfigError(f"{host}, port {port} cannot be listened on: {error.strerror or error}") from error
    return listener


def _allow_files(n: int) -> None:
    """Raise the limit of open files, as far as the system lets us: connections that idle must not use it up."""
    try:
        import resource
    except ImportError:  # Windows, which has none
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = n if hard == resource.RLIM_INFINITY else min(n, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class _Server(uvicorn.Server):
    """uvicorn, which goes on answering for a while, no longer ready, before it stops."""

    def __init__(self, config: uvicorn.Config, service: Service, drain_s: float) -> None:
        super().__init__(config)
        self._service, self._drain_s = service, drain_s

    def handle_exit(self, sig: int, frame: Any) -> None:
        if not self._service.draining and self._drain_s:
            self._service.draining = True
            log_line("draining", seconds=self._drain_s)
            asyncio.get_running_loop().call_later(self._drain_s, super().handle_exit, sig, frame)
            return
        self._service.draining = True
        super().handle_exit(sig, frame)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn's own raises the signal again when it is done, which would end the process before the store's end."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        for server in self.servers:
            for listener in server.sockets:
                host, port = listener.getsockname()[:2]
                page = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
                log_line("listening", host=host, port=port, page=page, version=self._service.bundle.version)


def _run(service: Service, keys: Keys, settings: Settings, listener: socket.socket) -> None:
    tasks: set[asyncio.Task[None]] = set()

    def look_again() -> None:
        asyncio.get_running_loop().run_in_executor(None, service.follow, True)
        if settings.keys is not None:
            try:
                keys.know(read_keys(settings.keys))
                log_line("keys read")
            except ConfigError as error:
                log_line("keys refused", reason=str(error))

    def start_following() -> None:
        loop = asyncio.get_running_loop()
        tasks.add(loop.create_task(_follow(service, settings.poll_s)))
        if hasattr(signal, "SIGHUP"):
            with contextlib.suppress(ValueError, RuntimeError):  # not in the main thread
                loop.add_signal_handler(signal.SIGHUP, look_again)
        gc.collect()
        gc.freeze()  # the model stays: the collector need not walk it again and again

    app = make_app(
        service,
        keys,
        local_only=settings.keys is None,
        most_at_once=settings.most_at_once,
        on_startup=[start_following],
    )
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=STOP_S,
        timeout_keep_alive=30,
        backlog=1024,
    )
    _Server(config, service, settings.drain_s).run([listener])


async def _follow(service: Service, poll_s: float) -> None:
    while True:
        await asyncio.sleep(poll_s)
        changed = service.live.promoted() != service.bundle.version or service.rules.changed()
        if changed or service.live.refused:
            await asyncio.to_thread(service.follow)
        await asyncio.to_thread(service.recount)
