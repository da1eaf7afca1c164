"""Models that take over, are refused, forced or rolled back while a real server answers."""

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import httpx
import numpy as np
import polars as pl
import pytest
from running_server import PATIENT, serving
from versions_beside import other, save_beside

from shortlist import artifact
from shortlist.errors import ArtifactError
from shortlist.saving import load
from shortlist.serving.live import Live
from shortlist.serving.metrics import Metrics
from shortlist.serving.promotion import by_validation, promote, promotions
from shortlist.serving.soundness import faults


def with_leaves(model, value):
    trees = model.ranker.trees
    leaves = np.full_like(trees.leaf_values, value)
    return replace(model, ranker=replace(model.ranker, trees=replace(trees, leaf_values=leaves)))


def with_figures(model, factor=1.0, **changes):
    """A model that says of its validation that it did so many times as well."""
    return replace(model, validation=model.validation.with_columns(pl.col("ndcg") * factor), **changes)


def poisoned(model, how):
    if how == "nan":
        return with_leaves(model, np.nan)
    ranker = with_leaves(model, 1.0).ranker
    return replace(model, ranker=replace(ranker, source_weights=(0.0,) * len(ranker.source_weights)))


def wait_until(condition, seconds=300):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


# What is refused


def test_a_sound_model_has_no_faults(model):
    assert faults(model) == []
    assert faults(model, ("integer", "integer")) == []


@pytest.mark.parametrize(("how", "words"), [("nan", "no numbers"), ("constant", "alike")])
def test_poisoned_models_have_faults(model, how, words):
    (found,) = faults(poisoned(model, how))
    assert words in found


def test_ids_of_another_kind_than_the_stores_are_a_fault(model):
    assert faults(model, ("string", None)) == [
        "its user ids are of the kind integer, those of the store are of the kind string"
    ]
    assert len(faults(model, ("string", "string"))) == 2


def test_an_empty_catalogue_is_a_fault(model):
    assert faults(replace(model, items=model.items.head(0))) == ["the catalogue is empty"]


def test_a_model_that_cannot_answer_has_a_fault(model):
    (found,) = faults(replace(model, items=model.items.head(3)))
    assert found.startswith("it cannot answer")


def test_promotion_refuses_and_forcing_is_recorded(model, model_dir):
    good = artifact.versions(model_dir)[0]
    bad = save_beside(poisoned(model, "constant"), model_dir)
    with pytest.raises(ArtifactError, match=f"version {bad} is not promoted: all scores"):
        promote(model_dir, bad)
    assert artifact.versions(model_dir)[0] == good
    assert promotions(model_dir) == []
    assert promote(model_dir, bad, force=True)
    assert artifact.versions(model_dir)[0] == bad
    promote(model_dir, good)
    first, second = promotions(model_dir)
    assert (first["version"], first["forced"], len(first["faults"])) == (bad, True, 1)
    assert (second["version"], second["forced"], second["faults"]) == (good, False, [])


