"""The Python on the pages runs: each page's ```python blocks in order, in one namespace, in an empty folder.

Tests that a page defines (``class Test…``, ``def test_…``) are run too. Blocks in other languages, and
``pycon`` sessions, are not run.
"""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    "CONTRIBUTING.md",
    "README.md",
    "docs/evaluation.md",
    "docs/events.md",
    "docs/from-tfrs.md",
    "docs/last-word.md",
    "docs/validation.md",
]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def python_blocks(text):
    """``(line, code)`` of each block: the line of its first statement, counted from 1."""
    return [(text.count("\n", 0, found.start()) + 2, found.group(1)) for found in BLOCK.finditer(text)]


def run_page(path):
    """The namespace after all blocks of a page."""
    namespace = {"__name__": f"page_{path.stem}"}
    for line, code in python_blocks(path.read_text(encoding="utf-8")):
        # Blank lines in front make a traceback point to the line of the page.
        exec(compile("\n" * (line - 1) + code, str(path), "exec"), namespace)
    return namespace


def run_tests(namespace):
    """Run the tests that a page defines, as pytest would run tests without arguments; returns how many there were."""
    functions = [value for name, value in namespace.items() if name.startswith("test_")]
    classes = [value for name, value in namespace.items() if name.startswith("Test")]
    for test in functions:
        test()
    methods = [(cls, name) for cls in classes for name in dir(cls) if name.startswith("test_")]
    for cls, name in methods:
        instance = cls()
        getattr(instance, "setup_method", lambda: None)()
        getattr(instance, name)()
    return len(functions) + len(methods)


@pytest.mark.parametrize("page", PAGES)
def test_the_pages_code_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(ROOT / "tests" / "retrieval"), *sys.path])
    assert python_blocks((ROOT / page).read_text(encoding="utf-8")), f"{page} has no Python; take it off the list"
    run_tests(run_page(ROOT / page))


def test_blocks_are_found_with_their_lines():
    text = "# Page\n\n```python\nx = 1\n```\n\n```sh\nls\n```\n\n```python\ny = x\n```\n"
    assert python_blocks(text) == [(4, "x = 1\n"), (12, "y = x\n")]


def test_a_failure_names_the_page_and_the_line(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("# Page\n\n```python\nx = 1\n```\n\n```python\nassert x == 2\n```\n")
    with pytest.raises(AssertionError) as failure:
        run_page(path)
    assert (str(failure.traceback[-1].path), failure.traceback[-1].lineno + 1) == (str(path), 8)


@pytest.mark.parametrize(
    "test", ["def test_it():\n    assert x", "class TestIt:\n    def test_it(self):\n        assert x"]
)
def test_a_pages_own_tests_are_run(test, tmp_path):
    path = tmp_path / "page.md"
    path.write_text(f"```python\nx = 1\n```\n\n```python\n{test}\n```\n")
    assert run_tests(run_page(path)) == 1
    path.write_text(path.read_text().replace("x = 1", "x = 0"))
    with pytest.raises(AssertionError):
        run_tests(run_page(path))
