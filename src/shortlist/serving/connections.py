"""One connection: uvicorn's protocol, with the limits that it lacks."""

import asyncio
import uuid
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from shortlist.serving.guard import SECURITY_HEADERS
from shortlist.serving.problems import ProblemError

MOST_CONNECTIONS = 10_000
"""At a time; more are closed at once."""
HEAD_BYTES = 65_536
"""Of a request before its body. Not counted is the piece in which it begins (256 KB at most)."""
REST_BYTES = 4_000_000
"""Of a request after its head, other than its body: marks between chunks, and trailers."""
SLOW_S = 10.0
"""So long may take: a head, the rest of a request that was answered already, and the client's reading an answer."""


class Connection(HttpToolsProtocol):
    """A connection that is cut off where it says too much, or too little for too long.

    uvicorn waits for ever for a head, and for a client that does not read; and it keeps a head of any length.
    """

    _n_head = 0
    _n_rest = 0
    _in_head = True
    _head_began_here = False
    _listening: asyncio.TimerHandle | None = None
    _telling: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._listen()
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._heard()
        self._told()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._head_began_here = False
        super().data_received(data)
        if self.transport.is_closing():
            return
        if not self._in_head:
            self._n_rest += len(data)
            if self._n_rest > REST_BYTES:
                self.transport.abort()
        elif not self._head_began_here:
            self._n_head += len(data)
            if self._n_head > HEAD_BYTES:
                self.send_400_response("Its head is too long.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = self._head_began_here = True
        self._n_head = self._n_rest = 0
        self._listen()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # else a trailer, behind the body
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        self._n_rest -= len(body)
        super().on_body(body)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._heard()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._heard()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete and self.cycle.more_body:
            self._listen()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._telling = self.loop.call_later(SLOW_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._told()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP gets a problem too."""
        request_id = uuid.uuid4().hex
        problem = ProblemError("invalid-request", f"This is no request of HTTP/1.1 that the server takes. {msg}")
        body = problem.body(request_id)
        headers = [
            *problem.headers(),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
            (b"x-request-id", request_id.encode()),
            *SECURITY_HEADERS,
        ]
        lines = [b"%s: %s\r\n" % header for header in headers]
        self.transport.write(b"".join([STATUS_LINE[problem.status], *lines, b"\r\n", body]))
        self.transport.close()

    def _listen(self) -> None:
        if self._listening is None:
            self._listening = self.loop.call_later(SLOW_S, self.transport.abort)

    def _heard(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            self._listening = None

    def _told(self) -> None:
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