def test_the_command_refuses_forces_and_rolls_back(model, model_dir):
    def command(*words):
        done = subprocess.run([sys.executable, "-m", "shortlist", *words], capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    good = artifact.versions(model_dir)[0]
    bad = save_beside(poisoned(model, "nan"), model_dir)
    code, text = command("models", "promote", str(model_dir), bad)
    assert (code, "no numbers" in text) == (1, True)
    code, text = command("models", "promote", str(model_dir), bad, "--force")
    assert (code, "in spite of this" in text) == (0, True)
    assert artifact.versions(model_dir)[0] == bad
    code, _ = command("models", "rollback", str(model_dir))
    assert (code, artifact.versions(model_dir)[0]) == (0, good)


def test_a_server_does_not_start_on_a_model_that_must_not_answer(model, tmp_path):
    poisoned(model, "constant").save(tmp_path / "bad")
    with pytest.raises(ArtifactError, match="must not answer: all scores"):
        Live(tmp_path / "bad", None, Metrics())
    done = subprocess.run(
        [sys.executable, "-m", "shortlist", "serve", str(tmp_path / "bad"), "--port", "0"],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, "must not answer" in done.stderr, "Traceback" in done.stderr) == (1, True, False)


# What is worse


def test_a_version_with_worse_figures_is_refused_with_the_reason(model, model_dir):
    good = artifact.versions(model_dir)[0]
    worse = save_beside(with_figures(model, 0.5), model_dir)
    with pytest.raises(ArtifactError, match=r"not promoted: worse: NDCG@10 in validation .* over \d+ users"):
        promote(model_dir, worse)
    assert artifact.promoted(model_dir) == good
    assert promote(model_dir, worse, force=True).faults[0].startswith("worse")
    (entry,) = promotions(model_dir)
    assert (entry["version"], entry["forced"], len(entry["faults"])) == (worse, True, 1)
    assert promote(model_dir, good).judgement.startswith("better")


def test_figures_of_other_questions_are_compared_by_their_means(model):
    other_data = {"record": model.record | {"data": {"fingerprint": "of other data"}}}
    assert by_validation(with_figures(model, 0.3, **other_data), model).worse
    judged = by_validation(with_figures(model, 0.97, **other_data), model)
    assert (judged.worse, "other questions" in judged.reason) == (False, True)


def test_what_cannot_be_compared_is_refused_if_the_promoted_one_has_figures(model):
    without = replace(model, validation=None)
    assert by_validation(without, model).worse
    assert not by_validation(model, without).worse
    assert not by_validation(without, without).worse
    assert "--test" in by_validation(replace(model, target="next"), model).reason


# A server that follows


def test_the_server_follows_promotions_and_refuses_what_is_damaged(own_server, model, model_dir):
    server, first = own_server, artifact.versions(model_dir)[0]
    assert server.recommend(user_id=1)["model_version"] == first
    second = load(other(model).save(model_dir)).digest[:16]
    wait_until(lambda: server.recommend(user_id=1)["model_version"] == second)

    # What is promoted without being checked: not served.
    bad = poisoned(model, "nan").save(model_dir).name
    line = server.wait_for("model refused", version=bad)
    assert line["serving"] == second
    assert "no numbers" in line["reason"]
    assert server.recommend(user_id=1)["model_version"] == second
    told = server.client.get("/v1/models").json()
    assert (told["serving"], told["promoted"], told["refused"]) == (second, bad, bad)
    text = server.client.get("/metrics").text
    assert 'shortlist_model_swaps_total{outcome="refused"} 1.0' in text

    # One command goes back.
    assert artifact.rollback(model_dir) == second
    wait_until(lambda: server.client.get("/v1/models").json()["refused"] is None)


def test_a_byte_changed_in_any_file_is_refused(own_server, model, model_dir, tmp_path):
    """Test 15: a damaged version is never served, and the one before goes on."""
    server, first = own_server, artifact.versions(model_dir)[0]
    second = save_beside(other(model), model_dir)
    whole = shutil.copytree(model_dir / second, tmp_path / "whole")
    files = sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file())
    rng = np.random.default_rng(0)
    for file in files:
        content = (whole / file).read_bytes()
        if not content:
            continue
        place = int(rng.integers(len(content)))
        changed = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        for damaged in (changed, content[:place]):
            (model_dir / second / file).write_bytes(damaged)
            response = server.post(f"/v1/models/{second}/promote", None)
            assert response.status_code == 422, file
            assert response.json()["type"].endswith("model-refused")
        (model_dir / second / file).write_bytes(content)
    assert server.recommend(user_id=1)["model_version"] == first
    assert server.post(f"/v1/models/{second}/promote", None).json()["version"] == second


def test_promotion_over_http(own_server, model, model_dir):
    server, first = own_server, artifact.versions(model_dir)[0]
    second, bad = save_beside(other(model), model_dir), save_beside(poisoned(model, "constant"), model_dir)
    assert set(server.client.get("/v1/models").json()["versions"]) == {first, second, bad}
    answer = server.post(f"/v1/models/{second}/promote", None)
    judgement = answer.json().pop("judgement")
    assert judgement.startswith("unproven: NDCG@10 in validation")  # alike, but of few users
    assert answer.json() == {"version": second, "before": first, "forced": False, "faults": [], "judgement": judgement}
    assert server.recommend(user_id=1)["model_version"] == second  # at once
    assert server.post(f"/v1/models/{bad}/promote", None).status_code == 422
    worse = save_beside(with_figures(model, 0.1), model_dir)
    refused = server.post(f"/v1/models/{worse}/promote", None)
    assert (refused.status_code, refused.json()["type"].endswith("model-refused")) == (422, True)
    assert "worse: NDCG@10 in validation 0.0" in refused.json()["detail"]
    forced = server.post(f"/v1/models/{bad}/promote?force=true", None).json()
    assert (forced["forced"], len(forced["faults"])) == (True, 1)
    assert server.recommend(user_id=1)["model_version"] == bad
    for nonsense in ("0" * 16, "..", "%2e%2e", "x" * 16):
        assert server.post(f"/v1/models/{nonsense}/promote", None).status_code == 404


def test_a_full_disk_keeps_the_version_before(model, model_dir, tmp_path):
    """Test 13."""
    disk = tmp_path / "disk"
    disk.mkdir()
    second = save_beside(other(model), model_dir)
    size = sum(file.stat().st_size for file in model_dir.rglob("*")) + (1 << 20)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("only root can mount a small disk")
    try:
        on_disk = shutil.copytree(model_dir, disk / "model")
        with serving(on_disk, tmp_path / "log", "--store", "none", *PATIENT) as server:
            first = server.recommend(user_id=1)["model_version"]
            with (disk / "ballast").open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
                while ballast.write(bytes(4096)):
                    pass
            response = server.post(f"/v1/models/{second}/promote", None)
            assert (response.status_code, response.json()["type"]) == (507, "urn:shortlist:problem:disk-full")
            assert server.recommend(user_id=1)["model_version"] == first
            (disk / "ballast").unlink()
            assert server.post(f"/v1/models/{second}/promote", None).status_code == 200
            assert server.recommend(user_id=1)["model_version"] == second
    finally:
        subprocess.run(["umount", disk], check=True)


