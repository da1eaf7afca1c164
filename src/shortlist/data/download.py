"""Fetching a file whose size and SHA-256 are known beforehand, and unpacking it safely.

What arrives is checked before anything looks at it, and takes its final name in one step: a file or folder under its
final name is complete, whatever was interrupted.
"""

import hashlib
import http.client
import importlib.util
import re
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

from shortlist.errors import DataError, DownloadError

CONNECT_TIMEOUT_SECONDS = 5.0
READ_TIMEOUT_SECONDS = 20.0
PIP_TIMEOUT_SECONDS = 300.0
CHUNK_BYTES = 1 << 16

Progress = Callable[[int, int | None], None]
"""``progress(done_bytes, total_bytes)``; the total is ``None`` where it is not known."""


@dataclass(frozen=True)
class Pin:
    """A published file and what it must be.

    Attributes:
        source: its address, or for a wheel the requirement that pip is given (``name==version``).
        n_bytes: its size.
        sha256: its SHA-256, in hexadecimal.
    """

    source: str
    n_bytes: int
    sha256: str


class Unreachable(DownloadError):
    """The file could not be had from there: no connection, an error status, or a connection that broke off."""


def download(pin: Pin, target: Path, progress: Progress | None = None) -> Path:
    """Download a pinned file to ``target``.

    Raises:
        Unreachable: the host did not deliver the whole file.
        DownloadError: it delivered another file; nothing is kept.
    """
    part = target.with_name(target.name + ".part")
    n_done = 0
    try:
        with part.open("wb") as file:
            for chunk in _chunks(pin.source):
                file.write(chunk)
                n_done += len(chunk)
                if progress is not None:
                    progress(n_done, pin.n_bytes)
                if n_done > pin.n_bytes:
                    break
        verify(part, pin)
        return part.replace(target)
    finally:
        part.unlink(missing_ok=True)


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
        raise DownloadError(
            f"{pin.source}: expected {pin.n_bytes:,} bytes with SHA-256 {pin.sha256}, "
            f"got {at_least}{n_bytes:,} bytes with SHA-256 {sha256}; nothing was kept"
        )


def sha256_of(file: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def unpack(archive: Path, marker: str, members: str, folder: Path) -> None:
    """Copy files out of a zip: those beside ``marker`` whose name matches the pattern ``members``.

    Only base names are used, so whatever path a member claims, nothing is written outside ``folder``.

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
                    (folder / path.name).write_bytes(opened.read(member))
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise DataError(f"{archive}: cannot be read as a zip ({error})") from error


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


def _chunks(url: str) -> Iterator[bytes]:
    """The body of an answer, piece by piece."""
    n_done = 0
    try:
        with _opener().open(url, timeout=CONNECT_TIMEOUT_SECONDS) as response:
            while chunk := response.read(CHUNK_BYTES):
                n_done += len(chunk)
                yield chunk
            announced = int(response.headers.get("Content-Length", n_done))
    except urllib.error.HTTPError as error:
        error.close()
        raise Unreachable(f"{url}: the server answered {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        after = f" (after {n_done:,} bytes)" if n_done else ""
        raise Unreachable(f"{url}: {reason}{after}") from error
    if n_done < announced:
        raise Unreachable(f"{url}: the connection broke off after {n_done:,} of {announced:,} bytes")


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
