"""Saved models: plain arrays and tables under a manifest, in versions, with one promoted at a time.

::

    model/
    ├── CURRENT                  the name of the promoted version
    ├── PREVIOUS                 the one promoted before, for `rollback`
    └── 3f9c2a1b5d7e8f60/        the first 16 digits of the digest
        ├── manifest.json        what it is, and the SHA-256 and size of every other file
        ├── manifest.sha256      the SHA-256 of manifest.json
        ├── ease/values.npy      arrays
        └── items.parquet        tables

Nothing here is a pickle, and nothing is parsed before its digest has been checked. The digests find damage and mix-ups;
they do not prove who wrote the model. This module knows nothing of recommenders; `shortlist.packing` turns finished
components into what it stores.
"""

import contextlib
import dataclasses
import hashlib
import io
import json
import mmap
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from shortlist.durable import lock, remove, sync_directory, write
from shortlist.errors import ArtifactError
from shortlist.packing import canonical_json, check_json

FORMAT_VERSION = 2
"""The version of the layout above and of what the manifest holds: the one this package writes and reads.

2: the share of places for new items.
"""

Array = np.ndarray[Any, np.dtype[Any]]

_VERSION = re.compile(r"[0-9a-f]{16}")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}(/[A-Za-z0-9_-]{1,100})*")
_FILE = re.compile(rf"{_NAME.pattern}\.(npy|parquet)")
_TEMPORARY = ".tmp-"
_ARRAY_KINDS = "biufcSUmM"


@dataclasses.dataclass(frozen=True)
class Published:
    """What `publish` wrote: the version's name, its full digest (64 hexadecimal digits) and its folder."""

    version: str
    digest: str
    folder: Path


@dataclasses.dataclass(frozen=True)
class Opened:
    """A saved model that has been checked and read.

    Attributes:
        version: 16 hexadecimal digits.
        digest: 64 hexadecimal digits, over everything but ``volatile``.
        folder: where it lies.
        manifest: as given to `publish` (tuples have become lists).
        volatile: the same, for what is outside the digest.
        arrays: by name, read-only and memory-mapped.
        frames: by name, in memory.
        files: size in bytes of each file the manifest lists, by its path in the folder.
    """

    version: str
    digest: str
    folder: Path
    manifest: dict[str, Any]
    volatile: dict[str, Any]
    arrays: dict[str, Array]
    frames: dict[str, pl.DataFrame]
    files: dict[str, int]


class _File(msgspec.Struct, forbid_unknown_fields=True):
    sha256: str
    bytes: int


class _Manifest(msgspec.Struct, forbid_unknown_fields=True):
    format_version: int
    digest: str
    manifest: dict[str, Any]
    files: dict[str, _File]
    volatile: dict[str, Any]


class _Format(msgspec.Struct):
    format_version: int


def publish(
    path: str | os.PathLike[str],
    *,
    manifest: dict[str, Any],
    arrays: Mapping[str, Array],
    frames: Mapping[str, pl.DataFrame],
    volatile: dict[str, Any],
    promoted: bool = True,
) -> Published:
    """Save a model as a new version and promote it. A crash at any point leaves the one before loadable.

    The same content gives the same version; if it is there and intact, it is only promoted. The version promoted
    before is kept, older ones are removed.

    Args:
        path: the model's directory, made if need be.
        manifest: JSON values that belong to the model's identity: settings, fingerprint of the data, metrics.
        arrays: by name; a name is letters, digits, ``_`` and ``-``, with ``/`` between folders. Booleans, numbers,
            texts and times of any shape and memory layout.
        frames: by name.
        volatile: JSON values outside the digest: dates, durations, host, latencies.
        promoted: ``False`` = leave the promoted version as it is (if there is one) and remove none.

    Raises:
        ArtifactError: a value that JSON cannot hold (``nan`` among them), an array of Python objects, a bad name.
        OSError: the disk is full or not writable; the model promoted before stays loadable.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     saved = publish(folder, manifest={"k": 10}, arrays={"a/b": np.arange(3)}, frames={}, volatile={})
    ...     model = open_artifact(folder)
    >>> model.version == saved.version, model.manifest, model.arrays["a/b"].tolist()
    (True, {'k': 10}, [0, 1, 2])
    """
    model = Path(path)
    if (model / "manifest.json").exists():
        raise ArtifactError(f"{model} is one version of a model; give the directory above it")
    check_json(manifest, "manifest")
    check_json(volatile, "volatile")
    model.mkdir(parents=True, exist_ok=True)
    with lock(model):
        _remove_leftovers(model)
        temporary = model / f"{_TEMPORARY}{secrets.token_hex(8)}"
        try:
            files = _write_files(temporary, arrays, frames)
            digest = _digest(manifest, files)
            _write_manifest(temporary, _Manifest(FORMAT_VERSION, digest, manifest, files, volatile))
            folder = _put_in_place(temporary, model / digest[:16])
        except Exception:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        if promoted or _pointed_or_none(model / "CURRENT") is None:
            _point(model, folder.name)
            _remove_but(model, _kept(model))
    return Published(folder.name, digest, folder)


