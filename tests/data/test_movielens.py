"""MovieLens without MovieLens: invented films in the true layouts, a local server, a wheel made here."""

import hashlib
import http.server
import importlib.util
import socket
import ssl
import threading
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from shortlist.data import download as downloading
from shortlist.data import movielens as module
from shortlist.data.dataset import Dataset
from shortlist.data.download import Pin
from shortlist.data.movielens import by_title, cache_folder, fetch, movielens
from shortlist.errors import DataError, DownloadError

RATINGS = [(7, 2, 3, 900000300), (5, 1, 4, 900000100), (7, 3, 5, 900000200), (5, 4, 1, 900000400), (6, 5, 2, 900000050)]
GENRES = [
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
]
# id, title, release date, genres; 2 and 5 are the same film, 4 has no year, 6 is rated by nobody
FILMS = [
    (1, "Der Käfer (1994)", "01-Jan-1995", ["Drama", "War"]),
    (2, "Fog, The (1990)", "4-Feb-1991", ["Horror"]),
    (3, "Ducks III: The Pond (1993) (V)", "01-Jan-1993", ["Children's", "Comedy"]),
    (4, "unknown", "", ["unknown"]),
    (5, "Fog, The (1990)", "05-Feb-1991", ["Horror", "Sci-Fi"]),
    (6, "1900 Ways (1971) ", "31-Dec-1972", ["Western"]),
]
USERS = [(5, 31, "F", "welder", "00123"), (6, 9, "M", "none", "V3N4P"), (7, 60, "M", "pilot", "55105")]
RATINGS_TEXT = "".join("\t".join(map(str, row)) + "\n" for row in RATINGS)


def files_100k() -> dict[str, bytes]:
    flags = ["|".join(str(int(genre in film[3])) for genre in GENRES) for film in FILMS]
    films = [
        f"{film[0]}|{film[1]}|{film[2]}||http://x/{film[0]}|{row}\n" for film, row in zip(FILMS, flags, strict=True)
    ]
    return {
        "u.data": RATINGS_TEXT.encode(),
        "u.item": "".join(films).encode("latin-1"),
        "u.user": "".join("|".join(map(str, row)) + "\n" for row in USERS).encode(),
        "u.genre": ("".join(f"{genre}|{n}\n" for n, genre in enumerate(GENRES)) + "\n").encode(),
        "u.info": b"3 users\n6 items\n5 ratings\n",
        "README": b"Invented.\n",
    }


def files_1m() -> dict[str, bytes]:
    return {
        "ratings.dat": "".join("::".join(map(str, row)) + "\n" for row in RATINGS).encode(),
        "movies.dat": "".join(f"{f[0]}::{f[1]}::{'|'.join(f[3])}\n" for f in FILMS).encode("latin-1"),
        "users.dat": b"5::F::1::10::00123\n6::M::56::0::V3N4P\n7::M::25::20::55105\n",
    }


def files_recbole() -> dict[str, bytes]:
    """As the packer made them: the last "(…)" cut off the title, and a placeholder where there was none."""
    films = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
    for item_id, title, _, genres in FILMS:
        name, _, year = title.strip().removesuffix(")").rpartition(" (")
        film = (name, year) if name else ("unkonwn", "unkonwn")
        films += "\t".join((str(item_id), *film, " ".join(genres))) + "\n"
    users = "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n"
    return {
        "ml-100k.inter": ("user_id:token\titem_id:token\trating:float\ttimestamp:float\n" + RATINGS_TEXT).encode(),
        "ml-100k.item": films.encode(),
        "ml-100k.user": (users + "".join("\t".join(map(str, row)) + "\n" for row in USERS)).encode(),
        "ml-100k.kg": b"not wanted\n",
    }


