"""MovieLens: found in a folder, a zip or the cache, or fetched with pinned digests.

The data are GroupLens Research's and free for research only; the ``README`` of each archive has the conditions.
"""

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from shortlist import durable
from shortlist.data.dataset import Dataset
from shortlist.data.download import Progress, Unreachable, download, pip_download, sha256_of, unpack, zip_names
from shortlist.data.movielens_editions import EDITIONS as EDITIONS
from shortlist.data.movielens_editions import Edition, Package
from shortlist.data.movielens_files import Layout, Tables
from shortlist.errors import DataError, DownloadError


@dataclass(frozen=True)
class Fetched:
    """Where an edition lies.

    Attributes:
        folder: the folder with its files.
        origin: ``"folder"``, ``"zip"``, ``"cache"``, ``"official archive"`` or ``"recbole wheel"``.
        notes: how it was come by, what is missing from it or was repaired.
    """

    folder: Path
    origin: str
    notes: tuple[str, ...] = ()


DAY_SECONDS = 86_400


def movielens(edition: str = "100k", path: str | Path | None = None, *, progress: Progress | None = None) -> Dataset:
    """A MovieLens data set, fetched if need be.

    Interactions keep the order of the file (``u.data``, ``ratings.dat``, ``ratings.csv``), on which the random split
    is defined. Items have ``title`` (blanks at its ends removed), ``year`` (from the title, else from the release
    date; may be null), ``genres`` (list, empty where none are listed) and, in the original layout of 100K,
    ``release_date`` (may be null). In 100K and 1M, users have ``age``, ``gender``, ``occupation`` and ``zip_code``; in
    1M an age is the lower end of a range (1 = under 18). Ratings are 1 to 5, from 10M on in half stars from 0.5. What
    is missing or was repaired is in the data set's ``notes``. Tags, links and the tag genome are not read.

    Args:
        edition: ``"100k"``, ``"1m"``, ``"10m"``, ``"20m"``, ``"25m"``, ``"32m"`` or ``"latest-small"``; ``"ml-1m"``
            and the like will do.
        path: a folder with the files, the folder above it, or a zip; nothing is downloaded then.
        progress: called with the bytes done and in total while downloading; starts anew if a second place is tried.

    Raises:
        DataError: an unknown edition, a path without it, or a file that cannot be read (names file and line).
        DownloadError: it could not be fetched, or what came is not what was published.
    """
    published = _edition(edition)
    fetched, tables = _fetch_and_read(published, path, progress)
    return Dataset.from_frames(
        tables.interactions, tables.items, tables.users, notes=fetched.notes, name=published.name
    )


def fetch(edition: str, path: str | Path | None = None, *, progress: Progress | None = None) -> Fetched:
    """Make sure that an edition is on this machine and can be read.

    Looks in ``path`` if given; else in the cache (`cache_folder`); else downloads the official archive; else, for
    100K, takes the same ratings out of a wheel that pip downloads. A zip is unpacked into the cache, and the official
    one is found there later without the path.

    Args and errors are those of `movielens`.
    """
    return _fetch_and_read(_edition(edition), path, progress)[0]


def by_title(dataset: Dataset) -> Dataset:
    """The same interactions in the same order with the title as the item's id, as in the TensorFlow tutorial.

    Some films of MovieLens have two ids (1,664 titles for the 1,682 ids of 100K); they become one item with the
    attributes of the first.

    Raises:
        DataError: an item has no title.

    >>> log = {"user_id": [1, 1], "item_id": [8, 9]}
    >>> films = {"item_id": [8, 9], "title": ["Fog (1990)", "Fog (1990)"]}
    >>> by_title(Dataset.from_frames(log, films)).interactions["item_id"].to_list()
    ['Fog (1990)', 'Fog (1990)']
    """
    items = dataset.items
    if "title" not in items.columns:
        raise DataError(f"items: expected a column 'title', got {', '.join(items.columns)}")
    untitled = items.filter(pl.col("title").is_null())["item_id"]
    if len(untitled):
        raise DataError(f"items: expected a title for each, got none for {len(untitled):,} (first: {untitled[0]!r})")
    titles = dict(zip(items["item_id"], items["title"], strict=True))
    title = pl.col("item_id").replace_strict(titles, return_dtype=pl.String)
    titled = items.with_columns(title).unique("item_id", keep="first", maintain_order=True)
    note = f"item ids are titles: {len(titled):,} titles for {len(items):,} ids"
    return Dataset.from_frames(
        dataset.interactions.with_columns(title),
        titled,
        dataset.users,
        notes=(*dataset.notes, note),
        name=dataset.name,
    )


def cache_folder() -> Path:
    """Where fetched data are kept: ``SHORTLIST_CACHE``, else the platform's folder for caches.

    That is ``$XDG_CACHE_HOME/shortlist`` or ``~/.cache/shortlist``, on macOS ``~/Library/Caches/shortlist``, on
    Windows ``%LOCALAPPDATA%\\shortlist``.
    """
    if own := os.environ.get("SHORTLIST_CACHE"):
        return Path(own).expanduser().absolute()
    if sys.platform == "win32":
        base, default = os.environ.get("LOCALAPPDATA", ""), Path("AppData", "Local")
    elif sys.platform == "darwin":
        base, default = "", Path("Library", "Caches")
    else:
        base, default = os.environ.get("XDG_CACHE_HOME", ""), Path(".cache")
    return (Path(base) if Path(base).is_absolute() else Path.home() / default) / "shortlist"