def _write_files(folder: Path, arrays: Mapping[str, Array], frames: Mapping[str, pl.DataFrame]) -> dict[str, _File]:
    names = [f"{name}.npy" for name in arrays] + [f"{name}.parquet" for name in frames]
    for name in names:
        if not _FILE.fullmatch(name):
            raise ArtifactError(f"{name!r} cannot name a file: use letters, digits, _ and -, and / between folders")
    if len({name.casefold() for name in names}) < len(names):
        raise ArtifactError(f"two of the names differ only in case: {sorted(names)}")
    folder.mkdir()
    files = {}
    for name, array in sorted(arrays.items()):
        files[f"{name}.npy"] = _write_array(folder / f"{name}.npy", np.asarray(array))
    for name, frame in sorted(frames.items()):
        files[f"{name}.parquet"] = _write_frame(folder / f"{name}.parquet", frame)
    return files


def _write_array(path: Path, array: Array) -> _File:
    if array.dtype.kind not in _ARRAY_KINDS:
        raise ArtifactError(f"{path.name}: an array of type {array.dtype} cannot be saved; numbers, texts, times can")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        np.lib.format.write_array(file, array, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
    with path.open("rb") as file:
        return _File(hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size)


def _write_frame(path: Path, frame: pl.DataFrame) -> _File:
    buffer = io.BytesIO()
    try:
        frame.rechunk().write_parquet(buffer)  # the chunks decide the bytes
    except (Exception, pl.exceptions.PanicException) as error:
        raise ArtifactError(f"{path.name}: this table cannot be saved as Parquet: {error}") from error
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, buffer.getvalue())
    return _File(hashlib.sha256(buffer.getvalue()).hexdigest(), len(buffer.getvalue()))


def _write_manifest(folder: Path, manifest: _Manifest) -> None:
    fields = msgspec.structs.asdict(manifest) | {"files": _listing(manifest.files)}
    text = json.dumps(fields, indent=1, sort_keys=True, allow_nan=False).encode()
    write(folder / "manifest.json", text)
    write(folder / "manifest.sha256", f"{hashlib.sha256(text).hexdigest()}\n".encode())
    for directory, _, _ in os.walk(folder):
        sync_directory(Path(directory))


def _put_in_place(temporary: Path, folder: Path) -> Path:
    """Rename what was written to its version; an intact version of that name is left as it is, a damaged one goes."""
    if os.path.lexists(folder):
        try:
            _open_version(folder, folder.name)
        except ArtifactError:
            _discard(folder)
        else:
            shutil.rmtree(temporary)
            return folder
    os.replace(temporary, folder)
    sync_directory(folder.parent)
    return folder


def _point(model: Path, version: str) -> None:
    """Promote a version. PREVIOUS is written first, so that no crash makes `rollback` skip one."""
    current = _pointed_or_none(model / "CURRENT")
    if current == version:
        return
    if current is not None:
        _replace(model / "PREVIOUS", current)
    _replace(model / "CURRENT", version)


def _replace(path: Path, version: str) -> None:
    temporary = path.with_name(f"{_TEMPORARY}{secrets.token_hex(8)}")
    write(temporary, f"{version}\n".encode())
    os.replace(temporary, path)
    sync_directory(path.parent)


def prune(path: str | os.PathLike[str], keep: int = 0) -> list[str]:
    """Remove the versions that are neither promoted nor the one that `rollback` goes to; return their names.

    Args:
        keep: so many of the others, the newest, stay as well.

    Raises:
        ArtifactError: there is no promoted version: nothing says which ones are needed.
    """
    model = Path(path)
    _pointed(model / "CURRENT")
    with lock(model):
        kept = _kept(model)
        others = [one for one in versions(model) if one not in kept and (model / one / "manifest.json").is_file()]
        return _remove_but(model, kept | set(others[:keep]))


def _kept(model: Path) -> set[str | None]:
    """The version that is promoted and the one before."""
    return {_pointed_or_none(model / "CURRENT"), _pointed_or_none(model / "PREVIOUS")}


def _remove_but(model: Path, kept: Set[str | None]) -> list[str]:
    """Remove all versions but some, and return the names of those that went."""
    gone = [
        folder for folder in _version_folders(model) if (folder / "manifest.json").is_file() and folder.name not in kept
    ]
    for folder in gone:
        _discard(folder)
    return sorted(folder.name for folder in gone)


