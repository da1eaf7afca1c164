"""A web server with one file, which may break off."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Server(http.server.ThreadingHTTPServer):
    """Serves one body; announces ``announced`` bytes of it.

    Attributes:
        sends_at_most: after so many bytes of an answer the connection breaks off; ``None`` = never.
        knows_ranges: whether a part that is asked for is sent, instead of everything.
    """

    body = b""
    announced = 0
    status = 200
    n_requests = 0
    sends_at_most: int | None = None
    knows_ranges = False

    def handle_error(self, request: object, client_address: object) -> None:
        """The client went away."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/ml-100k.zip"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.n_requests += 1
        asked = self.headers.get("Range") if self.server.knows_ranges else None
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        self.send_response(206 if start else self.server.status)
        self.send_header("Content-Length", str(self.server.announced - start))
        self.end_headers()
        self.wfile.write(self.server.body[start:][: self.server.sends_at_most])

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(body: bytes) -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as running:
        running.body, running.announced = body, len(body)
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield running
        finally:
            running.shutdown()
            thread.join()
