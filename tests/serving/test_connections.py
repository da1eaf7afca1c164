"""Connections that say too much, too little, or nothing that is HTTP."""

import json
import socket
import sys

import pytest
from running_server import PATIENT, serving
from test_following import wait_until

from shortlist.serving.guard import SECURITY_HEADERS

IMPATIENT = """
import sys, shortlist.serving.connections as connections
connections.SLOW_S, connections.MOST_CONNECTIONS, connections.REST_BYTES = 0.5, 20, 2_000_000
from shortlist.cli.main import main; sys.argv[0] = "shortlist"; main()
"""
GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /v1/recommend HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def impatient(saved, tmp_path_factory):
    folder = tmp_path_factory.mktemp("impatient")
    program = [sys.executable, "-c", IMPATIENT]
    with serving(saved, folder / "log", "--store", "none", *PATIENT, program=program) as server:
        yield server


def connected(server):
    return socket.create_connection(("127.0.0.1", server.port), timeout=60)


def everything(connection):
    """What the server says until it closes the connection."""
    heard = b""
    try:
        while more := connection.recv(65_536):
            heard += more
    except ConnectionResetError:
        pass
    return heard


@pytest.mark.parametrize(
    "said", [b"", b"GET /livez HT", GET, GET + b"\r\n" + GET], ids=["nothing", "line", "head", "2nd"]
)
def test_who_does_not_finish_a_head_is_cut_off(impatient, said):
    with connected(impatient) as connection:
        connection.sendall(said)
        assert everything(connection).count(b"200 OK") == said.count(b"\r\n\r\n")


def test_who_does_not_finish_a_body_that_was_refused_is_cut_off(impatient):
    with connected(impatient) as connection:
        connection.sendall(POST + b"Content-Length: 2000000\r\n\r\n{")
        assert everything(connection).startswith(b"HTTP/1.1 413 ")


def test_who_does_not_read_is_cut_off(impatient):
    """Else the requests of somebody who never reads would count as being answered for ever."""
    with connected(impatient) as connection:
        connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 500)
        wait_until(lambda: answered(impatient, "/openapi.json") > 1 and "in_flight 1.0" in metrics(impatient))
        assert answered(impatient, "/openapi.json") < 500


def metrics(server):
    return server.client.get("/metrics").text


def answered(server, route):
    lines = [line for line in metrics(server).splitlines() if line.startswith("shortlist_requests_total")]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if f'"{route}"' in line)


def test_connections_are_counted(impatient):
    idle = [connected(impatient) for _ in range(60)]
    assert impatient.client.get("/livez").status_code == 200  # its connection was there before
    for connection in idle:
        connection.close()
    wait_until(lambda: connects(impatient))


def connects(server):
    with connected(server) as connection:
        connection.sendall(GET + b"\r\n")
        return b"200 OK" in everything(connection)


@pytest.mark.parametrize("kind", ["one long header", "many headers", "a long path", "trailers"])
def test_a_head_without_end_is_cut_off(impatient, kind):
    start, piece = {
        "one long header": (GET + b"X-A: ", b"x" * 10_000),
        "many headers": (GET, b"X-A: b\r\n" * 1_000),
        "a long path": (b"GET /", b"x" * 10_000),
        "trailers": (POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", b"X-A: b\r\n" * 1_000),
    }[kind]
    with connected(impatient) as connection:
        connection.sendall(start)
        sent = 0
        try:
            while sent < 100_000_000:
                sent += connection.send(piece)
        except OSError:
            pass
        assert sent < 20_000_000


@pytest.mark.parametrize(
    "said",
    [
        b"NONSENSE\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /v1/items/\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_what_is_no_http_gets_a_problem_too(server, said):
    with connected(server) as connection:
        connection.sendall(said)
        head, _, body = everything(connection).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    assert lines[0] == "HTTP/1.1 400 Bad Request"
    assert headers["content-type"] == "application/problem+json"
    assert headers["x-request-id"] == json.loads(body)["request_id"]
    assert {name.decode(): value.decode() for name, value in SECURITY_HEADERS}.items() <= headers.items()


def test_there_are_no_web_sockets(server):
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n"
    with connected(server) as connection:
        connection.sendall(GET + upgrade)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 OK")