def write_folder(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def write_zip(file: Path, files: dict[str, bytes], inside: str = "ml-100k/") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(inside + name, content)
    return file


def write_wheel(folder: Path) -> Path:
    inside, info = "recbole/dataset_example/ml-100k/", "recbole-1.2.1.dist-info/"
    members = {inside + name: content for name, content in files_recbole().items()}
    members[info + "METADATA"] = b"Metadata-Version: 2.1\nName: recbole\nVersion: 1.2.1\n"
    members[info + "WHEEL"] = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    members[info + "RECORD"] = "".join(f"{name},,\n" for name in [*members, info + "RECORD"]).encode()
    return write_zip(folder / "recbole-1.2.1-py3-none-any.whl", members, "")


def pin_of(file: Path, source: str) -> Pin:
    return Pin(source, file.stat().st_size, hashlib.sha256(file.read_bytes()).hexdigest())


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SHORTLIST_CACHE", str(tmp_path / "cache"))
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    return tmp_path / "cache"


@pytest.fixture
def pinned(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Replace the pins of an edition."""

    def replace_pins(edition: str = "100k", *, archive: Pin | None = None, wheel: Pin | None = None) -> None:
        known = module.EDITIONS[edition]
        if archive is not None:
            known = replace(known, archive=replace(known.archive, pin=archive))
        if wheel is not None and known.wheel is not None:
            known = replace(known, wheel=replace(known.wheel, pin=wheel))
        monkeypatch.setitem(module.EDITIONS, edition, known)

    return replace_pins


@pytest.fixture
def nowhere() -> Pin:
    """A pin on a port where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return Pin(f"http://127.0.0.1:{port}/ml-100k.zip", 10, "0" * 64)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's pip configuration: no network, only a folder with the wheel."""
    if importlib.util.find_spec("pip") is None:
        pytest.skip("this Python has no pip, so that nothing can be fetched with it")
    wheel = write_wheel(tmp_path / "wheels")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "none.conf"))
    return wheel


