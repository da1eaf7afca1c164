"""A user's mistake ends in one line that says what is wrong, never in a traceback."""

import pytest
from shells import shell

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
    "no model": (["recommend", "{dir}/nothing", "1"], 1, "nothing"),
    "no users": (["recommend", "{dir}/model"], 1, "--all"),
    "all without a file": (["recommend", "{dir}/model", "--all"], 1, "--out"),
    "a file of no kind": (["recommend", "{dir}/model", "--all", "--out", "{dir}/a.txt"], 1, ".parquet"),
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
    done = run(*(argument.replace("{dir}", str(files)) for argument in arguments))
    assert done.code == code, done.err
    assert says in done.err.replace("\n", " ")
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
