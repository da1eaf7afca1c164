"""A saved model: the same answers elsewhere, the same digest again, and no nonsense let in."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from quick_models import SMALL, TUTORIAL, fit, with_trees
from shortlist.artifact import open_artifact, publish
from shortlist.config import load_config
from shortlist.data.synthetic import two_tastes
from shortlist.errors import ArtifactError
from shortlist.saving import load, restore
from shortlist.training.schedule import train

NEURAL = {"sources": ["popularity", "sequence", "history_tower"], "candidates": 15} | {
    "sequence": {"dimension": 8, "heads": 2, "blocks": 2, "epochs": 2, "max_length": 10},
    "history_tower": {"dimension": 8, "epochs": 2, "max_length": 10},
}
CLOSED_FORMS = {"sources": ["popularity", "als", "content"], "candidates": 15, "als": {"dimension": 4}}
MAKERS = {
    "closed forms": lambda: fit("next", retrieval=CLOSED_FORMS),
    "neural": lambda: fit("next", retrieval=NEURAL),
    "trees": with_trees,
    "fusion": lambda: fit("next", ranking={"ranker": "fusion"}),
    "random": lambda: fit("random"),
    "tutorial": lambda: train(two_tastes(), "random", load_config(TUTORIAL)),
}
ANSWERS = """
import json, sys
import shortlist as sl
model = sl.load(sys.argv[1])
tables = [
    model.recommend([0, 5, "x"], k=30, at=1_608_000_000, where="year > 1990"),
    model.recommend(None, history=[1, 3, 5]),
    model.similar_items([1, 2]),
    model.predict_ratings({"user_id": [1, 99], "item_id": [3, 4]}),
]
late = [name for name in ("torch", "catboost", "myfm", "pandas", "pyarrow") if name in sys.modules]
print(json.dumps([[table.write_json() for table in tables], late, model.digest]))
"""
TRAINED = """
import sys
sys.path.insert(0, sys.argv[1])
from quick_models import fit
print(fit().save(sys.argv[2]).name)
"""


def run(program, *arguments):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module", params=MAKERS)
def saved(request, tmp_path_factory):
    model = MAKERS[request.param]()
    path = tmp_path_factory.mktemp(request.param) / "model"
    model.save(path)
    return model, path


def test_the_same_answers_in_a_fresh_process_without_a_trainer(saved):
    model, path = saved
    tables, late, digest = json.loads(run(ANSWERS, path))
    assert late == []
    assert digest == open_artifact(path).digest
    here = [
        model.recommend([0, 5, "x"], k=30, at=1_608_000_000, where="year > 1990"),
        model.recommend(None, history=[1, 3, 5]),
        model.similar_items([1, 2]),
        model.predict_ratings({"user_id": [1, 99], "item_id": [3, 4]}),
    ]
    assert tables == [table.write_json() for table in here]


def test_what_comes_back(saved):
    model, path = saved
    again = load(path)
    assert (again.config, again.target, again.filter_seen) == (model.config, model.target, model.filter_seen)
    assert repr(again) == repr(model)
    assert again.record == json.loads(json.dumps(model.record))
    assert_frame_equal(again.items, model.items)
    users = model.users["user_id"].to_list()
    assert_frame_equal(again.recommend(users, k=50), model.recommend(users, k=50), check_exact=True)
    assert again.save(path).name == open_artifact(path).version


def test_one_flipped_bit_in_any_file_is_refused(saved):
    _, path = saved
    folder = path / (path / "CURRENT").read_text().strip()
    rng = np.random.default_rng(0)
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    assert len(files) > 10
    for file in files:
        content = bytearray(file.read_bytes())
        place = int(rng.integers(len(content)))
        content[place] ^= 1 << int(rng.integers(8))
        intact = file.read_bytes()
        file.write_bytes(content)
        with pytest.raises(ArtifactError):
            load(path)
        file.write_bytes(intact)
    load(path)


def test_the_same_data_and_seed_give_the_same_digest(tmp_path):
    tests = Path(__file__).parent
    versions = [run(TRAINED, tests, tmp_path / name) for name in ("a", "b")]
    assert versions[0] == versions[1]


def test_other_data_or_another_seed_give_another_digest(tmp_path):
    versions = [
        model.save(tmp_path / str(number)).name
        for number, model in enumerate([fit(), fit(seed=1), fit(dataset=two_tastes(seed=1)), fit("next")])
    ]
    assert len(set(versions)) == 4
    assert fit().save(tmp_path / "again").name == versions[0]


# Digests that are right, and nonsense all the same


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """A model with every kind of part, as what `publish` takes."""
    path = tmp_path_factory.mktemp("parts") / "model"
    sources = SMALL["retrieval"] | {
        "sources": ["popularity", "ease", "two_tower"],
        "two_tower": {"epochs": 1, "dimension": 4},
    }
    with_trees().save(path)
    trees = open_artifact(path)
    model = fit(retrieval=sources, ranking=TUTORIAL["ranking"] | {"ranker": "rating", "rating_model": "network"})
    model.save(path)
    network = open_artifact(path)
    fit("next", retrieval=NEURAL).save(path)
    neural = open_artifact(path)
    fit("next", retrieval=CLOSED_FORMS).save(path)
    return {"trees": trees, "network": network, "neural": neural, "closed forms": open_artifact(path)}


def altered(opened, change):
    """The artifact with a change, as if it had been published so."""
    arrays = {name: np.array(array) for name, array in opened.arrays.items()}
    manifest = json.loads(json.dumps(opened.manifest))
    frames = dict(opened.frames)
    change(arrays, manifest, frames)
    return replace(opened, manifest=manifest, arrays=arrays, frames=frames)


def is_refused(opened):
    try:
        restore(opened)
    except ArtifactError:
        return True
    return False


def test_unaltered_parts_load(parts):
    for opened in parts.values():
        assert len(restore(altered(opened, lambda arrays, manifest, frames: None)).recommend(0)) == 10


def test_nonsense_under_right_digests_is_refused(parts, tmp_path):
    def change(arrays, manifest, frames):
        arrays["sources/ease/item_rows"][0] = 10**9

    bad = altered(parts["trees"], change)
    publish(tmp_path, manifest=bad.manifest, arrays=bad.arrays, frames=bad.frames, volatile={})
    with pytest.raises(ArtifactError, match=r"ease\.item_rows: a row number lies outside \[0, 40\)"):
        load(tmp_path)


CHANGES = {
    "missing": None,
    "shorter": lambda array: array[:-1],
    "longer": lambda array: np.concatenate([array, array[-1:]]),
    "deeper": lambda array: array[..., None],
    "text": lambda array: array.astype(str),
    "complex": lambda array: array.astype(np.complex64),
    "other bits": lambda array: (np.nan_to_num(array) != 0).astype(np.uint8),
    "half": lambda array: array.astype(np.float16),
}


MAY_BE_MISSING = ["ranker/trees/leaf_weights"]
"""Models saved before it was kept load without."""


def test_a_model_without_leaf_weights_answers_alike_and_is_explained(parts):
    def change(arrays, manifest, frames):
        del arrays["ranker/trees/leaf_weights"]

    older, model = restore(altered(parts["trees"], change)), restore(parts["trees"])
    assert older.recommend([1, 2], k=5).equals(model.recommend([1, 2], k=5))
    for item, explanation in older.explain(1, k=5).items():
        total = explanation.base + sum(group.contribution for group in explanation.ranking)
        assert total == pytest.approx(explanation.score, abs=1e-6), item


@pytest.mark.parametrize("which", ["trees", "network", "neural", "closed forms"])
@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("label", CHANGES)
def test_no_array_may_be_missing_or_of_another_shape_or_type(parts, which, label):
    accepted = []
    for name in parts[which].arrays:

        def change(arrays, manifest, frames, name=name):
            if label == "missing":
                del arrays[name]
            else:
                arrays[name] = CHANGES[label](arrays[name])

        if not is_refused(altered(parts[which], change)):
            accepted.append(name)
    assert accepted == [name for name in MAY_BE_MISSING if label == "missing" and name in parts[which].arrays]


BAD_ROWS = [
    "log/user_rows",
    "log/item_rows",
    "item_counts/item_rows",
    "sources/ease/item_rows",
    "sources/covisitation/item_rows",
]


@pytest.mark.parametrize("name", BAD_ROWS)
@pytest.mark.parametrize("value", [-1, 60, 2**31 - 1])
def test_row_numbers_out_of_range(parts, name, value):
    def change(arrays, manifest, frames):
        arrays[name][len(arrays[name]) // 2] = value

    with pytest.raises(ArtifactError, match="outside"):
        restore(altered(parts["trees"], change))


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        ("sources/ease/indptr", 0, 1),
        ("sources/ease/indptr", -1, 10**9),
        ("sources/ease/indptr", 5, 10**9),
        ("sources/ease/indptr", 5, -1),
        ("log/timestamps", 3, 0),
        ("item_counts/ticks", -1, 0),
        ("item_counts/ticks", 3, -(10**6)),
        ("ranker/trees/split_features", (0, 0), 10**6),
        ("ranker/trees/split_features", (0, 0), -1),
    ],
)
def test_arrays_that_lead_astray(parts, name, place, value):
    def change(arrays, manifest, frames):
        arrays[name][place] = value

    with pytest.raises(ArtifactError):
        restore(altered(parts["trees"], change))


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        ("als/prior", (0, 0), -1),
        ("als/prior", (0, 0), np.nan),
        ("content/columns/hashes", 1, -1),
    ],
)
def test_arrays_of_closed_forms_that_lead_astray(parts, name, place, value):
    def change(arrays, manifest, frames):
        arrays[f"sources/{name}"][place] = value

    with pytest.raises(ArtifactError, match=r"positive definite|increase"):
        restore(altered(parts["closed forms"], change))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ([1, "fields", "decay"], 0),
        ([1, "fields", "ridge"], -1.0),
        ([1, "fields", "ridge"], "nan"),
        ([2, "fields", "decay"], 1.5),
        ([2, "fields", "columns", "kinds"], ["category"]),
        ([2, "fields", "columns", "kinds"], ["category", "picture"]),
        ([2, "fields", "columns", "names"], ["genre"]),
        ([2, "fields", "columns"], None),
    ],
)
def test_closed_forms_whose_fields_do_not_fit(parts, path, value):
    def change(arrays, manifest, frames):
        set_in(manifest["sources"], path, value)

    with pytest.raises(ArtifactError):
        restore(altered(parts["closed forms"], change))


def set_in(manifest, path, value):
    *parents, last = path
    for key in parents:
        manifest = manifest[key]
    manifest[last] = value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["kind"], "forest"),
        (["ranker"], None),
        (["ranker"], 3),
        (["ranker", "kind"], "pickle"),
        (["ranker", "kind"], "bias"),
        (["ranker", "fields", "source_features"], ["als_z"]),
        (["ranker", "fields", "source_weights"], [0.1, 0.2]),
        (["ranker", "fields", "source_features"], ["ease_z", "ease_z", "ease_z"]),
        (["ranker", "fields", "trees", "feature_names"], ["ease_z"]),
        (["target"], "soon"),
        (["target"], None),
        (["filter_seen"], "yes"),
        (["config", "retrieval", "candidates"], 0),
        (["config", "colour"], "red"),
        (["record"], None),
        (["record"], [1]),
        (["sources"], []),
        (["sources"], None),
        (["sources", 0], None),
        (["sources", 0, "kind"], "als"),
        (["sources", 1, "fields", "name"], "popularity"),
        (["sources", 3, "fields", "decay"], 7.0),
        (["sources", 3, "fields", "decay"], "inf"),
        (["sources", 3, "fields", "latest"], -1),
        (["sources", 3, "name"], "covisitation"),
        (["features", "similarity"], None),
        (["new_share"], None),
        (["new_share"], 1.5),
        (["features", "short"], 0),
        (["features", "long"], 1),
        (["features", "rating_model"], None),
        (["features", "rating_model", "kind"], "linear"),
        (["features", "source_weights"], [[1.0]]),
        (["features", "source_weights"], [[1.0] * 5] * 3),
        (["features", "item_facts", "number_names"], []),
        (["log", "n_items"], 41),
        (["log", "n_users"], 59),
        (["item_counts", "n_items"], 39),
        (["item_counts", "tick_length"], 0),
    ],
)
def test_a_manifest_that_does_not_fit(parts, path, value):
    def change(arrays, manifest, frames):
        set_in(manifest, path, value)

    with pytest.raises(ArtifactError):
        restore(altered(parts["trees"], change))


@pytest.mark.parametrize(
    "change",
    [
        lambda frames: frames.pop("items"),
        lambda frames: frames.update(items=frames["items"].drop("item_id")),
        lambda frames: frames.update(items=frames["items"].head(39)),
        lambda frames: frames.update(users=pl.concat([frames["users"].head(59), frames["users"].head(1)])),
        lambda frames: frames.update(users=frames["users"].with_columns(user_id=pl.lit(None, dtype=pl.Int64))),
        lambda frames: frames.update(users=frames["users"].cast({"user_id": pl.Float64})),
    ],
)
def test_tables_that_do_not_fit(parts, change):
    with pytest.raises(ArtifactError):
        restore(altered(parts["trees"], lambda arrays, manifest, frames: change(frames)))


def test_not_a_model_at_all(tmp_path):
    with pytest.raises(ArtifactError):
        load(tmp_path)
    publish(tmp_path, manifest={"kind": "cascade"}, arrays={}, frames={}, volatile={})
    with pytest.raises(ArtifactError, match="does not describe a model"):
        load(tmp_path)
