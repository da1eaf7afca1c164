import json

import pytest
from shells import shell

from shortlist.data.dataset import Dataset
from shortlist.data.power_law import PowerLaw, power_law

SIZE = ("--interactions", "3000", "--users", "200", "--items", "150")


def read(folder):
    return Dataset.from_parquet(*(folder / f"{name}.parquet" for name in ("interactions", "items", "users")))


def test_writes_the_log_that_the_library_makes(run, tmp_path):
    done = run("data", "synthesize", "--out", tmp_path / "a" / "log", *SIZE, "--seed", "7", "--repeats", "0.25")
    assert done.code == 0, done.err
    law = PowerLaw(n_interactions=3_000, n_users=200, n_items=150, seed=7, repeats=0.25)
    assert read(tmp_path / "a" / "log").fingerprint == power_law(law).fingerprint
    assert "next: shortlist train" in done.out


def test_json_and_a_shell_of_its_own(tmp_path):
    done = shell("data", "synthesize", "--out", "log", *SIZE, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert [(tmp_path / file).stat().st_size for file in made["files"]] == made["bytes"]
    assert len(read(tmp_path / "log")) == 3_000


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--users", "2000"), "n_interactions: expected an integer of at least 4,000"),
        (("--repeats", "1.5"), "repeats: expected a number from 0 to 1"),
        (("--items", "10"), "ask for fewer rows or for more users or items"),
    ],
)
def test_mistakes(run, tmp_path, arguments, expected):
    done = run("data", "synthesize", "--out", tmp_path / "log", *SIZE, *arguments)
    assert (done.code, done.out) == (1, "")
    assert expected in done.err.replace("\n", " ")
    assert not (tmp_path / "log").exists()


def test_nothing_is_overwritten(run, tmp_path):
    (tmp_path / "users.parquet").write_text("mine")
    done = run("data", "synthesize", "--out", tmp_path, *SIZE)
    assert done.code == 1
    assert "exists already" in done.err.replace("\n", " ")
    assert [file.name for file in tmp_path.iterdir()] == ["users.parquet"]
    assert (tmp_path / "users.parquet").read_text() == "mine"
