"""One small log on disk and one model trained from it by the command itself."""

import sys
from types import SimpleNamespace

import pytest
from shells import shell

from shortlist.cli.main import main
from shortlist.data.synthetic import two_tastes

QUICK = '[ranking]\nranker = "fusion"\n'


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


collect_ignore = ["conftest.py"]  # it holds no doctests, and two modules of one name cannot both be collected
