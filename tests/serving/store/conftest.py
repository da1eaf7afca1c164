"""A store in a file of its own, in memory where the system has such a folder: there nothing waits for a disk."""

import os
import tempfile
from pathlib import Path

import pytest

from shortlist.serving.store.opening import open_store

MEMORY = Path("/dev/shm")


@pytest.fixture
def folder():
    fast = MEMORY if os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=fast, prefix="shortlist-test-") as name:
        yield Path(name)


@pytest.fixture
def path(folder):
    return folder / "events.db"


@pytest.fixture
def url(path):
    return f"sqlite:///{path}"


@pytest.fixture
def store(url):
    opened = open_store(url)
    yield opened
    opened.close()


collect_ignore = ["conftest.py"]  # it holds no doctests, and two modules of one name cannot both be collected
