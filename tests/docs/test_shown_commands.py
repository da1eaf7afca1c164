"""Every ``shortlist …`` line in a block of a page names a command that exists, with options that it has."""

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from shortlist.cli.main import app

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(?:sh)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def shown_commands(text):
    """The words of each line that begins with ``shortlist``, comments and continuations taken care of."""
    lines = "\n".join(BLOCK.findall(text)).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines if re.match(r"(\$ )?shortlist ", line)]


def fault_of(words):
    """What is wrong with the words after ``shortlist``; ``None`` = nothing."""
    command, rest = get_command(app), list(words)
    while hasattr(command, "commands"):
        name = rest.pop(0) if rest else ""
        if name not in command.commands:
            return f"no command {name!r}"
        command = command.commands[name]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    known.add("--help")
    unknown = [word for word in rest if re.match(r"--?[a-z]", word) and word.split("=")[0] not in known]
    return f"no option {unknown[0]!r}" if unknown else None


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_on_a_page_exist(page):
    faults = {" ".join(words): fault_of(words) for words in shown_commands((ROOT / page).read_text(encoding="utf-8"))}
    assert not {command: fault for command, fault in faults.items() if fault}


def test_the_pages_show_commands():
    assert len([page for page in PAGES if shown_commands((ROOT / page).read_text(encoding="utf-8"))]) >= 4


@pytest.mark.parametrize(("words", "fault"), [
    (["serve", "models/a", "--port", "1"], None),
    (["serve", "models/a", "--prot", "1"], "no option '--prot'"),
    (["models", "lst"], "no command 'lst'"),
    ([], "no command ''"),
])  # fmt: skip
def test_faults_are_found(words, fault):
    assert fault_of(words) == fault
