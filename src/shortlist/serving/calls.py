"""One request, as far as the resources see it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from shortlist.serving.keys import Caller
from shortlist.serving.problems import ProblemError

MAX_BODY = 1_000_000
"""Bytes of a request's body."""
BODY_S = 10.0
"""A body that takes longer to arrive is given up."""
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


@dataclass
class Call:
    """One request.

    Attributes:
        id: the client's X-Request-Id, or a new one.
        caller: who sent it.
        headers: names in small letters.
        began: on the clock of `time.perf_counter`.
        route: the path as the routes have it; ``""`` = none of them.
        version: of the model that answered.
        log: fields for its line in the log.
    """

    id: str
    caller: Caller
    headers: dict[bytes, bytes]
    receive: Receive
    began: float = field(default_factory=time.perf_counter)
    route: str = ""
    version: str = ""
    status: int = 0
    log: dict[str, Any] = field(default_factory=dict)

    async def body(self) -> bytes:
        """The whole body.

        Raises:
            ProblemError: it is too large, is not JSON by its content type, or does not arrive in time.
        """
        kind = self.headers.get(b"content-type", b"").split(b";")[0].strip().lower()
        if kind != b"application/json":
            raise ProblemError("not-json", f"got {kind.decode('latin-1')[:100] or 'no content type'!r}")
        length = self.headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > MAX_BODY:
            raise ProblemError("too-large", f"{int(length):,} bytes; at most {MAX_BODY:,} are read")
        try:
            async with asyncio.timeout(BODY_S):
                return await self._read()
        except TimeoutError:
            raise ProblemError("body-timeout", f"The body did not arrive within {BODY_S:.0f} seconds.") from None

    async def _read(self) -> bytes:
        parts, n_bytes = [], 0
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ProblemError("invalid-request", "The connection ended before the body did.")
            part = message.get("body", b"")
            n_bytes += len(part)
            if n_bytes > MAX_BODY:
                raise ProblemError("too-large", f"more than {MAX_BODY:,} bytes")
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)