def _discard(folder: Path) -> None:
    """Remove a folder; after a crash half-way the rest has a temporary name, which the next publisher removes."""
    temporary = folder.with_name(f"{_TEMPORARY}{secrets.token_hex(8)}")
    os.replace(folder, temporary)
    remove(temporary)


def _remove_leftovers(model: Path) -> None:
    for entry in model.glob(f"{_TEMPORARY}*"):
        remove(entry)


def _digest(manifest: dict[str, Any], files: Mapping[str, _File]) -> str:
    content = {"format_version": FORMAT_VERSION, "manifest": manifest, "files": _listing(files)}
    return hashlib.sha256(canonical_json(content)).hexdigest()


def _listing(files: Mapping[str, _File]) -> dict[str, Any]:
    return {name: {"sha256": file.sha256, "bytes": file.bytes} for name, file in files.items()}


def open_artifact(path: str | os.PathLike[str]) -> Opened:
    """Check a saved model and read it.

    Order: the manifest's digest, the format version, the list of files, their sizes and digests; only then are they
    parsed. Arrays stay on disk until they are used (their folder may be removed meanwhile, but not on Windows).

    Args:
        path: the model's directory (the promoted version is opened) or the folder of one version.

    Raises:
        ArtifactError: something is missing, altered, not listed, a link, or from a newer version of this package.
    """
    path = Path(path)
    if (path / "manifest.json").is_file():
        return _open_version(path, None)
    version = _pointed(path / "CURRENT")
    try:
        return _open_version(path / version, version)
    except ArtifactError:
        if _pointed(path / "CURRENT") == version:
            raise
    return open_artifact(path)  # another version was promoted, and this one removed, in between


def verify(path: str | os.PathLike[str]) -> Opened:
    """`open_artifact`, and the version that `rollback` would go to is checked as well."""
    opened = open_artifact(path)
    previous = Path(path) / "PREVIOUS"
    if previous.exists():
        _open_version(Path(path) / _pointed(previous), _pointed(previous))
    return opened


def versions(path: str | os.PathLike[str]) -> list[str]:
    """The versions in a model's directory, the promoted one first, then the newest; none in another folder.

    Raises:
        ArtifactError: there is no such folder, or it cannot be read.
    """
    model = Path(path)
    found = _version_folders(model)
    current = _pointed_or_none(model / "CURRENT")
    found.sort(key=lambda folder: (folder.name != current, -folder.stat().st_mtime_ns, folder.name))
    return [folder.name for folder in found]


def promoted(path: str | os.PathLike[str]) -> str | None:
    """The version that CURRENT names; ``None`` = none, or it cannot be read."""
    return _pointed_or_none(Path(path) / "CURRENT")


def _version_folders(model: Path) -> list[Path]:
    if not model.is_dir():
        raise ArtifactError(f"there is no model at {model}: no such folder")
    return [folder for folder in _entries(model) if _VERSION.fullmatch(folder.name) and folder.is_dir()]


def promote(path: str | os.PathLike[str], version: str) -> None:
    """Make a version of `versions` the one that is opened, after checking it."""
    model = Path(path)
    if not _VERSION.fullmatch(version):
        raise ArtifactError(f"{version!r} is not a version; {model} has {', '.join(versions(model)) or 'none'}")
    if not model.is_dir():
        raise ArtifactError(f"there is no model at {model}")
    with lock(model):
        _open_version(model / version, version)
        _point(model, version)


def rollback(path: str | os.PathLike[str]) -> str:
    """Promote the version that was promoted before, and return its name; twice is back again."""
    model = Path(path)
    previous = _pointed_or_none(model / "PREVIOUS")
    if previous is None or previous == _pointed_or_none(model / "CURRENT"):
        raise ArtifactError(f"{model} has no version to roll back to: no other was promoted before")
    promote(model, previous)
    return previous


def let_go_of_pages(arrays: dict[str, Array]) -> None:
    """Take memory-mapped arrays out of this process's memory; what is read again comes back from the file by itself."""
    for array in arrays.values():
        owner: Any = array
        while isinstance(owner, np.ndarray):
            owner = owner.base
        if isinstance(owner, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):  # Linux
            owner.madvise(mmap.MADV_DONTNEED)


