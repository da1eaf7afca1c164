"""Files that survive a crash: synced before they count, renamed into place, one writer at a time."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: writers there must not run at the same time
    fcntl = None  # type: ignore[assignment]


def write(path: Path, content: bytes) -> None:
    """Write a file and wait until it is on the disk. Its name is safe after `sync_directory` of its folder."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_directory(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    if os.name == "nt":  # directories cannot be opened there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a file, a link or a whole folder."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Wait until no other process holds the folder's lock, and hold it; it goes with the process."""
    with (folder / ".lock").open("wb") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
