import json

import polars as pl
import pytest
from shells import shell

import shortlist as sl
from shortlist.cli.train import _ranker as described_ranker

NAMES = [
    "quickstart",
    "data fetch",
    "data split",
    "data validate",
    "data describe",
    "data synthesize",
    "doctor",
    "train",
    "evaluate",
    "recommend",
    "explain",
    "rules check",
    "rules test",
    "models verify",
    "models list",
    "models promote",
    "models rollback",
]


@pytest.mark.parametrize("name", ["", *NAMES])
def test_help(run, name):
    done = run(*name.split(), "--help")
    assert done.code == 0
    assert "Usage: shortlist" in done.out.replace("\n", " ")


def test_version(run):
    assert run("--version").out.strip() == sl.__version__


def test_a_whole_life_in_the_shell(model, files):
    answer = shell("recommend", model, "1", "--k", "3", "--json")
    assert answer.returncode == 0, answer.stderr
    rows = json.loads(answer.stdout)["recommendations"]
    assert [row["rank"] for row in rows] == [1, 2, 3]
    assert rows[0]["title"]
    assert shell("models", "verify", model).stdout.startswith(str(model))
    page = shell("recommend", model, "1", "--details")
    assert "history items" in page.stdout
    assert not page.stderr


def test_train_reports_json(run, files, tmp_path):
    done = run(
        *("train", files / "log.parquet", "--config", files / "quick.toml", "--out", tmp_path / "m", "--json"),
        *("--threads", "1", "--seed", "3"),
    )
    report = json.loads(done.out)
    assert report["target"] == "window"
    assert report["record"]["ranker"] == "fusion"
    assert sl.load(report["model_path"]).config.seed == 3


def test_everybody_into_a_file(run, model, tmp_path):
    loaded = sl.load(model)
    expected = loaded.recommend(loaded.users["user_id"], k=4)
    done = run("recommend", model, "--all", "--k", "4", "--out", tmp_path / "all.parquet", "--json")
    assert json.loads(done.out)["rows"] == len(expected)
    assert pl.read_parquet(tmp_path / "all.parquet").equals(expected)
    assert run("recommend", model, "--all", "--k", "4", "--out", tmp_path / "all.csv").code == 0
    assert len(pl.read_csv(tmp_path / "all.csv")) == len(expected)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["all.csv", "all.parquet"]


def test_filters_reach_the_model(run, model):
    asked = ("recommend", model, "1", "--json", "--k", "40")
    everything = json.loads(run(*asked, "--keep-seen").out)["recommendations"]
    assert len(everything) == 40
    some = [row["item_id"] for row in everything[:3]]
    included = json.loads(run(*asked, "--keep-seen", "--include", ",".join(map(str, some))).out)["recommendations"]
    assert sorted(row["item_id"] for row in included) == sorted(some)
    excluded = json.loads(run(*asked, "--keep-seen", "--exclude", some[0]).out)["recommendations"]
    assert len(excluded) == 39
    first = json.loads(run(*asked, "--keep-seen", "--where", f"item_id == {some[0]}").out)["recommendations"]
    assert [row["item_id"] for row in first] == [some[0]]


def test_a_history_instead_of_a_user(run, model):
    stranger = json.loads(run("recommend", model, "--history", "1,2", "--json", "--details").out)
    assert stranger["details"][0]["history_items"] == 2
    assert stranger["recommendations"][0]["user_id"] is None


def test_versions_can_be_listed_and_rolled_back(run, files, tmp_path):
    for seed in (1, 2):
        arguments = ("train", files / "log.csv", "--config", files / "quick.toml", "--out", tmp_path / "m")
        assert run(*arguments, "--seed", str(seed)).code == 0
    listed = json.loads(run("models", "list", tmp_path / "m", "--json").out)
    assert len(listed) == 2
    assert listed[1] in run("models", "rollback", tmp_path / "m").out
    assert run("models", "promote", tmp_path / "m", listed[0]).code == 0
    assert "(current)" in run("models", "list", tmp_path / "m").out.splitlines()[0]


def test_the_summary_of_a_blend_for_each_kind_of_query():
    one = {"ranker": "trees", "trees": 20, "blend": {"trees": 1.0, "ease_z": 0.1}}
    two = one | {"blend": [{"trees": 1.0, "popularity_z": 0.3}, {"trees": 0.0, "ease_z": 1.0}]}
    assert described_ranker(one) == "20 trees, score = 1 x trees + 0.1 x ease_z"
    assert described_ranker(two) == (
        "20 trees; who was away: score = 1 x trees + 0.3 x popularity_z; who acts now: score = 0 x trees + 1 x ease_z"
    )
