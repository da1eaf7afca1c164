"""``shortlist data validate``, and the commands that read a log by the same door."""

import json

import polars as pl
import pytest
from shells import shell

import shortlist as sl
from shortlist.data.synthetic import two_tastes
from shortlist.data.validation.set_aside import place_beside, write_set_aside
from shortlist.errors import ConfigError

DIRT = "\n".join([",3,1600000000,4", "1,3,-5,4", "1,3,1600000000,nan", "1,3,1600000000", "2,4,1600000000,x"]) + "\n"
REASONS = {"ragged_row": 1, "missing_id": 1, "negative_time": 1, "not_a_number": 1, "not_finite": 1}


@pytest.fixture
def dirty(tmp_path):
    clean = two_tastes().interactions.select("user_id", "item_id", "timestamp", "rating")
    path = tmp_path / "dirty.csv"
    path.write_text(clean.write_csv() + DIRT)
    return path


def test_a_report_and_a_file(run, dirty, files):
    done = run("data", "validate", dirty, "--items", files / "items.csv")
    assert done.code == 0
    assert not done.err
    assert "usable: 849 rows read, 844 kept, 5 set aside" in done.out
    assert f"ragged_row     {dirty}, row 847 (line 849): expected 4 fields as in the header, got 3" in done.out
    place = dirty.with_name("dirty.csv.set-aside.parquet")
    assert f"5 rows set aside are in {place}" in done.out
    aside = pl.read_parquet(place)
    assert dict(aside["reason"].value_counts().iter_rows()) == REASONS
    assert aside["line"].to_list() == [846, 847, 848, 849, 850]


def test_json(run, dirty, tmp_path):
    done = run("data", "validate", dirty, "--json", "--out", tmp_path / "clean.csv", "--set-aside", tmp_path / "a.csv")
    report = json.loads(done.out)
    assert report["usable"] is True
    assert report["tables"]["interactions"] == {"rows_read": 849, "rows_kept": 844, "set_aside": REASONS}
    assert {finding["check"] for finding in report["findings"]} == set(REASONS)
    assert (report["clean_file"], report["set_aside_file"]) == (str(tmp_path / "clean.csv"), str(tmp_path / "a.csv"))
    assert pl.read_csv(tmp_path / "a.csv")["reason"].to_list()[0] == "missing_id"
    again = json.loads(run("data", "validate", tmp_path / "clean.csv", "--json").out)
    assert (again["findings"], again["set_aside_file"]) == ([], None)


def test_several_files_and_options(run, tmp_path):
    for name in ("a.txt", "b.txt"):
        rows = "".join(f"{row}#i{row}\n" for row in range(12))
        (tmp_path / name).write_bytes(f"kunde#größe\n{rows}".encode("cp850"))
    done = run(
        *("data", "validate", tmp_path / "a.txt", tmp_path / "b.txt", "--separator", "#", "--encoding", "cp850"),
        *("--column", "user_id=kunde", "--column", "item_id=größe", "--json"),
    )
    assert json.loads(done.out)["tables"]["interactions"]["rows_kept"] == 24
    (tmp_path / "tabs.csv").write_text("user_id\titem_id\n1\ta\n")
    assert run("data", "validate", tmp_path / "tabs.csv", "--separator", "tab").code == 0
    assert run("data", "validate", tmp_path / "tabs.csv", "--separator", r"\t").code == 0


@pytest.mark.parametrize("as_json", [False, True])
def test_refused(run, tmp_path, as_json):
    pl.DataFrame({"user_id": [1], "item_id": [2]}).write_parquet(tmp_path / "log.parquet")
    whole = (tmp_path / "log.parquet").read_bytes()
    (tmp_path / "log.parquet").write_bytes(whole[:-20])
    done = run(
        "data", "validate", tmp_path / "log.parquet", "--out", tmp_path / "x.csv", *(["--json"] if as_json else [])
    )
    assert done.code == 1
    assert done.err.startswith("error: ")
    assert "its end is missing" in done.err
    assert not (tmp_path / "x.csv").exists()
    if as_json:
        report = json.loads(done.out)
        assert (report["usable"], report["findings"][0]["check"]) == (False, "truncated_parquet")
    else:
        assert done.out.startswith("NOT USABLE")


