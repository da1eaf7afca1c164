"""``evaluate``, ``data split`` and the gate of ``models promote``."""

import json

import polars as pl
import pytest

import shortlist as sl
from shortlist.data.synthetic import two_tastes
from shortlist.evaluation.protocol import evaluate

POPULAR = '[retrieval]\nsources = ["popularity"]\n[ranking]\nranker = "fusion"\n'


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A split log of 300 users, a model of both tastes and one that only counts, in two versions of one model."""
    folder = tmp_path_factory.mktemp("parts")
    dataset = two_tastes(n_users=300)
    dataset.interactions.write_csv(folder / "log.csv")
    dataset.items.write_csv(folder / "items.csv")
    (folder / "popular.toml").write_text(POPULAR)
    (folder / "quick.toml").write_text('[ranking]\nranker = "fusion"\n')
    train, test = sl.split(dataset, "next")
    train.interactions.write_parquet(folder / "train.parquet")
    test.interactions.write_parquet(folder / "test.parquet")
    good = sl.train(train, "next", folder / "quick.toml")
    bad = sl.train(train, "next", folder / "popular.toml")
    good.save(folder / "good")
    bad.save(folder / "bad")
    sl.train(dataset, "next", folder / "quick.toml").save(folder / "knows")
    worse = bad.save(folder / "both").name
    better = good.save(folder / "both").name
    (folder / "versions.json").write_text(json.dumps({"worse": worse, "better": better}))
    return folder


def test_one_log_is_split_trained_on_and_judged(run, place):
    arguments = ("evaluate", place / "log.csv", "--config", place / "quick.toml", "--protocol", "random", "--k", "5")
    done = run(*arguments)
    assert "NDCG@5" in done.out
    assert "slice" in done.out
    assert json.loads(run(*arguments, "--json").out)["protocol"] == "random"


def test_two_saved_models_on_a_test_part(run, place):
    done = run("evaluate", place / "bad", place / "good", "--test", place / "test.parquet")
    assert done.code == 0, done.err
    assert f"{place / 'good'} - {place / 'bad'}" in done.out
    assert "Gate: better: NDCG@10" in done.out


def test_the_figures_are_those_of_the_library(run, place):
    done = run("evaluate", place / "bad", place / "good", "--test", place / "test.parquet", "--json")
    found = json.loads(done.out)
    train, test = sl.split(two_tastes(n_users=300), "next")
    for name in ("bad", "good"):
        alone = evaluate(sl.load(place / name), train, test).to_dict()
        assert found["reports"][str(place / name)]["results"] == alone["results"]
        assert found["reports"][str(place / name)]["leakage"] == alone["leakage"]


def test_a_saved_model_on_a_log_that_is_split_again(run, place):
    done = run("evaluate", place / "good", place / "log.csv", "--protocol", "next")
    assert done.code == 0, done.err
    assert "given as training" not in done.out  # it was trained on just this part


def test_a_model_that_knows_the_test_is_refused(run, place):
    for asked in (("--test", place / "test.parquet"), (place / "log.csv", "--protocol", "next")):
        done = run("evaluate", place / "knows", *asked)
        assert done.code == 1
        assert "are in the test too" in done.err
        assert not done.out


def test_presets_and_files_are_trained_here(run, place):
    done = run(
        *("evaluate", place / "popular.toml", place / "quick.toml", place / "log.csv", "--protocol", "next"),
        "--json",
    )
    gate = json.loads(done.out)["gate"]
    assert gate[str(place / "quick.toml")]["word"] == "better"


def test_the_gate_decides_the_exit_code(run, place):
    asked = ("--test", place / "test.parquet", "--gate")
    assert run("evaluate", place / "bad", place / "good", *asked).code == 0
    done = run("evaluate", place / "good", place / "bad", *asked)
    assert done.code == 1
    assert "Gate: worse: NDCG@10" in done.out


def test_rolling_windows(run, place):
    asked = (place / "log.csv", "--windows", "2", "--days", "30")
    done = run("evaluate", place / "quick.toml", *asked)
    assert done.out.startswith("2 rolling windows, each fitted anew")
    done = run("evaluate", place / "popular.toml", place / "quick.toml", *asked)
    assert "All windows, each user once, against" in done.out
    plain = json.loads(run("evaluate", place / "popular.toml", place / "quick.toml", *asked, "--json").out)
    assert plain["gate"]["warm"][str(place / "quick.toml")]["word"] == "better"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{dir}/good", "{dir}/bad"], "nothing to judge"),
        (["{dir}/log.csv", "{dir}/train.parquet"], "expected one log"),
        (["{dir}/good", "{dir}/good", "--test", "{dir}/test.parquet"], "each model once"),
        (["{dir}/good", "{dir}/log.csv", "--windows", "2"], "already fitted"),
        (["{dir}/log.csv", "--windows", "2", "--protocol", "next"], "the protocol 'time'"),
        (["no-such-preset", "{dir}/log.csv"], "no-such-preset"),
        (["{dir}/items.csv"], "user_id"),
    ],
)
def test_mistakes(run, place, arguments, message):
    done = run("evaluate", *(one.format(dir=place) for one in arguments))
    assert done.code == 1
    assert message in done.err
    assert "Traceback" not in done.err
    assert not done.out


@pytest.mark.parametrize("protocol", ["time", "next", "random"])
def test_split_writes_the_parts(run, place, tmp_path, protocol):
    out = tmp_path / "parts"
    done = run(
        *("data", "split", place / "log.csv", "--items", place / "items.csv", "--protocol", protocol, "--out", out),
        "--json",
    )
    assert done.code == 0, done.err
    train, test = sl.split(sl.Dataset.from_csv(place / "log.csv", place / "items.csv"), protocol)
    assert pl.read_parquet(out / "train.parquet").equals(train.interactions)
    assert pl.read_parquet(out / "test.parquet").equals(test.interactions)
    assert pl.read_parquet(out / "items.parquet").equals(train.given_items)
    assert json.loads(done.out)["rows"] == {"train": len(train), "test": len(test), "items": 40}


def test_split_train_evaluate_as_it_says(run, place, tmp_path):
    done = run("data", "split", place / "log.csv", "--items", place / "items.csv", "--out", tmp_path / "parts")
    lines = [line.partition(": shortlist ")[2].split() for line in done.out.splitlines()[-2:]]
    saved = [str(tmp_path / "mine") if word == "models/mine" else word for word in lines[0]]
    assert run(*saved, "--config", place / "quick.toml").code == 0
    judged = run(*[str(tmp_path / "mine") if word == "models/mine" else word for word in lines[1]])
    assert judged.code == 0, judged.err
    assert "Protocol 'time'" in judged.out


def test_split_never_overwrites(run, place, tmp_path):
    (tmp_path / "train.parquet").write_text("mine")
    done = run("data", "split", place / "log.csv", "--out", tmp_path)
    assert done.code == 1
    assert "has something in it" in done.err
    assert (tmp_path / "train.parquet").read_text() == "mine"


def test_promotion_is_refused_where_the_version_is_worse(run, place):
    made = json.loads((place / "versions.json").read_text())
    asked = ("--test", place / "test.parquet")
    done = run("models", "promote", place / "both", made["worse"], *asked)
    assert done.code == 1
    assert f"version {made['worse']} is not promoted: on test.parquet it is worse: NDCG@10" in done.err
    assert run("models", "list", place / "both").out.splitlines()[0] == f"{made['better']}  (current)"
    assert run("models", "promote", place / "both", made["worse"]).code == 1  # by what validation said of the two
    assert run("models", "promote", place / "both", made["worse"], "--force").code == 0
    done = run("models", "promote", place / "both", made["better"], *asked)
    assert done.code == 0
    assert "better: NDCG@10" in done.err


def test_what_was_set_aside_stands_in_the_report(run, place, tmp_path):
    lines = (place / "log.csv").read_text().splitlines()
    broken = lines[5].split(",")
    (tmp_path / "dirty.csv").write_text("\n".join([*lines, ",".join(["", *broken[1:]]), "1,2"]) + "\n")
    asked = ("evaluate", tmp_path / "dirty.csv", "--config", place / "quick.toml", "--protocol", "random")
    done = run(*asked)
    assert f"Before the split 2 of {len(lines) + 1:,} rows were set aside: " in done.out
    data = json.loads(run(*asked, "--json").out)["data"]
    assert data["validation"]["rows_kept"] == len(lines) - 1
