"""Chromium, and servers with models of invented films for it to look at."""

import os
import shutil

import pytest
from invented import films, small_model
from running_server import serving
from waiting import until

from shortlist.evaluation.protocol import evaluate
from shortlist.reports import KeptReport, keep_report

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
PATIENT = ("--deadline-ms", "20000", "--poll-s", "0.1")


@pytest.fixture(scope="module")  # playwright's event loop must be gone before other tests start theirs
def browser():
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("in CI the page is tested in Chromium, and there is none: `make browser` installs Debian's")
        pytest.skip("there is no Chromium: `make browser`, or name one in CHROMIUM")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield running
        running.close()


@pytest.fixture(scope="session")
def parts():
    from shortlist.data.split import split

    return split(films(hostile=True), "time")


@pytest.fixture(scope="session")
def film_model(parts, tmp_path_factory):
    """A directory with a version that knows the training part, its report, and another version before it."""
    folder = tmp_path_factory.mktemp("films") / "model"
    small_model(parts.train, seed=1).save(folder)
    model = small_model(parts.train)
    version = model.save(folder).name
    report = evaluate(model, parts.train, parts.test, protocol="time")
    keep_report(folder, KeptReport(version, "this version", True, report.to_dict()))
    return folder


@pytest.fixture(scope="module")
def film_server(film_model, tmp_path_factory, browser):
    """A server for those who only look and rate."""
    folder = tmp_path_factory.mktemp("film-server")
    rules = folder / "rules.toml"
    rules.write_text("")
    with serving(film_model, folder / "log", "--store", f"sqlite:///{folder / 'events.db'}", *PATIENT) as server:
        yield server


@pytest.fixture
def own_film_server(film_model, tmp_path, browser):
    """A server of one's own: to promote by, to stop."""
    model = shutil.copytree(film_model, tmp_path / "model")
    with serving(model, tmp_path / "log", *PATIENT) as server:
        yield server


class Tab:
    """A page that is looked at: whatever its console complains of fails the test, unless it is expected."""

    def __init__(self, page, address):
        self.page, self.address, self.complaints, self.expected = page, address, [], ()
        page.on("console", lambda message: message.type == "error" and self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: (self.complaints.append(f"dialog {dialog.message}"), dialog.dismiss()))

    def go(self, place="", wait=True):
        self.page.goto(f"{self.address}/{place}")
        if wait:
            self.page.wait_for_selector("main h1", timeout=20_000)
            self.quiet()
        return self.page

    def quiet(self):
        """Wait until nothing is being loaded."""
        self.page.wait_for_load_state("networkidle")
        until(self.page, "!document.querySelector('[aria-busy=true], .loading')")

    def check(self):
        left = [one for one in self.complaints if not any(word in one for word in self.expected)]
        assert not left, left


@pytest.fixture
def open_tab(browser):
    """Opens tabs on a server: ``open_tab(server, width=375, scheme="dark")``."""
    contexts, tabs = [], []

    def made(server, width=1280, scheme="light", height=900, expected=()):
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        context.set_default_timeout(20_000)
        contexts.append(context)
        tabs.append(Tab(context.new_page(), server.address))
        tabs[-1].expected = expected
        return tabs[-1]

    yield made
    for tab in tabs:
        tab.check()
    for context in contexts:
        context.close()


collect_ignore = ["conftest.py"]
