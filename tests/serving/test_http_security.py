"""Who may ask, and what hostile requests do: nothing."""

import json
import pickle
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
from running_server import PATIENT, serving

from shortlist.errors import ConfigError
from shortlist.serving.guard import SECURITY_HEADERS
from shortlist.serving.keys import Keys, StoredKey, add_key, read_keys, remove_key
from shortlist.serving.server import Settings, serve

JSON = {"Content-Type": "application/json"}
CANARY = "canary-4f1c"


@pytest.fixture(scope="module")
def locked(saved, tmp_path_factory):
    """A server that asks for keys, with one of each scope."""
    folder = tmp_path_factory.mktemp("locked")
    keys = {scope: add_key(folder / "keys.json", f"{CANARY}-{scope}", [scope]) for scope in ("read", "ingest", "admin")}
    options = ("--keys", str(folder / "keys.json"), "--store", f"sqlite:///{folder / 'events.db'}")
    with serving(saved, folder / "log", *options, "--host", "0.0.0.0", "--deadline-ms", "20000") as server:
        server.keys = keys
        yield server


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


OPERATIONS = [
    ("read", "POST", "/v1/recommend", {}),
    ("read", "POST", "/v1/rank", {"items": [1]}),
    ("read", "GET", "/v1/items", None),
    ("read", "GET", "/v1/users/1/history", None),
    ("read", "GET", "/v1/model", None),
    ("read", "GET", "/metrics", None),
    ("ingest", "POST", "/v1/events", {"id": "s1", "user_id": 1, "item_id": 1}),
    ("ingest", "PUT", "/v1/items/3", {"attributes": {}}),
    ("admin", "DELETE", "/v1/users/9", None),
    ("admin", "POST", "/v1/models/0123456789abcdef/promote", None),
]


@pytest.mark.parametrize(("scope", "method", "path", "body"), OPERATIONS)
def test_each_operation_asks_for_its_scope(locked, scope, method, path, body):
    nobody = locked.client.request(method, path, json=body)
    assert (nobody.status_code, nobody.headers["www-authenticate"]) == (401, "Bearer")
    for given, key in locked.keys.items():
        status = locked.client.request(method, path, json=body, headers=bearer(key)).status_code
        assert (status == 403) == (given not in (scope, "admin")), given
        assert status != 401


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/openapi.json", "/docs"])
def test_what_tells_nothing_needs_no_key(locked, path):
    assert locked.client.get(path).status_code == 200


def test_keys_that_are_none(locked):
    key = locked.keys["read"]
    forged = [
        key[:-1] + ("A" if key[-1] != "A" else "B"),
        key.upper(),
        "sl_000000000000_" + "x" * 43,
        key + "x",
        "ü",
    ]
    for value in [f"Bearer {one}" for one in forged] + [key, f"Basic {key}", "Bearer"]:
        response = locked.client.get("/v1/model", headers={"Authorization": value.encode()})
        assert response.status_code == 401, value
    assert locked.client.get("/v1/model", headers={"Authorization": f"bearer {key}"}).status_code == 200


def test_no_key_and_no_user_in_logs_metrics_and_errors(locked):
    """Test 38: what is secret is nowhere to be found."""
    secret = locked.keys["admin"]
    for headers in (bearer(secret), bearer(secret + "x")):
        locked.client.post("/v1/recommend", json={"user_id": CANARY}, headers=headers)
        locked.client.post("/v1/recommend", json={"where": f"{CANARY} ="}, headers=headers)
        locked.client.get(f"/v1/items/{CANARY}", headers=headers)
        locked.client.get(f"/v1/users/{CANARY}/history?{CANARY}=1", headers=headers)
    log = locked.log.read_text()
    metrics = locked.client.get("/metrics", headers=bearer(secret)).text
    for text in (log, metrics):
        assert CANARY not in text
        for key in locked.keys.values():
            assert key not in text
            assert key.split("_", 2)[2] not in text
    ids = {key.split("_")[1] for key in locked.keys.values()}
    assert ids & {line.get("key") for line in locked.lines()}  # whose key it was can be told


def test_the_file_of_keys_holds_hashes_only_and_is_its_owners(tmp_path):
    path = tmp_path / "keys.json"
    first, second = add_key(path, "a", ["read"]), add_key(path, "b", ["read", "ingest"])
    text = path.read_text()
    assert first.split("_", 2)[2] not in text
    assert path.stat().st_mode & 0o077 == 0
    stored = read_keys(path)
    assert stored[0].salt != stored[1].salt
    keys = Keys(stored)
    assert keys.caller(f"Bearer {second}".encode()).scopes == {"read", "ingest"}
    remove_key(path, stored[0].id)
    assert Keys(read_keys(path)).caller(f"Bearer {first}".encode()) is None
    with pytest.raises(ConfigError, match="has no key"):
        remove_key(path, stored[0].id)


def test_other_files_of_keys_are_refused(tmp_path):
    path = tmp_path / "keys.json"
    for text in ("", "{}", '{"keys": []}', '{"keys": [{"id": "x"}]}', '{"keys": [], "more": 1}'):
        path.write_text(text)
        with pytest.raises(ConfigError, match="keys add"):
            read_keys(path)


