"""Fetching a file whose size and SHA-256 are known beforehand, and unpacking it safely.

What arrives is checked before anything looks at it, and takes its final name in one step: a file or folder under its
final name is complete, whatever was interrupted.
"""

import hashlib
import http.client
import importlib.util
import os
import re
import shutil
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from shortlist import durable
from shortlist.errors import DataError, DownloadError

CONNECT_TIMEOUT_SECONDS = 5.0
READ_TIMEOUT_SECONDS = 20.0
PIP_TIMEOUT_SECONDS = 300.0
CHUNK_BYTES = 1 << 16
MAX_RESUMPTIONS = 10

Progress = Callable[[int, int | None], None]
"""``progress(done_bytes, total_bytes)``; the total is ``None`` where it is not known."""


@dataclass(frozen=True)
class Pin:
    """A published file and what it must be.

    Attributes:
        source: its address, or for a wheel the requirement that pip is given (``name==version``).
        n_bytes: its size.
        sha256: its SHA-256, in hexadecimal.
        remark: what to say where another file came, as a sentence without its stop; "" = nothing.
    """

    source: str
    n_bytes: int
    sha256: str
    remark: str = ""


class Unreachable(DownloadError):
    """The file could not be had from there: no connection, an error status, or a connection that broke off."""


def download(pin: Pin, target: Path, progress: Progress | None = None) -> Path:
    """Download a pinned file to ``target``, in several pieces where the connection breaks off.

    Raises:
        Unreachable: the host did not deliver the whole file.
        DownloadError: it delivered another file; nothing is kept.
    """
    part = target.with_name(target.name + ".part")
    try:
        with part.open("wb") as file:
            _receive(pin, file, progress)
        verify(part, pin)
        return part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _receive(pin: Pin, file: BinaryIO, progress: Progress | None) -> None:
    """Fill an empty file; when the connection breaks off, go on from there if that attempt brought anything new."""
    for n_left in range(MAX_RESUMPTIONS, -1, -1):
        n_before = file.seek(0, 2)
        try:
            for position, chunk in _chunks(pin.source, n_before):
                file.seek(position)
                file.write(chunk)
                if progress is not None:
                    progress(file.tell(), pin.n_bytes)
                if file.tell() > pin.n_bytes:
                    return
            file.truncate()
            return
        except Unreachable:
            if n_left == 0 or file.seek(0, 2) <= n_before:
                raise


def pip_download(pin: Pin, folder: Path, progress: Progress | None = None) -> Path:
    """Download a pinned wheel into an empty folder with this interpreter's pip, as the user has configured it.

    Nothing is installed and nothing of the wheel is run.

    Raises:
        DownloadError: there is no pip, it failed, or it brought another file.
    """
    if importlib.util.find_spec("pip") is None:
        raise DownloadError(f"this Python ({sys.executable}) has no pip; `{sys.executable} -m ensurepip` installs it")
    if progress is not None:
        progress(0, pin.n_bytes)
    options = ["--no-deps", "--only-binary", ":all:", "--no-input", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "download", *options, pin.source, "-d", str(folder)]
    try:
        run = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=PIP_TIMEOUT_SECONDS,
            check=False,
        )
    except (subprocess.TimeoutExpired, OSError) as error:
        raise DownloadError(f"pip download {pin.source} failed: {error}") from error
    wheels = list(folder.glob("*.whl"))
    if run.returncode != 0 or not wheels:
        lines = [line for line in run.stderr.splitlines() if line.startswith("ERROR")] or run.stderr.splitlines()
        raise DownloadError(f"pip download {pin.source} failed: {lines[-1][:300] if lines else 'no message'}")
    verify(wheels[0], pin)
    if progress is not None:
        progress(pin.n_bytes, pin.n_bytes)
    return wheels[0]


def verify(file: Path, pin: Pin) -> None:
    """Check a file's size and digest; a wrong one is deleted.

    Raises:
        DownloadError: telling what was expected and what came.
    """
    n_bytes, sha256 = file.stat().st_size, sha256_of(file)
    if (n_bytes, sha256) != (pin.n_bytes, pin.sha256):
        file.unlink()
        at_least = "at least " if n_bytes > pin.n_bytes else ""
        remark = f". {pin.remark}" if pin.remark else ""
        raise DownloadError(
            f"{pin.source}: expected {pin.n_bytes:,} bytes with SHA-256 {pin.sha256}, "
            f"got {at_least}{n_bytes:,} bytes with SHA-256 {sha256}; nothing was kept{remark}"
        )


def sha256_of(file: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def unpack(archive: Path, marker: str, members: str, folder: Path) -> None:
    """Copy files out of a zip: those beside ``marker`` whose name matches the pattern ``members``.

    Only base names are used, so whatever path a member claims, nothing is written outside ``folder``. The files are on
    the disk when this returns, so that a folder renamed then is complete even after a power failure.

    Args:
        archive: a zip file; a wheel is one.
        marker: base name of the file that tells where in the zip the wanted folder is.
        members: a regular expression for the base names; it must not match a separator of paths.
        folder: made here.

    Raises:
        DataError: the zip cannot be read.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            files = [(member, PurePosixPath(member.filename)) for member in opened.infolist() if not member.is_dir()]
            inside = next(path.parent for _, path in files if path.name == marker)
            folder.mkdir()
            for member, path in files:
                if path.parent == inside and re.fullmatch(members, path.name):
                    _copy(opened, member, folder / path.name)
            durable.sync_directory(folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise DataError(f"{archive}: cannot be read as a zip ({error})") from error


def _copy(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    with archive.open(member) as packed, target.open("wb") as file:
        shutil.copyfileobj(packed, file, 1 << 20)
        file.flush()
        os.fsync(file.fileno())


def zip_names(archive: Path) -> set[str]:
    """The base names of a zip's members.

    Raises:
        DataError: the file is not a zip.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            return {PurePosixPath(member.filename).name for member in opened.infolist() if not member.is_dir()}
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{archive}: expected a folder or a zip file, got neither ({error})") from error


def _chunks(url: str, start: int) -> Iterator[tuple[int, bytes]]:
    """The body of an answer from byte ``start`` on, each piece with its position; all of it if the host insists."""
    n_done = start
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        with _opener().open(request, timeout=CONNECT_TIMEOUT_SECONDS) as response:
            n_done = start if response.status == http.HTTPStatus.PARTIAL_CONTENT else 0
            length = response.headers.get("Content-Length")
            n_total = n_done + int(length) if length else None
            while chunk := response.read(CHUNK_BYTES):
                yield n_done, chunk
                n_done += len(chunk)
    except urllib.error.HTTPError as error:
        error.close()
        raise Unreachable(f"{url}: the server answered {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        after = f" (after {n_done:,} bytes)" if n_done else ""
        raise Unreachable(f"{url}: {reason}{after}") from error
    if n_total is not None and n_done < n_total:
        raise Unreachable(f"{url}: the connection broke off after {n_done:,} of {n_total:,} bytes")


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_HttpHandler(), _HttpsHandler())


# urllib knows one timeout for both; these connections wait briefly for the host and longer for its data.
class _HttpConnection(http.client.HTTPConnection):
    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(READ_TIMEOUT_SECONDS)


class _HttpsConnection(http.client.HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(READ_TIMEOUT_SECONDS)


class _HttpHandler(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_HttpConnection, req)


class _HttpsHandler(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_HttpsConnection, req, context=ssl.create_default_context())
