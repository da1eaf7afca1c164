"""Saved models: damage of any kind is refused, a crash at any point leaves the old one loadable."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shortlist.artifact import (
    let_go_of_pages,
    open_artifact,
    promote,
    promoted,
    prune,
    publish,
    rollback,
    verify,
    versions,
)
from shortlist.errors import ArtifactError

ARRAYS = {
    "ease/values": np.arange(12, dtype=np.float32).reshape(3, 4),
    "ease/fortran": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "empty": np.zeros((0, 3), dtype=np.int32),
    "scalar": np.array(3.5),
    "names": np.array(["Heat", "été"]),
    "mask": np.array([True, False]),
}
FRAMES = {
    "items": pl.DataFrame({"item_id": ["a", "b", None], "genres": [["x"], [], None], "year": [1, None, 3]}),
    "tables/none": pl.DataFrame({"a": []}, schema={"a": pl.Int64}),
}


def save(path, k=10, **changes):
    given = {"manifest": {"k": k, "metrics": {"ndcg": 0.25, "none": None}}, "arrays": ARRAYS, "frames": FRAMES}
    return publish(path, **(given | {"volatile": {"created_at": time.time()}} | changes))


def files(folder):
    return sorted(path for path in Path(folder).rglob("*") if path.is_file() and path.name != ".lock")


def resealed(folder, change):
    """The manifest changed by hand, with a right digest over its bytes."""
    path = folder / "manifest.json"
    fields = json.loads(path.read_text())
    change(fields)
    path.write_text(json.dumps(fields))
    (folder / "manifest.sha256").write_text(hashlib.sha256(path.read_bytes()).hexdigest() + "\n")


def test_round_trip(tmp_path):
    saved = save(tmp_path / "deep" / "model", volatile={"host": "here"})
    for path in (tmp_path / "deep" / "model", saved.folder):
        opened = open_artifact(path)
        assert (opened.version, opened.digest, opened.folder) == (saved.version, saved.digest, saved.folder)
        assert opened.manifest == {"k": 10, "metrics": {"ndcg": 0.25, "none": None}}
        assert opened.volatile == {"host": "here"}
        assert opened.arrays.keys() == ARRAYS.keys()
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(opened.arrays[name], array, strict=True)
            assert not opened.arrays[name].flags.writeable
            assert opened.arrays[name].flags.f_contiguous == array.flags.f_contiguous
        assert opened.frames.keys() == FRAMES.keys()
        for name, frame in FRAMES.items():
            assert opened.frames[name].equals(frame, null_equal=True)
            assert opened.frames[name].schema == frame.schema
        assert sum(opened.files.values()) == sum(
            path.stat().st_size for path in files(saved.folder) if not path.name.startswith("manifest.")
        )


def test_the_digest_leaves_out_what_is_volatile_and_nothing_else(tmp_path):
    one = save(tmp_path / "a", volatile={"host": "one"})
    assert save(tmp_path / "b", volatile={"host": "two"}).digest == one.digest
    assert save(tmp_path / "c", k=11).digest != one.digest
    assert save(tmp_path / "d", arrays=ARRAYS | {"mask": np.array([True, True])}).digest != one.digest
    assert save(tmp_path / "e", frames={"items": FRAMES["items"]}).digest != one.digest
    renamed = {("other" if name == "mask" else name): array for name, array in ARRAYS.items()}
    assert save(tmp_path / "f", arrays=renamed).digest != one.digest


SCRIPT = """
import sys, numpy as np, polars as pl
from shortlist.artifact import publish
if sys.argv[2] == "busy":
    used = pl.Series(["z", "b", "q"], dtype=pl.Categorical)
numbers = [range(0, 40_000), range(40_000, 80_000)]
parts = [pl.DataFrame({"i": part, "t": [str(n % 97) for n in part]}) for part in numbers]
frame = pl.concat(parts) if sys.argv[2] == "busy" else pl.concat(parts).rechunk()
frame = frame.with_columns(c=pl.col("t").cast(pl.Categorical))
saved = publish(sys.argv[1], manifest={"b": 1, "a": 0.1}, arrays={"x": np.linspace(0, 1, 999)}, frames={"f": frame},
                volatile={"mode": sys.argv[2]})
