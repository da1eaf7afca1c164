"""A user's mistake ends in one line that says what is wrong, never in a traceback."""

import os
import re
import signal
import subprocess
import sys

import pytest
from shells import shell

from shortlist.artifact import versions

MISTAKES = {
    "no such file": (["train", "{dir}/none.csv", "--out", "{dir}/x"], 1, "no such file"),
    "no such kind of file": (["train", "{dir}/quick.toml", "--out", "{dir}/x"], 1, ".parquet"),
    "wrong column": (["train", "{dir}/log.csv", "--column", "user_id=nobody", "--out", "{dir}/x"], 1, "nobody"),
    "half a column": (["train", "{dir}/log.csv", "--column", "user_id", "--out", "{dir}/x"], 1, "STANDARD=YOURS"),
    "unknown preset": (["train", "{dir}/log.csv", "--config", "quick", "--out", "{dir}/x"], 1, "unknown preset"),
    "unknown target": (["train", "{dir}/log.csv", "--target", "soon", "--out", "{dir}/x"], 1, "target"),
    "out is a file": (
        ["train", "{dir}/log.csv", "--config", "{dir}/quick.toml", "--out", "{dir}/log.csv"],
        1,
        "log.csv",
    ),
    "from without MovieLens": (["train", "{dir}/log.csv", "--from", "{dir}", "--out", "{dir}/x"], 1, "--from"),
    "unknown protocol": (["evaluate", "{dir}/log.csv", "--protocol", "best"], 1, "protocol"),
    "out below a file": (["train", "{dir}/log.csv", "--out", "{dir}/log.csv/m"], 1, "log.csv is a file"),
    "out in a version": (["train", "{dir}/log.csv", "--out", "{version}"], 1, "one version of a model"),
    "no model": (["recommend", "{dir}/nothing", "1"], 1, "no model at {dir}/nothing"),
    "a folder without a model": (["recommend", "{dir}/empty", "1"], 1, "no model in {dir}/empty"),
    "versions of no model": (["models", "list", "{dir}/empty"], 1, "no model in {dir}/empty"),
    "versions of nothing": (["models", "list", "{dir}/nothing"], 1, "no model at {dir}/nothing"),
    "no users": (["recommend", "{dir}/model"], 1, "--all"),
    "all without a file": (["recommend", "{dir}/model", "--all"], 1, "--out"),
    "a file of no kind": (["recommend", "{dir}/model", "--all", "--out", "{dir}/a.txt"], 1, ".parquet"),
    "no folder for the file": (
        ["recommend", "{dir}/model", "--all", "--out", "{dir}/none/a.csv"],
        1,
        "there is no folder {dir}/none",
    ),
    "a folder for a file": (["recommend", "{dir}/model", "1", "--out", "{dir}/folder.csv"], 1, "is a folder"),
    "figures in no folder": (["quickstart", "--json", "{dir}/none/figures.json"], 1, "there is no folder {dir}/none"),
    "history with blanks": (["recommend", "{dir}/model", "1", "--history", "2", "3", "4"], 1, "--history 2,3,4"),
    "bad condition": (["recommend", "{dir}/model", "1", "--where", "colour == 1"], 1, "colour"),
    "hostile condition": (["recommend", "{dir}/model", "1", "--where", "__import__('os')"], 1, "position"),
    "bad moment": (["recommend", "{dir}/model", "1", "--at", "yesterday"], 1, "--at"),
    "k of nought": (["recommend", "{dir}/model", "1", "--k", "0"], 2, "--k"),
    "unknown option": (["recommend", "{dir}/model", "1", "--kk", "3"], 2, "--kk"),
    "unknown edition": (["data", "fetch", "ml-7"], 1, "ml-7"),
    "verify nothing": (["models", "verify", "{dir}"], 1, "error"),
    "unknown version": (["models", "promote", "{dir}/model", "0123456789abcdef"], 1, "0123456789abcdef"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake(run, files, model, name):
    arguments, code, says = MISTAKES[name]
    for folder in ("empty", "folder.csv"):
        (files / folder).mkdir(exist_ok=True)
    places = {"dir": str(files), "version": str(model / versions(model)[0])}
    done = run(*(re.sub(r"\{(\w+)\}", lambda found: places[found[1]], argument) for argument in arguments))
    assert done.code == code, done.err
    assert says.replace("{dir}", str(files)) in done.err.replace("\n", " ")
    assert not done.out
    if code == 1:
        assert "error: " in done.err


def test_an_unknown_user_is_no_mistake(run, model):
    done = run("recommend", model, "nobody", "987654")
    assert done.code == 0
    assert "nobody" in done.out


def test_no_traceback_in_a_real_shell(files):
    done = shell("train", files / "none.csv", "--out", files / "x")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert not done.stdout


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_an_interrupt_ends_with_130(files, tmp_path):
    """Its settings come from a pipe that nobody writes to: the command has begun, and waits."""
    os.mkfifo(tmp_path / "settings.toml")
    arguments = ["train", files / "log.csv", "--config", tmp_path / "settings.toml", "--out", tmp_path / "model"]
    command = [sys.executable, "-m", "shortlist", *map(str, arguments)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    with (tmp_path / "settings.toml").open("wb"):  # it opens when the command has opened the other end
        process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert not out
    assert not (tmp_path / "model").exists()
