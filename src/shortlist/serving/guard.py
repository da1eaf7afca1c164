"""Stands before the application: who asks, how often, how many at once; and what every answer carries."""

import asyncio
import re
import time
import uuid
from typing import Any
from urllib.parse import unquote

from shortlist.serving.calls import Call
from shortlist.serving.keys import Bucket, Caller, Keys
from shortlist.serving.logs import log_error, log_line
from shortlist.serving.metrics import Metrics
from shortlist.serving.problems import ProblemError

Asgi = Any
SLASH = "\udc2f"
"""Stands for an encoded slash in a path: half of a surrogate pair, which no decoded path holds otherwise."""
REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
LOCAL_HOSTS = {b"localhost", b"127.0.0.1", b"[::1]", b""}
ELSEWHERE = {b"cross-site", b"same-site"}
"""What browsers say in Sec-Fetch-Site when a page of another site, or of another port of this machine, asks."""
OPEN = {"/", "/livez", "/readyz", "/openapi.json", "/docs", "/docs.js", "/docs.css"}
"""Paths that need no key: they tell nothing about anybody. Neither do the files below `OPEN_FILES`."""
OPEN_FILES = "/page/"
SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
]


class Guard:
    """An ASGI application around another.

    Args:
        app: gets ``scope["call"]``, a `Call`.
        keys: who may come in.
        local_only: answer only requests that name this machine, so that no page in a browser can reach the server
            under a name of its own.
        most_at_once: requests answered at the same time; more get 503.
    """

    def __init__(self, app: Asgi, keys: Keys, metrics: Metrics, *, local_only: bool, most_at_once: int) -> None:
        self._app, self._keys, self._metrics = app, keys, metrics
        self._local_only, self._most_at_once = local_only, most_at_once
        self._nobody = Caller("none", frozenset(), Bucket(0.0))
        self.n_at_once = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        call = Call(_request_id(headers), self._nobody, headers, receive)
        scope["call"] = call
        finish = [(b"x-request-id", call.id.encode()), *SECURITY_HEADERS]

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                call.status = message["status"]
                message["headers"] = [*message["headers"], *finish]
                if call.version:
                    message["headers"].append((b"x-model-version", call.version.encode()))
            await send(message)

        self.n_at_once += 1
        self._metrics.in_flight.set(self.n_at_once)
        try:
            if b"%" in scope.get("raw_path", b""):
                scope["path"] = path_of(scope["raw_path"])
            self._admit(scope, call)
            await self._app(scope, receive, sending)
        except ProblemError as problem:
            await answer_problem(problem, call, sending)
        except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a panic of a library is no Exception
            log_error("failed", error, request_id=call.id, route=call.route)
            if not call.status:
                await answer_problem(ProblemError("internal", "The log has more."), call, sending)
        finally:
            self.n_at_once -= 1
            self._metrics.in_flight.set(self.n_at_once)
            self._told(scope, call)

    def _admit(self, scope: Any, call: Call) -> None:
        """Refuse before anything of the request is read.

        Raises:
            ProblemError: too many at once, another host's name, another site's page, no valid key, or too many from
                this key.
        """
        host = call.headers.get(b"host", b"").lower()
        name = host if host.endswith(b"]") else host.rpartition(b":")[0] or host
        if self._local_only and name not in LOCAL_HOSTS:
            self._refuse("wrong-host", "Ask it as localhost; with API keys it answers on any name.")
        site = call.headers.get(b"sec-fetch-site", b"none")
        if self._local_only and site in ELSEWHERE and scope["method"] != "GET":
            self._refuse("wrong-host", "A page of another site may not do this.")
        path = scope["path"]
        if path in OPEN or path.startswith(OPEN_FILES):
            return
        if self.n_at_once > self._most_at_once:
            self._refuse("overloaded", f"{self._most_at_once} requests are being answered already.", 1)
        caller = self._keys.caller(call.headers.get(b"authorization"))
        if caller is None:
            self._refuse("unauthorized", "Send one as 'Authorization: Bearer KEY'.")
            return
        call.caller = caller
        wait_s = caller.bucket.take(time.monotonic())
        if wait_s:
            self._refuse("too-many-requests", "The rate of this key is used up.", max(1, round(wait_s + 0.5)))

    def _refuse(self, kind: str, detail: str, retry_after_s: int | None = None) -> None:
        self._metrics.refusals.labels(kind).inc()
        raise ProblemError(kind, detail, retry_after_s)

    def _told(self, scope: Any, call: Call) -> None:
        seconds = time.perf_counter() - call.began
        route = call.route or "none"
        self._metrics.requests.labels(route, str(call.status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        log_line(
            "request",
            request_id=call.id,
            method=scope["method"] if call.route else "",
            route=route,
            status=call.status,
            ms=round(seconds * 1e3, 2),
            key=call.caller.id,
            version=call.version,
            **call.log,
        )


async def answer_problem(problem: ProblemError, call: Call, send: Any) -> None:
    body = problem.body(call.id)
    headers = [*problem.headers(), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def path_of(raw_path: bytes) -> str:
    """A path in which an encoded slash is not one that parts: an id may hold it.

    Raises:
        ProblemError: it is not UTF-8.

    >>> path_of(b"/v1/items/a%2Fb%20c/similar") == f"/v1/items/a{SLASH}b c/similar"
    True
    """
    try:
        return unquote(re.sub("%2f", SLASH, raw_path.decode("latin-1"), flags=re.IGNORECASE), errors="strict")
    except UnicodeDecodeError as error:
        raise ProblemError("invalid-request", "The path is not UTF-8.") from error


def _request_id(headers: dict[bytes, bytes]) -> str:
    given = headers.get(b"x-request-id", b"")
    return given.decode() if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
