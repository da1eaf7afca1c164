"""What the TAB key offers: asked of the command in the shell's own way, and once of a real bash with a real key."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.main import get_command

from shortlist.artifact import versions
from shortlist.cli.main import app
from shortlist.config import PRESETS
from shortlist.data.movielens import EDITIONS

BASH = shutil.which("bash")
needs_bash = pytest.mark.skipif(BASH is None, reason="there is no bash here")
NAMES = [edition.name for edition in EDITIONS.values()]


@pytest.fixture(scope="module")
def folder(model, files, tmp_path_factory):
    """A working folder with data, a model and the command on the path."""
    folder = tmp_path_factory.mktemp("work")
    command = folder / "bin" / "shortlist"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m shortlist "$@"\n')
    command.chmod(0o755)
    shutil.copytree(model, folder / "mine")
    (folder / "ml-mine").mkdir()
    for name in ("log.csv", "items.parquet", "fine.toml", "notes.txt"):
        (folder / name).touch()
    return folder


def environment(folder, **more):
    return {**os.environ, "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}", **more}


def asked(folder, words, shell):
    """The raw answer to a shell that asks what may stand in place of the last word."""
    protocol = {
        "bash": {"COMP_WORDS": "\n".join(words), "COMP_CWORD": str(len(words) - 1)},
        "zsh": {"_TYPER_COMPLETE_ARGS": " ".join(words)},
        "fish": {"_TYPER_COMPLETE_ARGS": " ".join(words), "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }
    more = {"_SHORTLIST_COMPLETE": f"complete_{shell}", **protocol[shell]}
    done = subprocess.run(
        ["shortlist"], cwd=folder, env=environment(folder, **more), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


def offered(folder, *words):
    return [line for line in asked(folder, ["shortlist", *words], "bash").splitlines() if line]


def test_names_of_commands(folder):
    every = ["quickstart", "train", "evaluate", "recommend", "data", "models", "doctor"]
    assert set(every) <= set(offered(folder, ""))
    assert offered(folder, "tr") == ["train"]
    assert {"fetch", "describe"} <= set(offered(folder, "data", ""))
    assert offered(folder, "models", "ro") == ["rollback"]


def test_names_of_options(folder):
    assert offered(folder, "train", "--thr") == ["--threads"]
    options = offered(folder, "recommend", "--")
    for command_option in ("--history", "--where", "--keep-seen", "--json"):
        assert command_option in options


VALUES = {
    "an edition": (["data", "fetch", "ml-2"], [name for name in NAMES if name.startswith("ml-2")]),
    "all editions": (["data", "fetch", ""], NAMES),
    "data": (["train", ""], [*NAMES, "bin/", "items.parquet", "log.csv", "mine/", "ml-mine/"]),
    "data after an option": (["evaluate", "--k", "5", "ml-1m"], ["ml-1m"]),
    "what to judge, after another": (["evaluate", "mine", "fa"], ["fast"]),
    "a model or a file to judge": (["evaluate", "fi"], []),
    "files are the shell's business": (["train", "lo"], []),
    "a preset": (["train", "log.csv", "--config", "t"], [name for name in PRESETS if name.startswith("t")]),
    "a preset or a file": (["train", "log.csv", "--config", "f"], ["fast", "fine.toml"]),
    "a target": (["train", "log.csv", "--target", ""], ["window", "next", "random"]),
    "a target's beginning": (["train", "log.csv", "--target", "n"], ["next"]),
    "a protocol": (["evaluate", "log.csv", "--protocol", ""], ["time", "next", "random"]),
    "a place to save": (["train", "log.csv", "--out", "mi"], []),
    "a model": (["recommend", "mi"], []),
    "no versions of no model": (["models", "promote", "nothing", ""], []),
    "no versions of a folder": (["models", "promote", "bin", ""], []),
}


@pytest.mark.parametrize("name", VALUES)
def test_values(folder, name):
    words, expected = VALUES[name]
    assert offered(folder, *words) == expected


def test_versions_of_the_model_that_stands_before(folder):
    (version,) = versions(folder / "mine")
    assert offered(folder, "models", "promote", "mine", "") == [version]
    assert offered(folder, "models", "promote", "mine", version[:3]) == [version]
    assert offered(folder, "models", "promote", "mine", "x") == []


def test_every_value_that_is_a_file_says_so():
    """A path without a completion of its own would be completed as itself by older versions of typer."""

    def parameters(command):
        for one in getattr(command, "commands", {}).values():
            yield from parameters(one)
        yield from ((command, parameter) for parameter in command.params)

    silent = [
        f"{command.name} {parameter.name}"
        for command, parameter in parameters(get_command(app))
        if getattr(parameter, "type_descriptor", None) is not None
        and parameter.type_descriptor.annotation is Path
        and parameter._custom_shell_complete is None
    ]
    assert not silent


def test_zsh_and_fish_are_answered_too(folder):
    assert '"window"' in asked(folder, ["shortlist", "train", "log.csv", "--target", ""], "zsh")
    assert asked(folder, ["shortlist", "train", "log.csv", "--out", ""], "zsh").strip() == "_files"
    lines = asked(folder, ["shortlist", "mo"], "fish").splitlines()
    assert [line.partition("\t")[0] for line in lines] == ["models"]


@needs_bash
def test_the_script_for_bash_says_what_it_offers(folder):
    """The script that --show-completion prints, sourced by a real bash, whose function is then called."""
    script = """
        eval "$(shortlist --show-completion)"
        COMP_WORDS=(shortlist train log.csv --target ""); COMP_CWORD=4
        _shortlist_completion shortlist; echo "${COMPREPLY[*]}"
        complete -p shortlist
    """
    done = subprocess.run(
        [BASH, "--norc", "-c", script], cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=60
    )
    first, second = done.stdout.splitlines()
    assert first.split() == ["window", "next", "random"]
    assert "-o default" in second  # where nothing is offered, files are
    assert "-F _shortlist_completion" in second


@needs_bash
def test_installing_writes_into_the_home_folder(folder, tmp_path):
    done = subprocess.run(
        [BASH, "--norc", "-c", "shortlist --install-completion"],
        env=environment(folder, HOME=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    script = tmp_path / ".bash_completions" / "shortlist.sh"
    assert "_SHORTLIST_COMPLETE=complete_bash" in script.read_text()
    assert str(script) in (tmp_path / ".bashrc").read_text()


@needs_bash
@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("shortlist mod\tver\t", "shortlist models verify "),
        ("shortlist train lo\t--target win\t", "shortlist train log.csv --target window "),
        ("shortlist train log.csv --out min\t", "shortlist train log.csv --out mine/"),
    ],
)
def test_the_key_itself(folder, typed, completed):
    line = line_after(folder, typed)
    assert line == completed.rstrip()


def line_after(folder, typed):
    """What stands on the line of an interactive bash after these keys: home, `echo '`, end, `'` and return show it."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.execve(BASH, [BASH, "--norc", "--noprofile", "-i"], environment(folder, PS1="ready> ", TERM="dumb"))
    try:
        wait_for(terminal, "ready> ")
        os.write(terminal, b'eval "$(_SHORTLIST_COMPLETE=source_bash shortlist)"; echo sour""ced\n')
        seen = wait_for(terminal, "sourced")
        os.write(terminal, typed.encode() + b"\x01echo 'LINE:\x05:END'\n")
        seen = wait_for(terminal, re.compile(r"\nLINE:(.*?):END"))
        return re.search(r"\nLINE:(.*?):END", seen)[1].rstrip()
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
        os.close(terminal)


def wait_for(terminal, pattern, seen=""):
    end = time.monotonic() + 30
    while not re.search(pattern, seen):
        assert time.monotonic() < end, seen
        if select.select([terminal], [], [], 0.1)[0]:
            seen += os.read(terminal, 65536).decode(errors="replace").replace("\r", "")
    return seen


def test_the_key_does_not_wait_for_libraries():
    program = "import sys, shortlist.cli.main; print([n for n in ('numpy', 'polars', 'torch') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