def test_no_traceback_in_a_shell(tmp_path):
    done = shell("data", "validate", tmp_path / "none.csv", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["usable"] is False
    assert "Traceback" not in done.stderr


def test_rows_of_a_refused_log_are_set_aside_too(run, tmp_path):
    (tmp_path / "log.csv").write_text("user_id,item_id\n" + "".join(f",{row}\n" for row in range(9)) + "1,2\n")
    assert run("data", "validate", tmp_path / "log.csv").code == 1
    assert len(pl.read_parquet(tmp_path / "log.csv.set-aside.parquet")) == 9


class TestPlaces:
    def test_nothing_else_is_overwritten(self, run, dirty):
        place = dirty.with_name("dirty.csv.set-aside.parquet")
        place.write_text("precious")
        done = run("data", "validate", dirty)
        assert (done.code, place.read_text()) == (1, "precious")
        assert "expected nothing there" in done.err
        pl.DataFrame({"precious": [1]}).write_parquet(place)
        assert run("data", "validate", dirty).code == 1
        place.unlink()
        assert run("data", "validate", dirty).code == run("data", "validate", dirty).code == 0

    @pytest.mark.parametrize("option", ["--out", "--set-aside"])
    def test_where_it_cannot_be_written(self, run, dirty, option):
        before = dirty.read_bytes()
        for place, says in ((dirty, "one of the files to check"), (dirty.with_suffix(".x"), "ending in .parquet"),
                            (dirty.parent, "folder"), (dirty.parent / "no" / "a.csv", "no folder")):  # fmt: skip
            done = run("data", "validate", dirty, option, place)
            assert done.code == 1
            assert says in done.err
        assert dirty.read_bytes() == before

    def test_an_earlier_file_gives_way(self, tmp_path):
        found = sl.validate({"user_id": [1, None, 3], "item_id": [1, 2, 3]})
        for name in ("a.parquet", "a.csv"):
            for _ in range(2):
                write_set_aside(found.set_aside, tmp_path / name)
            (tmp_path / name).write_bytes(b"")
            with pytest.raises(ConfigError, match="move the file"):
                write_set_aside(found.set_aside, tmp_path / name)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.parquet"]

    def test_beside(self, monkeypatch, tmp_path):
        monkeypatch.chdir(tmp_path)
        assert place_beside(tmp_path / "m" / "v1.2").name == "v1.2.set-aside.parquet"
        assert place_beside(type(tmp_path)(".")) == tmp_path.with_name(f"{tmp_path.name}.set-aside.parquet")


class TestTraining:
    def test_bad_rows_are_counted_written_and_recorded(self, run, dirty, files, tmp_path):
        out = tmp_path / "models" / "mine"
        done = run("train", dirty, "--config", files / "quick.toml", "--target", "next", "--out", out, "--json")
        assert done.code == 0, done.err
        said = done.err.replace("\n", " ")
        assert "interactions: 849 rows read, 844 kept, 5 set aside (ragged_row 1, missing_id 1" in said
        assert f"they are in {out}.set-aside.parquet" in said
        assert len(pl.read_parquet(f"{out}.set-aside.parquet")) == 5
        recorded = json.loads(done.out)["record"]["data"]["validation"]
        assert recorded["set_aside"] == REASONS
        assert sl.load(out).record["data"]["validation"] == recorded

    def test_a_clean_log_makes_no_file(self, run, files, tmp_path):
        done = run("train", files / "log.csv", "--config", files / "quick.toml", "--out", tmp_path / "m")
        assert done.code == 0
        assert "set aside" not in done.err
        assert [path.name for path in tmp_path.iterdir()] == ["m"]
        assert sl.load(tmp_path / "m").record["data"]["validation"]["set_aside"] == {}

    def test_a_file_in_the_way(self, run, dirty, files, tmp_path):
        (tmp_path / "m.set-aside.parquet").write_text("precious")
        done = run("train", dirty, "--config", files / "quick.toml", "--out", tmp_path / "m")
        assert done.code == 1
        assert (tmp_path / "m.set-aside.parquet").read_text() == "precious"
        assert not (tmp_path / "m").exists()

    def test_evaluate(self, run, dirty, files):
        done = run("evaluate", files / "quick.toml", dirty, "--protocol", "random", "--json")
        assert done.code == 0, done.err
        assert "5 set aside" in done.err
        assert json.loads(done.out)

    def test_refused(self, run, tmp_path, files):
        (tmp_path / "log.csv").write_text("userId,movieId\n1,2\n")
        done = run("train", tmp_path / "log.csv", "--config", files / "quick.toml", "--out", tmp_path / "m")
        assert done.code == 1
        assert "--column user_id=userId --column item_id=movieId" in done.err.replace("\n", " ")

    def test_a_data_set_from_elsewhere_has_none(self):
        record = sl.train(two_tastes(), "next", {"ranking": {"ranker": "fusion"}}).record
        assert record["data"]["validation"] is None
