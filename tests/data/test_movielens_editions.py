"""Every edition, small and invented, in its true layout, fetched from a server that may break off."""

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from archive_server import Server, serving
from invented_movielens import ARCHIVES, FILMS_CSV, HALF_STARS, files_csv, files_of, write_folder, write_zip

from shortlist.data import movielens as module
from shortlist.data.dataset import Dataset
from shortlist.data.download import Pin, download
from shortlist.data.movielens import EDITIONS, fetch, movielens
from shortlist.errors import DataError, DownloadError

KEPT = {
    "100k": {"u.data", "u.item", "u.user", "u.genre", "u.info", "README"},
    "1m": {"ratings.dat", "movies.dat", "users.dat"},
    "10m": {"ratings.dat", "movies.dat", "README.html"},
}
HALF_STARS_EDITIONS = [edition for edition in ARCHIVES if edition not in ("100k", "1m")]

every_edition = pytest.mark.parametrize("edition", ARCHIVES)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SHORTLIST_CACHE", str(tmp_path / "cache"))
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    return tmp_path / "cache"


@pytest.fixture
def server(edition: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Serves the edition's archive, and the pins say so; the wheel that holds 100K as well is out of reach."""
    archive = write_zip(tmp_path / "served" / "archive.zip", files_of(edition), ARCHIVES[edition])
    with serving(archive.read_bytes()) as running:
        known = EDITIONS[edition]
        pin = replace(known.archive.pin, source=running.url, **measured(running.body))
        official = replace(known, archive=replace(known.archive, pin=pin), wheel=None)
        monkeypatch.setitem(module.EDITIONS, edition, official)
        yield running


def measured(body: bytes) -> dict[str, object]:
    return {"n_bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}


def rows(dataset: Dataset) -> list[tuple[float, ...]]:
    return dataset.interactions.select("user_id", "item_id", "rating", "timestamp").rows()


def read(edition: str, folder: Path, files: dict[str, bytes]) -> Dataset:
    return movielens(edition, write_folder(folder / "data", files))


def test_every_edition_is_published_and_counted_once() -> None:
    assert list(EDITIONS) == list(ARCHIVES)
    for key, edition in EDITIONS.items():
        assert edition.archive.pin.source == f"https://files.grouplens.org/datasets/movielens/ml-{key}.zip"
        assert re.fullmatch("[0-9a-f]{64}", edition.archive.pin.sha256)
        assert edition.archive.folder + "/" == ARCHIVES[key]
        assert edition.n_ratings > 100 * edition.n_users
    assert len({edition.archive.pin.sha256 for edition in EDITIONS.values()}) == len(EDITIONS)


@every_edition
def test_fetched_once_and_found_again(edition: str, server: Server, cache: Path) -> None:
    fetched = fetch(f"ml-{edition}")
    assert fetched.origin == "official archive"
    assert list(cache.iterdir()) == [fetched.folder]
    assert {file.name for file in fetched.folder.iterdir()} == KEPT.get(
        edition, {"ratings.csv", "movies.csv", "README.txt"}
    )
    assert fetch(edition).origin == "cache"
    dataset = movielens(edition)
    assert (dataset.name, len(dataset.items), dataset.time_kind) == (f"ml-{edition}", 6, "seconds")
    assert server.n_requests == 1


@pytest.mark.parametrize("edition", ["1m", "latest-small"])
def test_a_cached_folder_from_which_files_were_deleted_is_fetched_anew(
    edition: str, server: Server, cache: Path
) -> None:
    folder = fetch(edition).folder
    marker = EDITIONS[edition].archive.layout.marker
    (folder / marker).unlink()
    assert fetch(edition).origin == "official archive"
    assert (folder / marker).is_file()
    assert list(cache.iterdir()) == [folder]


@every_edition
def test_a_server_that_breaks_off(edition: str, server: Server, cache: Path) -> None:
    """Nothing is kept of what came, whether or not the end is missing by announcement; the next try succeeds."""
    server.sends_at_most = len(server.body) // 2
    with pytest.raises(DownloadError, match=f"broke off after {server.sends_at_most:,} of {len(server.body):,} bytes"):
        fetch(edition)
    assert not list(cache.iterdir())
    server.announced = server.sends_at_most
    with pytest.raises(DownloadError, match=r"expected .* bytes with SHA-256 .* nothing was kept"):
        fetch(edition)
    assert not list(cache.iterdir())
    server.sends_at_most, server.announced = None, len(server.body)
    assert fetch(edition).origin == "official archive"


@every_edition
def test_a_server_that_breaks_off_but_goes_on_from_there(edition: str, server: Server, cache: Path) -> None:
    server.sends_at_most, server.knows_ranges = -(-len(server.body) // 3), True
    steps: list[int] = []
    assert fetch(edition, progress=lambda done, total: steps.append(done)).origin == "official archive"
    assert server.n_requests == 3
    assert steps == sorted(steps)
    assert len(movielens(edition)) > 0


@pytest.mark.parametrize("edition", ["20m"])
def test_resuming_has_an_end(edition: str, server: Server, tmp_path: Path) -> None:
    server.sends_at_most, server.knows_ranges = 1, True
    with pytest.raises(DownloadError, match="broke off after 11 of"):
        download(Pin(server.url, **measured(server.body)), tmp_path / "file.zip")  # type: ignore[arg-type]
    assert server.n_requests == 11


@pytest.mark.parametrize("edition", ["20m"])
def test_a_file_replaced_between_two_parts_is_refused(edition: str, server: Server, cache: Path) -> None:
    server.sends_at_most, server.knows_ranges = len(server.body) // 2 + 1, True

    def replaced(done: int, total: int | None) -> None:
        server.body = bytes(len(server.body))

    with pytest.raises(DownloadError, match="nothing was kept"):
        fetch(edition, progress=replaced)
    assert not list(cache.iterdir())


@every_edition
def test_fetching_at_the_same_time(edition: str, server: Server, cache: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        fetched = list(pool.map(fetch, [edition] * 6))
    assert {one.folder for one in fetched} == set(cache.iterdir())


@pytest.mark.parametrize("edition", ["25m"])
def test_two_processes_at_the_same_time(edition: str, server: Server, cache: Path, tmp_path: Path) -> None:
    archive = tmp_path / "served" / "archive.zip"
    command = [sys.executable, "-m", "shortlist", "data", "fetch", "ml-25m", "--from", str(archive)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ) for _ in range(2)]
    assert [(process.communicate()[0][:22], process.returncode) for process in processes] == 2 * [
        (b"ml-25m: 4 interactions", 0)
    ]
    assert len(list(cache.iterdir())) == 1


@pytest.mark.parametrize("edition", ["latest-small"])
def test_another_latest_small(edition: str, server: Server, cache: Path, tmp_path: Path) -> None:
    """GroupLens replaces that archive: the message says so, and the newer one can be read from a path."""
    newer = write_zip(tmp_path / "newer.zip", {**files_csv(), "README.txt": b"Newer.\n"}, ARCHIVES[edition])
    server.body = newer.read_bytes()
    server.announced = len(server.body)
    with pytest.raises(DownloadError, match=r"nothing was kept\. GroupLens replaces ml-latest-small .* of 2018-09-26"):
        fetch(edition)
    notes = movielens(edition, newer).notes
    assert any("newer.zip is not the published file" in note for note in notes)
    assert any("as published ml-latest-small has 100,836, 610 and 9,742 (GroupLens replaces" in note for note in notes)


@pytest.mark.parametrize("age_days", [0, 2])
def test_old_leftovers_of_killed_processes_are_removed(cache: Path, tmp_path: Path, age_days: int) -> None:
    leftover = write_folder(cache / ".unfinished-x", {"archive.zip.part": b"half"})
    then = leftover.stat().st_mtime - age_days * 86_400
    os.utime(leftover, (then, then))
    movielens("20m", write_zip(tmp_path / "own.zip", files_csv(), "ml-20m/"))
    assert leftover.exists() == (age_days < 1)


@pytest.mark.parametrize("edition", HALF_STARS_EDITIONS)
@pytest.mark.parametrize("above", [False, True])
def test_read_from_a_folder(tmp_path: Path, edition: str, above: bool) -> None:
    folder = write_folder(tmp_path / ARCHIVES[edition], files_of(edition))
    dataset = movielens(edition, tmp_path if above else folder)
    assert rows(dataset) == HALF_STARS
    assert dict(dataset.interactions.schema) == {
        **dict.fromkeys(("user_id", "item_id", "timestamp"), pl.Int64),
        "rating": pl.Float64,
    }
    assert dataset.items.select("item_id", "title").rows() == [(i, title.strip()) for i, title, _ in FILMS_CSV]
    assert dataset.items["year"].to_list() == [1994, 1990, 1993, None, 2014, 2009]
    assert dataset.items["genres"].to_list() == [
        ["Drama", "War"],
        ["Horror"],
        ["Children", "Comedy"],
        [],
        ["Documentary"],
        ["Sci-Fi"],
    ]
    assert dataset.items.schema["year"] == pl.Int32
    assert dataset.users["user_id"].to_list() == [5, 7]
    assert dataset.users.columns == ["user_id"]


def test_windows_line_ends_and_a_missing_last_one(tmp_path: Path) -> None:
    files = files_csv("\r\n")
    files["ratings.csv"] = files["ratings.csv"].removesuffix(b"\r\n")
    dataset = read("32m", tmp_path, files)
    assert rows(dataset) == HALF_STARS
    assert dataset.items["title"].to_list() == [title.strip() for _, title, _ in FILMS_CSV]
    assert dataset.items["genres"][3].to_list() == []


@pytest.mark.parametrize("edition", ["10m", "32m"])
def test_blank_lines_at_the_end(tmp_path: Path, edition: str) -> None:
    files = files_of(edition)
    ratings = next(name for name in files if name.startswith("ratings"))
    files[ratings] += b"\n\n"
    assert rows(read(edition, tmp_path, files)) == HALF_STARS


@pytest.mark.parametrize(
    ("edition", "line", "replacement", "expected"),
    [
        ("10m", 2, b"5::1::4", r"ratings\.dat, line 2: expected 4 columns .*got 3"),
        ("10m", 2, b"5::1::4::9::9", r"ratings\.dat, line 2: expected 4 columns .*got 5"),
        ("10m", 3, b"7:1:3::5::900000200", r"ratings\.dat, line 3: expected 4 columns .*got 3"),
        ("10m", 1, b"7::2::::900000300", r"ratings\.dat, line 1: expected 'rating' as a number, got ''"),
        ("10m", 4, b"5::4::nan::900000400", r"ratings\.dat, line 4: expected 'rating' as a number, got 'nan'"),
        ("25m", 3, b"5,one,4.0,900000100", r"ratings\.csv, line 3: expected 'item_id' as a number, got 'one'"),
        ("25m", 3, b"5,1,4.0", r"ratings\.csv, line 3: expected 4 columns separated by ',' .*got 3"),
        ("25m", 3, b"", r"ratings\.csv, line 3: expected 4 columns .*got 1"),
        ("25m", 2, b"7,2,inf,900000300", r"ratings\.csv, line 2: expected 'rating' as a number, got 'inf'"),
        ("25m", 5, b"99999999999999999999,4,1,9", r"ratings\.csv, line 5: expected 'user_id' as a number, got '9999"),
        (
            "25m",
            1,
            b"userId,movieId,timestamp,rating",
            r"ratings\.csv, line 1: expected the header userId,movieId,rating,timestamp, got userId,movieId,timestamp,",
        ),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, edition: str, line: int, replacement: bytes, expected: str) -> None:
    files = files_of(edition)
    name = next(name for name in files if name.startswith("ratings"))
    lines = files[name].split(b"\n")
    lines[line - 1] = replacement
    files[name] = b"\n".join(lines)
    with pytest.raises(DataError, match=expected):
        read(edition, tmp_path, files)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, r"movies\.csv: no such file"),
        (
            b"movieId,title\n1,Fog\n",
            r"movies\.csv, line 1: expected the header movieId,title,genres, got movieId,title",
        ),
        (b"movieId,title,genres\none,Fog,Drama\n", r"movies\.csv, row 0 \(line 2\), column 'movieId': got 'one'"),
        ("movieId,title,genres\n1,Käfer,Drama\n".encode("latin-1"), r"movies\.csv, line 2: expected UTF-8"),
        (b'movieId,title,genres\n1,"Fog, The,Drama\n', r"movies\.csv: a quoted value is never closed"),
    ],
)
def test_errors_of_films(tmp_path: Path, content: bytes | None, expected: str) -> None:
    files = files_csv() | {"movies.csv": content or b""}
    if content is None:
        del files["movies.csv"]
    with pytest.raises(DataError, match=expected):
        read("20m", tmp_path, files)


def test_films_of_10m_are_utf8(tmp_path: Path) -> None:
    files = files_of("10m")
    files["movies.dat"] = files["movies.dat"].decode().replace("–", "-").encode("latin-1")
    with pytest.raises(DataError, match=r"movies\.dat: expected text in utf-8"):
        read("10m", tmp_path, files)


@pytest.mark.parametrize(
    ("edition", "name", "content"),
    [
        ("20m", "ratings.csv", b""),
        ("20m", "ratings.csv", b"userId,movieId,rating,timestamp\n"),
        ("10m", "ratings.dat", b""),
    ],
)
def test_no_ratings(tmp_path: Path, edition: str, name: str, content: bytes) -> None:
    with pytest.raises(DataError, match=rf"{re.escape(name)}.*expected (one record per line, got none|the header)"):
        read(edition, tmp_path, files_of(edition) | {name: content})


def test_another_edition_is_noticed_by_its_counts(tmp_path: Path) -> None:
    assert read("25m", tmp_path, files_of("20m")).notes == (
        "4 ratings by 2 users, 6 films; as published ml-25m has 25,000,095, 162,541 and 62,423",
    )