def _open_version(folder: Path, name: str | None) -> Opened:
    manifest = _read_manifest(folder, name)
    _check_files(folder, manifest.files)
    arrays, frames = {}, {}
    for file in sorted(manifest.files):
        stem, _, suffix = file.rpartition(".")
        try:
            if suffix == "npy":
                arrays[stem] = np.asarray(np.lib.format.open_memmap(folder / file, mode="r"))
            else:
                frames[stem] = pl.read_parquet(io.BytesIO((folder / file).read_bytes()))
        except (Exception, pl.exceptions.PanicException) as error:
            raise ArtifactError(f"{folder / file} cannot be read, although its digest is right: {error}") from error
    return Opened(
        manifest.digest[:16],
        manifest.digest,
        folder,
        manifest.manifest,
        manifest.volatile,
        arrays,
        frames,
        {file: entry.bytes for file, entry in manifest.files.items()},
    )


def _read_manifest(folder: Path, name: str | None) -> _Manifest:
    path = folder / "manifest.json"
    if name is not None and (folder.is_symlink() or not folder.is_dir()):
        raise ArtifactError(f"CURRENT or PREVIOUS names {name}, but {folder} is not a folder with that version")
    content = _read(path)
    if _read(folder / "manifest.sha256") != f"{hashlib.sha256(content).hexdigest()}\n".encode():
        raise ArtifactError(f"{path} has been altered: its SHA-256 is not the one in manifest.sha256")
    try:
        fields = json.loads(content)
        written = msgspec.convert(fields, _Format).format_version
        if written > FORMAT_VERSION:
            raise ArtifactError(
                f"{path} has format {written}, this version of shortlist reads up to {FORMAT_VERSION}; "
                "upgrade shortlist, or save the model with this version"
            )
        if written < FORMAT_VERSION:
            raise ArtifactError(
                f"{path} has format {written}, this version of shortlist reads {FORMAT_VERSION}; train the model again"
            )
        manifest = msgspec.convert(fields, _Manifest)
        intact = (
            manifest.format_version == FORMAT_VERSION and _digest(manifest.manifest, manifest.files) == manifest.digest
        )
    except (ValueError, TypeError, RecursionError) as error:
        if isinstance(error, ArtifactError):
            raise
        raise ArtifactError(f"{path} is not a manifest: {error}") from error
    if not intact or name not in (None, manifest.digest[:16]):
        raise ArtifactError(f"{path} does not fit: its digest is not that of its content and of the folder's name")
    return manifest


def _check_files(folder: Path, files: Mapping[str, _File]) -> None:
    for name in files:
        if not _FILE.fullmatch(name):
            raise ArtifactError(f"{folder / 'manifest.json'} lists {name!r}, which is not a name inside the folder")
    found = {entry.relative_to(folder).as_posix() for entry in _walk(folder)}
    listed = {"manifest.json", "manifest.sha256", *files}
    if found != listed:
        raise ArtifactError(f"{folder}: missing {sorted(listed - found)}, not in the manifest {sorted(found - listed)}")
    for name, entry in files.items():
        path = folder / name
        try:
            size = path.stat().st_size
            with path.open("rb") as file:
                intact = size == entry.bytes and hashlib.file_digest(file, "sha256").hexdigest() == entry.sha256
        except OSError as error:
            raise ArtifactError(f"{path} cannot be read: {error}") from error
        if not intact:
            raise ArtifactError(f"{path} has been altered: {size:,} bytes, {entry.bytes:,} expected, or other content")


def _walk(folder: Path) -> Iterator[Path]:
    """The files below a folder; a link, a device or an empty folder has no place there."""
    for entry in _entries(folder):
        mode = entry.lstat().st_mode
        if stat.S_ISREG(mode):
            yield entry
        elif stat.S_ISDIR(mode) and any(_entries(entry)):
            yield from _walk(entry)
        else:
            raise ArtifactError(f"{entry} is a link, a device or an empty folder, which a saved model does not have")


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise ArtifactError(f"{folder} cannot be read: {error}") from error


def _read(path: Path) -> bytes:
    try:
        if stat.S_ISREG(path.lstat().st_mode):
            return path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error}") from error
    raise ArtifactError(f"{path} is not a plain file")


def _pointed(path: Path) -> str:
    """The version that CURRENT or PREVIOUS names."""
    if not path.exists():
        found = ", ".join(folder.name for folder in _version_folders(path.parent))
        raise ArtifactError(
            f"{path.parent} has {found}, but none of them is the current one; promote one"
            if found
            else f"there is no model in {path.parent}"
        )
    content = _read(path)
    version = content[:-1].decode("ascii", errors="replace")
    if not (content.endswith(b"\n") and _VERSION.fullmatch(version)):
        raise ArtifactError(f"{path} has been altered: expected the name of a version, got {content[:40]!r}")
    return version


def _pointed_or_none(path: Path) -> str | None:
    with contextlib.suppress(ArtifactError):
        return _pointed(path)
    return None