def test_the_server_looks_again_on_sighup(model, model_dir, tmp_path):
    with serving(model_dir, tmp_path / "log", "--poll-s", "3600", *PATIENT) as server:
        second = other(model).save(model_dir).name
        assert server.recommend(user_id=1)["model_version"] != second
        server.tell(signal.SIGHUP)
        wait_until(lambda: server.recommend(user_id=1)["model_version"] == second)


def test_swaps_under_load_lose_no_request_and_mix_nothing(own_server, model, model_dir):
    """Tests 6 and 21: each answer is one version's answer, and there is one for each request."""
    server, models = own_server, {}
    first = artifact.versions(model_dir)[0]
    models[first] = model
    second = save_beside(other(model), model_dir)
    models[second] = load(model_dir / second)
    expected = {
        version: {
            user: [(row["item_id"], row["score"]) for row in one.recommend(user, k=5).to_dicts()] for user in range(20)
        }
        for version, one in models.items()
    }
    found, stop = [], threading.Event()

    def ask(seed):
        with httpx.Client(base_url=server.address, timeout=60) as client:
            user = seed
            while not stop.is_set():
                user = (user + 1) % 20
                response = client.post("/v1/recommend", json={"user_id": user, "k": 5})
                found.append((user, response.status_code, response.json()))

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in (0, 7)]
    for thread in threads:
        thread.start()
    for swap in range(12):
        target = (second, first)[swap % 2]
        promote(model_dir, target)
        server.wait_for("model loaded", version=target)
        wait_until(lambda: server.client.get("/v1/model").json()["version"] == target)  # noqa: B023
    stop.set()
    for thread in threads:
        thread.join()
    assert {answer["model_version"] for _, _, answer in found} == {first, second}
    for user, status, answer in found:
        assert status == 200
        pairs = [(item["item_id"], item["score"]) for item in answer["items"]]
        assert pairs == expected[answer["model_version"]][user]


def test_a_server_on_one_version_follows_nothing(model_dir, tmp_path):
    version = artifact.versions(model_dir)[0]
    with serving(model_dir / version, tmp_path / "log") as server:
        assert server.client.get("/v1/models").json()["versions"] == [version]
        assert server.post(f"/v1/models/{version}/promote", None).status_code == 409
    assert (model_dir / "events.db").exists()
    assert artifact.verify(model_dir).version == version  # the store lies beside the version, not in it


# Starting and stopping


def test_requests_that_are_being_answered_are_answered_when_the_server_stops(model_dir, tmp_path):
    """Test 34."""
    log = tmp_path / "log"
    with serving(model_dir, log, "--deadline-ms", "20000") as server:
        statuses, refused = [], []

        def ask():
            with httpx.Client(base_url=server.address, timeout=60) as client:
                while True:
                    try:
                        statuses.append(client.post("/v1/recommend", json={"user_id": 1}).status_code)
                    except (httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadError) as error:
                        refused.append(error)
                        return

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(statuses) > 50)
        begin = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - begin < 30
        for thread in threads:
            thread.join()
    assert set(statuses) == {200}
    answered = sum(json.loads(line)["event"] == "request" for line in log.read_text().splitlines())
    assert answered == len(statuses)  # nothing that was begun was lost


def test_before_it_stops_the_server_is_no_longer_ready(model_dir, tmp_path):
    with serving(model_dir, tmp_path / "log", "--drain-s", "600", *PATIENT) as server:
        assert server.client.get("/readyz").status_code == 200
        server.tell(signal.SIGTERM)
        server.wait_for("draining")
        response = server.client.get("/readyz")
        assert (response.status_code, list(response.json()["checks"])) == (503, ["draining"])
        assert server.recommend(user_id=1)["returned"] == 10
        server.tell(signal.SIGTERM)  # at once
        assert server.process.wait(60) == 0


def test_a_port_in_use_is_one_line(own_server, saved, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "shortlist", "serve", str(saved), "--port", str(own_server.port), "--store", "none"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "cannot be listened on" in done.stderr.splitlines()[-1]


def test_without_a_store(saved, tmp_path):
    with serving(saved, tmp_path / "log", "--store", "none", *PATIENT) as server:
        assert server.recommend(user_id=1)["returned"] == 10
        response = server.post("/v1/events", {"id": "1", "user_id": 1, "item_id": 1})
        assert response.status_code == 409
        assert server.client.get("/v1/users/1/history").json()["total"] > 0