class Server(http.server.ThreadingHTTPServer):
    """Serves one body; announces ``announced`` bytes of it."""

    body = b""
    announced = 0
    status = 200
    n_requests = 0

    def handle_error(self, request: object, client_address: object) -> None:
        """The client went away."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/ml-100k.zip"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.n_requests += 1
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(self.server.announced))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as running:
        running.body = write_zip(tmp_path / "served" / "ml-100k.zip", files_100k()).read_bytes()
        running.announced = len(running.body)
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def official(server: Server) -> Pin:
    return Pin(server.url, len(server.body), hashlib.sha256(server.body).hexdigest())


def is_empty(folder: Path) -> bool:
    return not folder.exists() or not list(folder.iterdir())


def test_original_layout_of_100k(tmp_path: Path) -> None:
    dataset = movielens("100k", write_folder(tmp_path / "data", files_100k()))
    kinds = {"user_id": pl.Int64, "item_id": pl.Int64, "rating": pl.Float64, "timestamp": pl.Int64}
    assert {name: dataset.interactions.schema[name] for name in kinds} == kinds
    assert dataset.interactions.select(*kinds).rows() == RATINGS
    assert dataset.items.rows() == [
        (1, "Der Käfer (1994)", 1994, ["Drama", "War"], date(1995, 1, 1)),
        (2, "Fog, The (1990)", 1990, ["Horror"], date(1991, 2, 4)),
        (3, "Ducks III: The Pond (1993) (V)", 1993, ["Children's", "Comedy"], date(1993, 1, 1)),
        (4, "unknown", None, ["unknown"], None),
        (5, "Fog, The (1990)", 1990, ["Horror", "Sci-Fi"], date(1991, 2, 5)),
        (6, "1900 Ways (1971)", 1971, ["Western"], date(1972, 12, 31)),
    ]
    assert dataset.items.schema["year"] == pl.Int32
    assert dataset.users.rows() == USERS
    assert dataset.users.columns == ["user_id", "age", "gender", "occupation", "zip_code"]
    assert dataset.name == "ml-100k"
    assert dataset.notes == ("5 ratings; as published ml-100k has 100,000",)


def test_year_from_the_release_date_where_the_title_has_none(tmp_path: Path) -> None:
    files = files_100k()
    files["u.item"] = files["u.item"].replace(b"Fog, The (1990)|4-Feb-1991", b"Fog, The|4-Feb-1991")
    assert movielens("100k", write_folder(tmp_path / "data", files)).items["year"][1] == 1991


def test_genres_follow_the_genre_file(tmp_path: Path) -> None:
    files = files_100k()
    files["u.genre"] = files["u.genre"].replace(b"Western", b"Ducks")
    folder = write_folder(tmp_path / "data", files)
    assert movielens("100k", folder).items["genres"][5].to_list() == ["Ducks"]
    (folder / "u.genre").unlink()
    assert movielens("100k", folder).items["genres"][5].to_list() == ["Western"]


def test_original_layout_of_1m(tmp_path: Path) -> None:
    dataset = movielens("ml-1m", write_folder(tmp_path / "data", files_1m()))
    assert dataset.interactions.select("user_id", "item_id", "rating", "timestamp").rows() == RATINGS
    assert dataset.items.columns == ["item_id", "title", "year", "genres"]
    assert dataset.items.row(0) == (1, "Der Käfer (1994)", 1994, ["Drama", "War"])
    assert dataset.users.rows() == [
        (5, 1, "F", "K-12 student", "00123"),
        (6, 56, "M", "other", "V3N4P"),
        (7, 25, "M", "writer", "55105"),
    ]


def test_recbole_layout_gives_the_same_but_for_the_dates(tmp_path: Path) -> None:
    original = movielens("100k", write_folder(tmp_path / "original", files_100k()))
    packed = movielens("100k", write_folder(tmp_path / "packed", files_recbole()))
    assert packed.interactions.equals(original.interactions)
    assert packed.users.equals(original.users)
    assert packed.items.equals(original.items.drop("release_date"))
    assert any("release_date" in note for note in packed.notes)
    assert any("items 3, 4: broken" in note for note in packed.notes)


def test_windows_line_ends_and_a_missing_last_one(tmp_path: Path) -> None:
    files = files_100k()
    files["u.data"] = files["u.data"].replace(b"\n", b"\r\n")
    files["u.user"] = files["u.user"].rstrip(b"\n")
    dataset = movielens("100k", write_folder(tmp_path / "data", files))
    assert (len(dataset), len(dataset.users)) == (5, 3)


@pytest.mark.parametrize("parent", [False, True])
def test_a_folder_or_the_one_above_it(tmp_path: Path, cache: Path, parent: bool) -> None:
    folder = write_folder(tmp_path / "data" / "ml-100k", files_100k())
    fetched = fetch("ml-100k", folder.parent if parent else str(folder))
    assert (fetched.folder, fetched.origin) == (folder, "folder")
    assert is_empty(cache)


@pytest.mark.parametrize(
    ("name", "line", "replacement", "expected"),
    [
        ("u.data", 3, b"7\t3\t5", r"u\.data, line 3: expected 4 columns .*got 3"),
        ("u.data", 2, b"5\tone\t4\t900000100", r"u\.data, line 2: expected 'item_id' as a number, got 'one'"),
        ("u.data", 5, b"6\t5\tnan\t900000100", r"u\.data, line 5: expected 'rating' as a number, got 'nan'"),
        ("u.data", 1, b"7\t2\t3\t9e8", r"u\.data, line 1: expected 'timestamp' as a number"),
        ("u.data", 4, b"", r"u\.data, line 4: expected 4 columns"),
        ("u.item", 2, b"2|Fog, The (1990)|4-Fe", r"u\.item, line 2: expected 24 columns .*got 3"),
        (
            "u.item",
            1,
            b"1|A|01-Foo-1995||u|" + b"|".join([b"0"] * 19),
            r"u\.item, line 1: expected a date.*01-Foo-1995",
        ),
        ("u.user", 3, b"7|old|M|pilot|55105", r"u\.user, line 3: expected 'age' as a number, got 'old'"),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, name: str, line: int, replacement: bytes, expected: str) -> None:
    files = files_100k()
    lines = files[name].split(b"\n")
    lines[line - 1] = replacement
    files[name] = b"\n".join(lines)
    with pytest.raises(DataError, match=expected):
        movielens("100k", write_folder(tmp_path / "data", files))


def test_errors_count_the_header_line(tmp_path: Path) -> None:
    files = files_recbole()
    files["ml-100k.inter"] = files["ml-100k.inter"].replace(b"7\t2\t3", b"7\t2\tthree")
    with pytest.raises(DataError, match=r"ml-100k\.inter, line 2: expected 'rating'"):
        movielens("100k", write_folder(tmp_path / "data", files))


def test_unknown_occupation_code(tmp_path: Path) -> None:
    files = files_1m() | {"users.dat": b"5::F::1::10::1\n6::M::56::21::2\n"}
    with pytest.raises(DataError, match=r"users\.dat, line 2: expected a code from 0 to 20, got 21"):
        movielens("1m", write_folder(tmp_path / "data", files))


def test_truncated_at_a_line_end(tmp_path: Path) -> None:
    files = files_100k()
    files["u.data"] = b"\n".join(files["u.data"].split(b"\n")[:3])
    with pytest.raises(DataError, match=r"u\.data: expected 5 ratings, as u\.info says, got 3; .* after line 3"):
        movielens("100k", write_folder(tmp_path / "data", files))


@pytest.mark.parametrize(("content", "expected"), [(None, "is missing"), (b"", "got none"), (b"\n\n", "got none")])
def test_missing_or_empty_file(tmp_path: Path, content: bytes | None, expected: str) -> None:
    files = files_100k()
    del files["u.user"]
    if content is not None:
        files["u.user"] = content
    with pytest.raises(DataError, match=rf"u\.user.* {expected}"):
        movielens("100k", write_folder(tmp_path / "data", files))


def test_not_utf8(tmp_path: Path) -> None:
    files = files_recbole()
    files["ml-100k.item"] = files["ml-100k.item"].decode().encode("latin-1")
    with pytest.raises(DataError, match=r"ml-100k\.item: expected text in utf-8"):
        movielens("100k", write_folder(tmp_path / "data", files))


def test_unknown_edition_lists_the_known() -> None:
    with pytest.raises(DataError, match=r"'20m'; supported: '100k' \(or 'ml-100k'\), '1m' \(or 'ml-1m'\)"):
        movielens("20m")


def test_paths_that_hold_nothing(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no zip")
    other = write_zip(tmp_path / "other.zip", {"a.txt": b"a"})
    with pytest.raises(DataError, match="no such folder or zip"):
        fetch("100k", tmp_path / "absent")
    with pytest.raises(DataError, match=r"expected u\.data or ml-100k\.inter in it or in ml-100k/ below it"):
        fetch("100k", tmp_path)
    with pytest.raises(DataError, match="expected a folder or a zip file"):
        fetch("100k", tmp_path / "text")
    with pytest.raises(DataError, match=r"in this zip, found a\.txt"):
        fetch("100k", other)
    with pytest.raises(DataError, match=r"ratings\.dat"):
        fetch("1m", write_folder(tmp_path / "ml-100k", files_100k()))


@pytest.mark.parametrize(
    ("edition", "files"),
    [("100k", files_100k()), ("1m", files_1m()), ("100k", files_recbole())],
    ids=["100k", "1m", "w"],
)
def test_zip(tmp_path: Path, cache: Path, edition: str, files: dict[str, bytes]) -> None:
    archive = write_zip(tmp_path / "own.zip", files, "some/where/")
    dataset = movielens(edition, archive)
    assert len(dataset) == 5
    assert any("own.zip is not the published file" in note for note in dataset.notes)
    folder = fetch(edition, archive).folder
    assert folder.parent == cache
    assert list(cache.iterdir()) == [folder]
    assert {file.name for file in folder.iterdir()} == set(files) - {"ml-100k.kg"}


def test_the_official_zip_given_as_a_path_is_cached(tmp_path: Path, pinned: Callable[..., None], cache: Path) -> None:
    archive = write_zip(tmp_path / "ml-1m.zip", files_1m(), "ml-1m/")
    pinned("1m", archive=pin_of(archive, "http://127.0.0.1:9/"))
    assert fetch("1m", archive).origin == "zip"
    assert fetch("1m").origin == "cache"
    assert fetch("1m").folder == cache / "ml-1m"


@pytest.mark.parametrize("inside", ["../../", "/", "ml-100k/../../../"])
def test_a_zip_writes_nothing_outside_its_folder(tmp_path: Path, cache: Path, inside: str) -> None:
    archive = write_zip(tmp_path / "zip" / "bad.zip", files_100k() | {"../escaped": b"!", "u.data/../x": b"!"}, inside)
    folder = fetch("100k", archive).folder
    written = {file for file in tmp_path.rglob("*") if file.is_file()} - {archive}
    assert written == {folder / name for name in files_100k()}
    assert folder.parent == cache


def test_a_damaged_zip(tmp_path: Path, cache: Path) -> None:
    archive = tmp_path / "bad.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as opened:
        for name, content in files_100k().items():
            opened.writestr(name, content)
    archive.write_bytes(archive.read_bytes().replace(b"\t900000200", b"\t900000201"))
    with pytest.raises(DataError, match=r"bad\.zip: cannot be read as a zip"):
        fetch("100k", archive)
    assert is_empty(cache)


def test_official_archive(server: Server, official: Pin, pinned: Callable[..., None], cache: Path) -> None:
    pinned(archive=official)
    steps: list[tuple[int, int | None]] = []
    fetched = fetch("100k", progress=lambda done, total: steps.append((done, total)))
    assert (fetched.folder, fetched.origin) == (cache / "ml-100k", "official archive")
    assert steps[-1] == (official.n_bytes, official.n_bytes)
    assert steps == sorted(steps)
    assert list(cache.iterdir()) == [fetched.folder]
    assert fetch("100k").origin == "cache"
    assert len(movielens()) == 5
    assert server.n_requests == 1


@pytest.mark.parametrize("change", ["altered", "longer", "shorter"])
def test_a_wrong_digest_is_refused_and_nothing_kept(
    server: Server, official: Pin, pinned: Callable[..., None], index: Path, cache: Path, change: str
) -> None:
    body = {"altered": b"!" + server.body[1:], "longer": server.body + b"!", "shorter": server.body[:-1]}[change]
    server.body, server.announced = body, len(body)
    pinned(archive=official, wheel=pin_of(index, "recbole==1.2.1"))
    with pytest.raises(DownloadError, match=rf"SHA-256 {official.sha256}, got .*; nothing was kept") as caught:
        fetch("100k")
    assert hashlib.sha256(body).hexdigest() in str(caught.value)
    assert is_empty(cache)


def test_a_connection_cut_in_the_middle(
    server: Server, official: Pin, pinned: Callable[..., None], monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    monkeypatch.setattr(downloading.importlib.util, "find_spec", lambda name: None)
    server.body = server.body[:300]
    pinned(archive=official)
    with pytest.raises(DownloadError, match=r"broke off after 300 of .*has no pip.*pass its folder or zip as path"):
        fetch("100k")
    assert is_empty(cache)


def test_a_download_that_fails_leaves_no_file(server: Server, official: Pin, tmp_path: Path) -> None:
    server.body = server.body[:300]
    (tmp_path / "target").mkdir()
    with pytest.raises(DownloadError, match="broke off"):
        downloading.download(official, tmp_path / "target" / "file.zip")
    assert is_empty(tmp_path / "target")


def test_an_endless_answer_is_not_read_to_the_end(server: Server, official: Pin, tmp_path: Path) -> None:
    server.body += bytes(4_000_000)
    server.announced = len(server.body)
    steps: list[int] = []
    with pytest.raises(DownloadError, match=r"got at least .* nothing was kept"):
        downloading.download(official, tmp_path / "file.zip", lambda done, total: steps.append(done))
    assert max(steps) < 200_000


def test_an_interrupted_download_leaves_nothing(
    server: Server, official: Pin, pinned: Callable[..., None], cache: Path
) -> None:
    pinned(archive=official)

    def interrupt(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch("100k", progress=interrupt)
    assert is_empty(cache)
    assert fetch("100k").origin == "official archive"


def test_leftovers_of_a_killed_process_do_not_count(official: Pin, pinned: Callable[..., None], cache: Path) -> None:
    write_folder(cache / ".unfinished-x" / "unpacked", files_100k())
    pinned(archive=official)
    assert fetch("100k").origin == "official archive"


def test_a_silent_server_counts_as_unreachable(pinned: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloading, "READ_TIMEOUT_SECONDS", 0.2)
    started = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        pinned("1m", archive=Pin(f"http://127.0.0.1:{silent.getsockname()[1]}/ml-1m.zip", 10, "0" * 64))
        with pytest.raises(DownloadError, match=r"timed out; get ml-1m elsewhere and pass its folder or zip as path"):
            fetch("1m")
    assert time.monotonic() - started < 3


def test_certificates_are_verified() -> None:
    contexts: list[ssl.SSLContext] = []
    (handler,) = (one for one in downloading._opener().handlers if isinstance(one, urllib.request.HTTPSHandler))
    handler.do_open = lambda kind, request, *, context: contexts.append(context)  # type: ignore[method-assign]
    handler.https_open(urllib.request.Request("https://127.0.0.1/"))
    assert [(context.verify_mode, context.check_hostname) for context in contexts] == [(ssl.CERT_REQUIRED, True)]


@pytest.mark.parametrize("reached", [False, True])
def test_the_wheel_where_the_archive_cannot_be_had(
    server: Server, nowhere: Pin, official: Pin, pinned: Callable[..., None], index: Path, cache: Path, reached: bool
) -> None:
    server.status = 503
    pinned(archive=official if reached else nowhere, wheel=pin_of(index, "recbole==1.2.1"))
    fetched = fetch("100k")
    assert (fetched.folder, fetched.origin) == (cache / "ml-100k-recbole", "recbole wheel")
    assert ("answered 503" if reached else "refused") in fetched.notes[0]
    assert list(cache.iterdir()) == [fetched.folder]
    assert {file.name for file in fetched.folder.iterdir()} == {"ml-100k.inter", "ml-100k.item", "ml-100k.user"}

    again = fetch("100k")
    assert again.origin == "cache"
    assert again.notes == fetched.notes[1:]
    dataset = movielens()
    assert dataset.interactions.select("user_id", "item_id", "rating", "timestamp").rows() == RATINGS
    assert dataset.notes == again.notes


def test_a_wrong_wheel_is_refused(nowhere: Pin, pinned: Callable[..., None], index: Path, cache: Path) -> None:
    pinned(archive=nowhere)
    with pytest.raises(DownloadError, match=r"recbole==1\.2\.1: expected 2,130,151 bytes .*; nothing was kept"):
        fetch("100k")
    assert is_empty(cache)


def test_pip_finds_nothing(nowhere: Pin, pinned: Callable[..., None], index: Path, cache: Path) -> None:
    index.unlink()
    pinned(archive=nowhere)
    with pytest.raises(DownloadError, match=r"refused.*pip download recbole==1\.2\.1 failed: ERROR: .*pass its folder"):
        fetch("100k")
    assert is_empty(cache)


def test_a_broken_cache_says_what_to_delete(cache: Path) -> None:
    folder = write_folder(cache / "ml-100k", files_100k())
    (folder / "u.item").unlink()
    with pytest.raises(DataError, match=r"u\.item is missing.*delete .*ml-100k to fetch it anew"):
        movielens()


def test_a_cache_that_cannot_be_written(
    tmp_path: Path, official: Pin, pinned: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SHORTLIST_CACHE", str(tmp_path / "file" / "cache"))
    pinned(archive=official)
    with pytest.raises(DownloadError, match="SHORTLIST_CACHE can name another folder"):
        fetch("100k")


def test_fetching_at_the_same_time(official: Pin, pinned: Callable[..., None], cache: Path) -> None:
    pinned(archive=official)
    with ThreadPoolExecutor(6) as pool:
        fetched = list(pool.map(fetch, ["100k"] * 12))
    assert {one.folder for one in fetched} == {cache / "ml-100k"}
    assert list(cache.iterdir()) == [cache / "ml-100k"]


def test_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("SHORTLIST_CACHE")
    monkeypatch.setattr(module.sys, "platform", "linux")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "shortlist"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == tmp_path / ".cache" / "shortlist"
    monkeypatch.setattr(module.sys, "platform", "darwin")
    assert cache_folder() == tmp_path / "Library" / "Caches" / "shortlist"


def test_by_title(tmp_path: Path) -> None:
    dataset = movielens("100k", write_folder(tmp_path / "data", files_100k()))
    titled = by_title(dataset)
    titles = {film[0]: film[1].strip() for film in FILMS}
    assert titled.interactions["item_id"].to_list() == [titles[row[1]] for row in RATINGS]
    assert titled.interactions.drop("item_id").equals(dataset.interactions.drop("item_id"))
    assert titled.items["item_id"].to_list() == [titles[item_id] for item_id in (1, 2, 3, 4, 6)]
    assert titled.items.row(1) == ("Fog, The (1990)", "Fog, The (1990)", 1990, ["Horror"], date(1991, 2, 4))
    assert titled.users.equals(dataset.users)
    assert titled.notes == (*dataset.notes, "item ids are titles: 5 titles for 6 ids")
    assert titled.name == dataset.name


def test_by_title_needs_titles() -> None:
    log = {"user_id": [1, 1], "item_id": [8, 9]}
    with pytest.raises(DataError, match="expected a column 'title'"):
        by_title(Dataset.from_frames(log))
    with pytest.raises(DataError, match=r"none for 1 \(first: 9\)"):
        by_title(Dataset.from_frames(log, {"item_id": [8], "title": ["Fog"]}))
