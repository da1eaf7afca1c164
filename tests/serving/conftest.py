"""One model with trees, trained once, in directories of its own for whoever wants to change them."""

import shutil

import pytest
from ladder_harness import Harness
from running_server import PATIENT, serving

import quick_models
from shortlist.saving import load

FIGURES = []


@pytest.fixture(scope="session")
def note():
    """Writes a figure of a long test down: name and value, told when all tests are over."""
    return lambda name, value: FIGURES.append((name, value))


def pytest_terminal_summary(terminalreporter):
    for name, value in FIGURES:
        terminalreporter.write_line(f"| {name} | {value:,} |" if isinstance(value, int) else f"| {name} | {value} |")


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "model"
    quick_models.with_trees().save(folder)
    return folder


@pytest.fixture(scope="session")
def model(saved):
    return load(saved)


@pytest.fixture
def harness(saved):
    """The server's inside, without HTTP, with stages that can be made to fail."""
    made = Harness(saved)
    yield made
    made.released.set()
    made.service.workers.stop()


@pytest.fixture
def model_dir(saved, tmp_path):
    """A copy to publish into."""
    return shutil.copytree(saved, tmp_path / "model")


@pytest.fixture(scope="session")
def server(saved, model, tmp_path_factory):
    """A server for all who only ask."""
    folder = tmp_path_factory.mktemp("server")
    store = f"sqlite:///{folder / 'events.db'}"
    with serving(saved, folder / "log", "--store", store, *PATIENT) as running:
        running.model = model
        yield running


@pytest.fixture
def own_server(model_dir, tmp_path):
    """A server of one's own, with a store."""
    with serving(model_dir, tmp_path / "log", "--poll-s", "0.1", *PATIENT) as running:
        yield running


collect_ignore = ["conftest.py"]  # it holds no doctests, and two modules of one name cannot both be collected