print(saved.digest)
"""


def test_two_processes_give_the_same_digest(tmp_path):
    digests = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT, str(tmp_path / mode), mode],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"POLARS_MAX_THREADS": threads, "PYTHONHASHSEED": threads},
        ).stdout
        for mode, threads in (("busy", "1"), ("plain", "2"))
    }
    assert len(digests) == 1


def test_the_chunks_of_a_table_do_not_count(tmp_path):
    whole = pl.DataFrame({"i": np.arange(300_000)})
    parts = pl.concat([whole[:100_001], whole[100_001:]])
    assert parts.n_chunks() == 2
    assert save(tmp_path / "a", frames={"x": whole}).digest == save(tmp_path / "b", frames={"x": parts}).digest


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model"
    save(path, k=1)
    save(path, k=2)
    return path


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_one_flipped_bit_anywhere_is_refused(model, data):
    path = data.draw(st.sampled_from(files(model)))
    whole = path.read_bytes()
    position = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    changed[position] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(changed)
    try:
        with pytest.raises(ArtifactError) as caught:
            verify(model)
    finally:
        path.write_bytes(whole)
    assert path.name.split(".")[0] in str(caught.value)
    verify(model)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), content=st.none() | st.binary(max_size=300))
def test_truncated_and_garbage_files_are_refused(model, data, content):
    path = data.draw(st.sampled_from(files(model)))
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))] if content is None else content)
    try:
        with pytest.raises(ArtifactError):
            verify(model)
    finally:
        path.write_bytes(whole)


GARBAGE = st.binary(max_size=200) | st.sampled_from([b"PK\3\4", b"\x93NUMPY", b"\x80\4", b"PAR1PAR1"])


@pytest.fixture(scope="module")
def crafted(tmp_path_factory):
    return save(tmp_path_factory.mktemp("crafted") / "model", arrays={"mask": ARRAYS["mask"]}).folder


@settings(max_examples=100, deadline=None)
@given(name=st.sampled_from(["mask.npy", "items.parquet"]), content=GARBAGE, data=st.data())
def test_garbage_under_a_right_digest_is_still_only_an_artifact_error(crafted, name, content, data):
    path = crafted / name
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, 60))] + content[:100])
    try:
        reseal_file(crafted, name)
        with pytest.raises(ArtifactError, match=name):
            open_artifact(crafted)
    finally:
        path.write_bytes(whole)
        reseal_file(crafted, name)


def reseal_file(folder, name):
    """A file's new digest in the manifest, and the manifest's own two."""
    content = (folder / name).read_bytes()

    def change(fields):
        fields["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        inside = {key: fields[key] for key in ("format_version", "manifest", "files")}
        text = json.dumps(inside, sort_keys=True, separators=(",", ":"))
        fields["digest"] = hashlib.sha256(text.encode()).hexdigest()

    resealed(folder, change)


def test_arrays_of_objects_are_not_read(tmp_path):
    folder = save(tmp_path / "model").folder
    np.save(folder / "mask.npy", np.array([{}, None]), allow_pickle=True)
    reseal_file(folder, "mask.npy")
    with pytest.raises(ArtifactError, match=r"mask\.npy"):
        open_artifact(folder)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "[" * 100_000, '{"format_version": "1"}', "NaN", "\ufeff{}"])
def test_a_sealed_manifest_of_another_shape_is_refused(tmp_path, text):
    folder = save(tmp_path / "model").folder
    (folder / "manifest.json").write_text(text)
    (folder / "manifest.sha256").write_text(hashlib.sha256(text.encode()).hexdigest() + "\n")
    with pytest.raises(ArtifactError, match=r"manifest\.json"):
        open_artifact(tmp_path / "model")


def test_a_newer_format_is_refused_before_its_files_are_looked_at(tmp_path):
    folder = save(tmp_path / "model").folder
    resealed(folder, lambda fields: fields.update(format_version=3, something_new=True))
    (folder / "mask.npy").unlink()
    with pytest.raises(ArtifactError, match=r"format 3.*upgrade shortlist"):
        open_artifact(tmp_path / "model")


def test_an_older_format_is_refused_with_what_to_do(tmp_path):
    resealed(save(tmp_path / "model").folder, lambda fields: fields.update(format_version=1))
    with pytest.raises(ArtifactError, match="has format 1, this version of shortlist reads 2; train the model again"):
        open_artifact(tmp_path / "model")


@pytest.mark.parametrize("name", ["../outside.npy", "/etc/passwd", "a/../../b.npy", "a\\b.npy", "", "items.pickle"])
def test_names_that_lead_outside_are_refused(tmp_path, name):
    folder = save(tmp_path / "model").folder
    (tmp_path / "model" / "outside.npy").write_bytes((folder / "mask.npy").read_bytes())

    def change(fields):
        fields["files"][name] = fields["files"].pop("mask.npy")
        inside = {key: fields[key] for key in ("format_version", "manifest", "files")}
        text = json.dumps(inside, sort_keys=True, separators=(",", ":"))
        fields["digest"] = hashlib.sha256(text.encode()).hexdigest()

    resealed(folder, change)
    with pytest.raises(ArtifactError, match="not a name inside the folder"):
        open_artifact(folder)


def test_missing_extra_and_linked_files_are_refused(tmp_path):
    def fresh(name):
        return save(tmp_path / name).folder

    folder = fresh("missing")
    (folder / "mask.npy").unlink()
    with pytest.raises(ArtifactError, match=r"missing \['mask.npy'\]"):
        open_artifact(folder)
    folder = fresh("extra")
    (folder / "ease" / "evil.npy").write_bytes(b"x")
    with pytest.raises(ArtifactError, match=r"not in the manifest \['ease/evil.npy'\]"):
        open_artifact(folder)
    folder = fresh("link")
    shutil.move(folder / "mask.npy", tmp_path / "mask.npy")
    (folder / "mask.npy").symlink_to(tmp_path / "mask.npy")
    with pytest.raises(ArtifactError, match="link"):
        open_artifact(folder)
    folder = fresh("linked_folder")
    shutil.move(folder, tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArtifactError, match="not a folder"):
        open_artifact(folder.parent)
    folder = fresh("pipe")
    (folder / "mask.npy").unlink()
    os.mkfifo(folder / "mask.npy")
    with pytest.raises(ArtifactError, match="device"):
        open_artifact(folder)
    folder = fresh("hollow")
    (folder / "nothing").mkdir()
    with pytest.raises(ArtifactError, match="empty folder"):
        open_artifact(folder)


def test_what_is_no_model_is_refused(tmp_path):
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(ArtifactError, match="there is no model"):
            open_artifact(path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ArtifactError):
        open_artifact(tmp_path / "file")
    saved = save(tmp_path / "pointless")
    (tmp_path / "pointless" / "CURRENT").unlink()
    with pytest.raises(ArtifactError, match=f"has {saved.version}, but none of them is the current one"):
        open_artifact(tmp_path / "pointless")
    promote(tmp_path / "pointless", saved.version)
    assert open_artifact(tmp_path / "pointless").version == saved.version
    for content in ("", "../../etc\n", "0" * 16 + "\n", "0" * 16):
        saved = save(tmp_path / "model")
        (tmp_path / "model" / "CURRENT").write_text(content)
        with pytest.raises(ArtifactError, match="CURRENT"):
            open_artifact(tmp_path / "model")
        promote(tmp_path / "model", saved.version)
        assert open_artifact(tmp_path / "model").version == saved.version


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"manifest": {"a": {"b": [1.0, float("nan")]}}}, r"manifest\.a\.b\[1\] is nan"),
        ({"manifest": {"a": np.float32(1)}}, "float32"),
        ({"volatile": {1: 2}}, "key 1"),
        ({"arrays": {"x": np.array([None])}}, r"x\.npy.*object"),
        ({"arrays": {"../x": np.zeros(1)}}, "cannot name a file"),
        ({"arrays": {"": np.zeros(1)}}, "cannot name a file"),
        ({"arrays": {"x": np.zeros(1), "X": np.zeros(1)}}, "differ only in case"),
        ({"frames": {"x": pl.DataFrame({"o": [object()]})}}, r"x\.parquet"),
    ],
)
def test_what_cannot_be_saved_is_refused_and_leaves_nothing(tmp_path, changes, message):
    saved = save(tmp_path / "model")
    with pytest.raises(ArtifactError, match=message):
        save(tmp_path / "model", **changes)
    assert {entry.name for entry in (tmp_path / "model").iterdir()} == {".lock", saved.version, "CURRENT"}
    with pytest.raises(ArtifactError, match="directory above"):
        save(saved.folder)


def test_versions_promote_and_rollback(tmp_path):
    path = tmp_path / "model"
    one, two, three = save(path, k=1), save(path, k=2), save(path, k=3)
    assert versions(path) == [three.version, two.version]
    (path / "notes").mkdir()
    (path / "0123456789abcdef").mkdir()  # not ours: it has no manifest
    assert rollback(path) == two.version == open_artifact(path).version
    assert rollback(path) == three.version == open_artifact(path).version
    promote(path, two.version)
    assert save(path, k=2).version == two.version
    assert versions(path)[0] == two.version
    with pytest.raises(ArtifactError):
        promote(path, one.version)
    with pytest.raises(ArtifactError, match="not a version"):
        promote(path, "../model")
    assert (path / "notes").exists()
    assert (path / "0123456789abcdef").exists()
    single = tmp_path / "single"
    save(single)
    with pytest.raises(ArtifactError, match="no version to roll back"):
        rollback(single)


def test_a_version_may_lie_beside_the_promoted_one_until_it_is_pruned(tmp_path):
    path = tmp_path / "model"
    first = save(path, k=0, promoted=False)  # nothing was promoted: so it is
    assert promoted(path) == first.version
    others = [save(path, k=k, promoted=False).version for k in range(1, 5)]
    assert promoted(path) == open_artifact(path).version == first.version
    assert versions(path) == [first.version, *reversed(others)]
    promote(path, others[0])
    assert prune(path, keep=1) == sorted(others[1:3])
    assert versions(path) == [others[0], others[3], first.version]
    (path / "0123456789abcdef").mkdir()  # not ours
    assert prune(path) == [others[3]]
    assert prune(path) == []
    assert rollback(path) == first.version
    assert (path / "0123456789abcdef").exists()
    with pytest.raises(ArtifactError, match="no model"):
        prune(tmp_path)


def test_saving_again_repairs_a_damaged_version(tmp_path):
    saved = save(tmp_path / "model", volatile={"at": 1})
    save(tmp_path / "model", volatile={"at": 2})
    assert open_artifact(saved.folder).volatile == {"at": 1}
    (saved.folder / "mask.npy").write_bytes(b"")
    save(tmp_path / "model", volatile={"at": 3})
    assert open_artifact(tmp_path / "model").volatile == {"at": 3}


class Crash(BaseException):
    """The process ends here: nothing is tidied up."""


@pytest.mark.parametrize("previous", [1, 2])
def test_a_crash_at_any_point_leaves_a_loadable_model(tmp_path, monkeypatch, previous):
    path = tmp_path / "model"
    small = {"arrays": {"mask": ARRAYS["mask"]}, "frames": {"items": FRAMES["items"]}}
    earlier = [save(path, k=k, **small).version for k in range(previous)]
    template = tmp_path / "template"
    shutil.copytree(path, template)
    for n in range(1, 200):
        calls = iter(range(1, 1000))

        def counted(original, calls=calls, n=n):
            def call(*args, **kwargs):
                if next(calls) == n:
                    raise Crash
                return original(*args, **kwargs)

            return call

        with monkeypatch.context() as patch:
            for module, name in ((os, "replace"), (os, "fsync"), (shutil, "rmtree")):
                patch.setattr(module, name, counted(getattr(module, name)))
            try:
                new = save(path, k=99, **small).version
            except Crash:
                new = None
        opened = verify(path)
        if new is not None:
            break
        assert opened.version == earlier[-1] or opened.manifest["k"] == 99
        recovered = save(path, k=99, **small)  # the next publisher finishes the work
        assert verify(path).version == recovered.version
        assert sorted(versions(path)) == sorted([recovered.version, earlier[-1]])
        assert not list(path.glob(".tmp-*"))
        shutil.rmtree(path)
        shutil.copytree(template, path)
    assert n > 12 + previous  # each write, sync and rename has been the last one
    assert opened.version == new
    assert rollback(path) == earlier[-1]


def test_publishers_and_readers_at_the_same_time(tmp_path):
    path = tmp_path / "model"
    save(path, k=0)

    def work(k):
        saved = save(path, k=k)
        for _ in range(5):
            open_artifact(path)
        return saved.version

    with ThreadPoolExecutor(4) as pool:
        published = set(pool.map(work, range(12)))
    assert verify(path).version in published
    assert len(versions(path)) == 2


def test_a_hundred_megabytes_are_checked_in_a_second(tmp_path):
    save(tmp_path / "model", arrays={"big": np.zeros(25_000_000, dtype=np.float32)})
    started = time.process_time()
    open_artifact(tmp_path / "model")
    assert time.process_time() - started < 1.0


def test_pages_that_were_let_go_come_back(tmp_path):
    wanted = np.arange(300_000, dtype=np.float32)
    publish(tmp_path / "model", manifest={}, arrays={"big": wanted}, frames={}, volatile={})
    opened = open_artifact(tmp_path / "model")
    assert opened.arrays["big"].sum() == wanted.sum()
    let_go_of_pages(opened.arrays)
    assert (opened.arrays["big"] == wanted).all()