def test_the_commands_of_keys(tmp_path):
    def command(*words):
        done = subprocess.run([sys.executable, "-m", "shortlist", "keys", *words], capture_output=True, text=True)
        return done.returncode, done.stdout.strip(), done.stderr

    path = str(tmp_path / "keys.json")
    code, key, _ = command("add", path, "shop", "--scope", "read", "--scope", "ingest")
    assert (code, key.startswith("sl_")) == (0, True)
    key_id = key.split("_")[1]
    assert json.loads(command("list", path, "--json")[1]) == [
        {"id": key_id, "name": "shop", "scopes": ["read", "ingest"]}
    ]
    assert command("remove", path, key_id)[0] == 0
    code, _, text = command("list", path)
    assert (code, "Traceback" in text) == (1, False)


def test_keys_are_read_again_on_sighup(saved, tmp_path):
    path, log = tmp_path / "keys.json", tmp_path / "log"
    old, stays = add_key(path, "old", ["read"]), add_key(path, "stays", ["read"])
    with serving(saved, log, "--store", "none", "--keys", str(path)) as server:
        remove_key(path, old.split("_")[1])
        new = add_key(path, "new", ["read"])
        server.tell(signal.SIGHUP)
        server.wait_for("keys read")
        found = [server.client.get("/v1/model", headers=bearer(key)).status_code for key in (old, stays, new)]
        assert found == [401, 200, 200]
        path.write_text("{}")
        server.tell(signal.SIGHUP)
        server.wait_for("keys refused")
        assert server.client.get("/v1/model", headers=bearer(new)).status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::"])
def test_without_keys_only_this_machine_is_answered(saved, host):
    with pytest.raises(ConfigError, match="without API keys"):
        serve(Settings(saved, host=host))


def test_another_name_for_this_machine_is_refused(server):
    """A page in a browser could point a name of its own at 127.0.0.1."""
    for host, status in [("evil.example", 403), ("localhost.evil.example:80", 403), (f"localhost:{server.port}", 200)]:
        assert server.client.get("/livez", headers={"Host": host}).status_code == status, host
    with httpx.Client() as client:
        response = client.post(f"{server.address}/v1/recommend", content="{}", headers={"Content-Type": "text/plain"})
    assert response.status_code == 415  # a form of such a page cannot send JSON


@pytest.mark.parametrize(("site", "status"), [("cross-site", 403), ("same-site", 403), ("same-origin", 404)])
def test_another_sites_page_changes_nothing(server, site, status):
    """A browser sends a POST without a body for any page."""
    headers = {"Sec-Fetch-Site": site, "Content-Type": "text/plain"}
    assert server.client.post(f"/v1/models/{'0' * 16}/promote", headers=headers).status_code == status
    assert server.client.get("/v1/model", headers=headers).status_code == 200  # which no such page can read


@pytest.mark.parametrize(("method", "end"), [("GET", ""), ("PUT", ""), ("GET", "/similar")])
@pytest.mark.parametrize("place", ["%ff", "a%ed%b0%af", "%c3"])
def test_a_path_that_is_not_utf_8_names_nothing(server, method, end, place):
    response = server.client.request(method, f"/v1/items/{place}{end}", json={"attributes": {}})
    assert (response.status_code, response.json()["detail"]) == (400, "The path is not UTF-8.")


def test_every_answer_has_the_security_headers(server):
    for path in ("/livez", "/docs", "/v1/model", "/nothing"):
        headers = server.client.get(path).headers
        for name, value in SECURITY_HEADERS:
            assert headers[name.decode()] == value.decode()
        assert "server" not in headers


# Hostile bodies


def memory_mb(server):
    fields = Path(f"/proc/{server.process.pid}/status").read_text().split("VmRSS:")[1]
    return int(fields.split()[0]) / 1024


