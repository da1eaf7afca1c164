"""Fetching MovieLens without MovieLens: made-up files, a local server, a wheel made here."""

import hashlib
import importlib.util
import socket
import ssl
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from archive_server import Server, serving
from invented_movielens import (
    RATINGS,
    files_1m,
    files_100k,
    files_recbole,
    write_folder,
    write_wheel,
    write_zip,
)

from shortlist.data import download as downloading
from shortlist.data import movielens as module
from shortlist.data.download import Pin
from shortlist.data.movielens import cache_folder, fetch, movielens
from shortlist.errors import DataError, DownloadError


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


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(write_zip(tmp_path / "served" / "ml-100k.zip", files_100k()).read_bytes()) as running:
        yield running


@pytest.fixture
def official(server: Server) -> Pin:
    return Pin(server.url, len(server.body), hashlib.sha256(server.body).hexdigest())


def is_empty(folder: Path) -> bool:
    return not folder.exists() or not list(folder.iterdir())


@pytest.mark.parametrize("parent", [False, True])
def test_a_folder_or_the_one_above_it(tmp_path: Path, cache: Path, parent: bool) -> None:
    folder = write_folder(tmp_path / "data" / "ml-100k", files_100k())
    fetched = fetch("ml-100k", folder.parent if parent else str(folder))
    assert (fetched.folder, fetched.origin) == (folder, "folder")
    assert is_empty(cache)


def test_unknown_edition_lists_the_known() -> None:
    with pytest.raises(DataError, match=r"'30m'; supported: ml-100k, ml-1m, ml-10m, ml-20m, .*, ml-latest-small"):
        movielens("30m")


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
    assert time.monotonic() - started < 20


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