def _edition(name: str) -> Edition:
    key = str(name).lower().removeprefix("ml-")
    if key not in EDITIONS:
        known = ", ".join(edition.name for edition in EDITIONS.values())
        raise DataError(f"unknown edition of MovieLens {name!r}; supported: {known} (with or without 'ml-')")
    return EDITIONS[key]


def _fetch_and_read(edition: Edition, path: str | Path | None, progress: Progress | None) -> tuple[Fetched, Tables]:
    if path is not None:
        fetched, layout = _from_path(edition, Path(path).expanduser())
    else:
        fetched, layout = _from_cache(edition) or _from_network(edition, progress)
    try:
        tables = layout.read(fetched.folder)
    except DataError as error:
        if fetched.origin != "cache":
            raise
        raise DataError(f"{error}. This is the cached copy: delete {fetched.folder} to fetch it anew") from error
    return Fetched(fetched.folder, fetched.origin, (*fetched.notes, *tables.notes, *_counts(edition, tables))), tables


def _counts(edition: Edition, tables: Tables) -> list[str]:
    """A note where there are fewer or more than published."""
    found = (len(tables.interactions), tables.interactions["user_id"].n_unique(), len(tables.items))
    if found == (edition.n_ratings, edition.n_users, edition.n_films):
        return []
    published = f"{edition.name} has {edition.n_ratings:,}, {edition.n_users:,} and {edition.n_films:,}"
    remark = f" ({edition.archive.pin.remark})" if edition.archive.pin.remark else ""
    return [f"{found[0]:,} ratings by {found[1]:,} users, {found[2]:,} films; as published {published}{remark}"]


def _from_path(edition: Edition, path: Path) -> tuple[Fetched, Layout]:
    markers = " or ".join(package.layout.marker for package in edition.packages)
    if path.is_dir():
        for folder in (path, path / edition.archive.folder):
            for package in edition.packages:
                if (folder / package.layout.marker).is_file():
                    return Fetched(folder, "folder"), package.layout
        raise DataError(f"{path}: expected {markers} in it or in {edition.archive.folder}/ below it, found neither")
    if not path.exists():
        raise DataError(f"{path}: no such folder or zip; expected one with {markers}")
    names = zip_names(path)
    for package in edition.packages:
        if package.layout.marker in names:
            return _from_zip(edition, path, package.layout), package.layout
    raise DataError(f"{path}: expected {markers} in this zip, found {', '.join(sorted(names)[:10]) or 'nothing'}")


def _from_zip(edition: Edition, path: Path, layout: Layout) -> Fetched:
    digest = sha256_of(path)
    for package in edition.packages:
        if package.pin.sha256 == digest:
            return Fetched(_install(path, layout, package.folder), "zip")
    note = f"{path.name} is not the published file (SHA-256 {digest})"
    return Fetched(_install(path, layout, f"{edition.name}-zip-{digest[:16]}"), "zip", (note,))


def _from_cache(edition: Edition) -> tuple[Fetched, Layout] | None:
    for package in edition.packages:
        folder = cache_folder() / package.folder
        if (folder / package.layout.marker).is_file():
            return Fetched(folder, "cache"), package.layout
    return None


def _from_network(edition: Edition, progress: Progress | None) -> tuple[Fetched, Layout]:
    with _workplace() as work:
        try:
            package = edition.archive
            file = download(package.pin, work / "archive.zip", progress)
            notes: tuple[str, ...] = ()
        except Unreachable as error:
            package, file = _from_index(edition, error, work, progress)
            notes = (f"taken from the wheel {package.pin.source}: the official archive could not be had ({error})",)
        return Fetched(_install(file, package.layout, package.folder), package.origin, notes), package.layout


def _from_index(
    edition: Edition, unreachable: Unreachable, work: Path, progress: Progress | None
) -> tuple[Package, Path]:
    advice = f"get {edition.name} elsewhere and pass its folder or zip as path"
    if edition.wheel is None:
        raise DownloadError(f"{unreachable}; {advice}") from unreachable
    try:
        return edition.wheel, pip_download(edition.wheel.pin, work, progress)
    except DownloadError as error:
        raise DownloadError(f"{unreachable}; and in its place: {error}; {advice}") from error


def _install(archive: Path, layout: Layout, name: str) -> Path:
    """Unpack a zip into the cache, complete or not at all; another process may be doing the same."""
    target = cache_folder() / name
    if (target / layout.marker).is_file():
        return target
    with _workplace() as work:
        unpack(archive, layout.marker, layout.members, work / "unpacked")
        try:
            if target.is_dir() and not (target / layout.marker).is_file():
                target.rename(work / "incomplete")  # somebody deleted files of it
            (work / "unpacked").rename(target)
            durable.sync_directory(target.parent)
        except OSError:
            if not (target / layout.marker).is_file():
                raise
    return target


@contextmanager
def _workplace() -> Iterator[Path]:
    """A temporary folder in the cache, so that what is finished can be renamed into place."""
    cache = cache_folder()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        for leftover in cache.glob(".unfinished-*"):
            with suppress(FileNotFoundError):  # another process may have just finished with it
                if leftover.stat().st_mtime < time.time() - DAY_SECONDS:
                    shutil.rmtree(leftover, ignore_errors=True)
        with TemporaryDirectory(dir=cache, prefix=".unfinished-") as folder:
            yield Path(folder)
    except DownloadError:
        raise
    except OSError as error:
        raise DownloadError(
            f"nothing could be kept in the cache {cache} ({error}); SHORTLIST_CACHE can name another folder"
        ) from error