DEEP = "[" * 100_000
HOSTILE = {
    "10 MB": (b"x" * 10_000_000, 413),
    "10 MB of JSON": (b'{"user_id": "' + b"x" * 10_000_000 + b'"}', 413),
    "deep lists": (DEEP.encode(), 400),
    "deep objects": (('{"history":' * 50_000).encode(), 400),
    "deep in an attribute": (('{"attributes": {"a": ' + DEEP).encode(), 400),
    "not UTF-8": (b'{"user_id": "\xff\xfe"}', 400),
    "a lone surrogate": (rb'{"user_id": "\ud800"}', 400),
    "NaN": (b'{"at": NaN}', 400),
    "infinite": (b'{"history": [{"item_id": 1, "rating": 1e999}]}', 400),
    "a huge integer": (b'{"user_id": ' + b"9" * 5_000 + b"}", 400),
    "a null byte": (b'{"where": "year > 0\\u0000"}', 400),
    "a long list": (json.dumps({"exclude_items": [1] * 20_000}).encode(), 400),
    "empty": (b"", 400),
    "two documents": (b"{}{}", 400),
    "keys twice": (b'{"k": 1, "k": 2}', 200),
    "text as user": (b'{"user_id": "\'; DROP TABLE events; --"}', 200),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bodies(server, name):
    """Test 36."""
    body, status = HOSTILE[name]
    before = memory_mb(server)
    for path in ("/v1/recommend", "/v1/events") if status >= 400 else ("/v1/recommend",):
        for _ in range(3):
            try:
                response = server.client.post(path, content=body, headers=JSON)
            except (httpx.WriteError, httpx.ReadError):  # refused while it was still being sent
                assert status == 413
                continue
            assert response.status_code == status, response.text
    assert memory_mb(server) - before < 20
    assert server.recommend(user_id=1)["returned"] == 10


def raw(server, *parts):
    """What the server says to bytes sent as they are."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        for part in parts:
            connection.sendall(part)
        answer = b""
        while b"\r\n\r\n" not in answer and (more := connection.recv(65_536)):
            answer += more
        return answer


HEAD = b"POST /v1/recommend HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def test_a_body_without_a_length_is_counted(server):
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    parts = [HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *([chunk] * 15)]
    answer = raw(server, *parts, chunk)
    assert b" 413 " in answer.split(b"\r\n")[0]


@pytest.mark.parametrize(
    "head",
    [
        b"GET /livez\r\n\r\n",
        b"NONSENSE\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\n" + b"X-Much: " + b"y" * 200_000 + b"\r\n\r\n",
    ],
)
def test_broken_requests(server, head):
    try:
        answer = raw(server, head)
    except (ConnectionError, TimeoutError):
        answer = b"HTTP/1.1 400 "
    assert answer == b"" or answer.split(b" ")[1][:1] in (b"4", b"2"), answer[:100]
    assert server.recommend(user_id=1)["returned"] == 10


def test_idle_and_slow_connections_hold_up_nobody(server):
    """Test 36: two hundred sockets that say nothing, and some that say little."""
    idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(200)]
    for connection in idle[:50]:
        connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\n{")
    try:
        for user in range(20):
            assert server.recommend(user_id=user)["returned"]
    finally:
        for connection in idle:
            connection.close()


def test_no_path_from_a_request_reaches_the_file_system(server, model):
    for path in ("..%2fmodel", "..%2f..%2fetc%2fpasswd", "%2e%2e", "/etc/passwd", "CURRENT", "\\..\\x"):
        assert server.client.get(f"/v1/items/{path}").status_code in (404, 405)
        assert server.client.post(f"/v1/models/{path}/promote").status_code in (404, 405)
        assert server.client.get(f"/{path}").status_code == 404


def test_too_many_requests_of_a_key(saved, tmp_path):
    with serving(saved, tmp_path / "log", "--rate", "0.01", "--store", "none") as server:
        assert server.client.get("/v1/items").status_code == 200
        refused = [server.client.get("/v1/items") for _ in range(3)]
        assert {response.status_code for response in refused} == {429}
        assert all(int(response.headers["retry-after"]) >= 1 for response in refused)
        assert refused[0].json()["type"].endswith("too-many-requests")
        assert server.client.get("/livez").status_code == 200


def test_the_server_never_unpickles(model_dir, tmp_path):
    """Test 38: in a process where it would raise, everything works."""
    program = (
        "import pickle, _pickle, sys\n"
        "def refuse(*_, **__): raise SystemExit('unpickled')\n"
        "for module in (pickle, _pickle):\n"
        "    module.load = module.loads = module.Unpickler = refuse\n"
        "from shortlist.cli.main import main; sys.argv[0] = 'shortlist'; main()"
    )
    with serving(model_dir, tmp_path / "log", *PATIENT, program=[sys.executable, "-c", program]) as server:
        assert server.recommend(user_id=1)["returned"] == 10
        server.post("/v1/events", {"id": "1", "user_id": 1, "item_id": 1})
        server.client.put("/v1/items/77", json={"attributes": {"year": 1999}})
        assert (
            server.post(f"/v1/models/{server.client.get('/v1/model').json()['version']}/promote", None).status_code
            == 200
        )
        loaded = Path(f"/proc/{server.process.pid}/maps").read_text()
        assert "torch" not in loaded
    assert pickle.loads(pickle.dumps(1)) == 1


def test_concurrent_requests_beyond_the_limit_get_503(saved, tmp_path):
    with serving(saved, tmp_path / "log", "--at-once", "1", "--store", "none") as server:
        slow = socket.create_connection(("127.0.0.1", server.port))
        slow.sendall(HEAD + b"Content-Length: 1000\r\n\r\n{")
        done = threading.Event()
        statuses = set()
        while not done.is_set():
            status = server.client.get("/v1/model").status_code
            statuses.add(status)
            if status == 503:
                done.set()
        slow.close()
        assert server.client.get("/livez").status_code == 200
        server.wait_for("request", status=400)
        assert server.client.get("/v1/model").status_code == 200


def test_a_key_of_no_scope_may_nothing():
    stored = StoredKey("0" * 12, "n", [], "", "")
    assert not Keys([stored])._callers["0" * 12].may("read")
