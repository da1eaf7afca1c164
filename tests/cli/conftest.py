"""One small log on disk and one model trained from it by the command itself."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from shortlist.cli.main import main
from shortlist.data.synthetic import two_tastes

QUICK = '[ranking]\nranker = "fusion"\n'


def shell(*arguments, cwd=None):
    """A command as a process of its own, as a user starts it."""
    return subprocess.run(
        [sys.executable, "-m", "shortlist", *map(str, arguments)], capture_output=True, text=True, cwd=cwd, timeout=300
    )


@pytest.fixture
def run(monkeypatch, capsys):
    """A command in this process: exit code, stdout, stderr."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["shortlist", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
        out, err = capsys.readouterr()
        return SimpleNamespace(code=code, out=out, err=err)

    return call


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("log")
    dataset = two_tastes()
    dataset.interactions.write_csv(folder / "log.csv")
    dataset.items.write_csv(folder / "items.csv")
    dataset.interactions.write_parquet(folder / "log.parquet")
    (folder / "quick.toml").write_text(QUICK)
    return folder


@pytest.fixture(scope="session")
def model(files):
    done = shell(
        *("train", files / "log.csv", "--items", files / "items.csv", "--target", "next"),
        *("--config", files / "quick.toml", "--out", files / "model"),
    )
    assert done.returncode == 0, done.stderr
    return files / "model"
