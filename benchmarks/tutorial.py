"""The tutorial with TensorFlow Recommenders and with Shortlist, in turn, on the same rows of MovieLens 100K.

    python benchmarks/tutorial.py [--data FOLDER] [--peer-venv FOLDER] [--quick]

Each measurement is a process of its own (``tutorial_ours.py``, ``tutorial_peer.py``), one at a time, ours and the
peer's alternately. The peer runs in an environment of its own, made on first use from ``requirements-tfrs.txt`` (about
1.3 GB; it needs Python 3.11). CPU seconds are those of the whole process around the measured part. The table is
Markdown; the last line is JSON. ``--quick`` shows only that everything runs. Needs the extra ``train``.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from tutorial_ours import Rows
from tutorial_tables import SMALL_BATCHES, TUTORIALS, print_tables

import shortlist as sl
from shortlist.data.movielens import by_title, cache_folder
from shortlist.evaluation.metrics import accuracy_at, average_ranks
from shortlist.training.tutorial import KS

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "requirements-tfrs.txt"
SETTINGS = {
    TUTORIALS: {"batch_size": 8192, "learning_rate": 0.1},
    # Of batches of 256 to 2,048 and learning rates of .01 to .1: least CPU time to the target on validation.
    SMALL_BATCHES: {"batch_size": 256, "learning_rate": 0.1},
}

Results = dict[str, Any]


class Plan(NamedTuple):
    """How much is measured."""

    rounds: int = 3
    rounds_with_metrics: int = 1
    epochs: int = 10
    fits: int = 4
    repeats: int = 3
    rating_epochs: int = 150
    calls: int = 943
    slow_calls: int = 100
    train_rows: int = 80_000
    fitted_rows: int = 72_000
    target_rmse: float = 0.951
    k: int = 10


QUICK = Plan(1, 1, 2, 2, 1, 2, 20, 5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of MovieLens 100K; left out: the cache, or it is fetched")
    parser.add_argument("--peer-venv", type=Path, help="folder of the peer's environment; left out: one in the cache")
    parser.add_argument("--quick", action="store_true", help="a run of some minutes whose figures mean nothing")
    arguments = parser.parse_args()
    plan = QUICK if arguments.quick else Plan()
    try:
        dataset = sl.movielens("100k", arguments.data)
    except sl.ShortlistError as error:
        sys.exit(f"MovieLens 100K is needed, and was not found: {error}")
    peer = peer_python(arguments.peer_venv or cache_folder() / "tfrs-venv")
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.npz"
        np.savez(rows, **shuffled_rows(dataset))
        results = measure(plan, Runner(peer, rows))
    print_tables(results)
    print(json.dumps(results))


def shuffled_rows(dataset: sl.Dataset) -> dict[str, np.ndarray]:
    """All rows in the order of the tutorial's permutation, as row numbers, and the ids they stand for."""
    dataset = by_title(dataset)
    order = np.random.default_rng(42).permutation(len(dataset))
    shuffled = dataset.interactions[order]
    return {
        "user_rows": dataset.user_vocabulary.rows(shuffled["user_id"]),
        "item_rows": dataset.item_vocabulary.rows(shuffled["item_id"]),
        "ratings": shuffled["rating"].cast(pl.Float32).to_numpy(),
        "user_ids": dataset.users["user_id"].to_numpy(),
        "titles": np.array(dataset.items["item_id"].to_list()),
    }


def peer_python(folder: Path) -> Path:
    """The Python of the peer's environment, which is made anew if the requirements have changed."""
    finished, digest = folder / "finished", hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    if finished.is_file() and finished.read_text() == digest:
        return folder / "bin" / "python"
    if finished.is_file():
        shutil.rmtree(folder)
    elif folder.exists():
        sys.exit(f"{folder} is not an environment that this script made; name a folder that does not exist yet.")
    base = sys.executable if sys.version_info[:2] == (3, 11) else shutil.which("python3.11")
    if base is None:
        sys.exit(
            "The peer needs Python 3.11 (TensorFlow below 2.16 has no wheel for later ones); python3.11 is not here."
        )
    say(f"making the peer's environment in {folder}: 1.3 GB, minutes")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".unfinished-") as work:
        made = Path(work) / "venv"
        python = made / "bin" / "python"
        checked_call([base, "-m", "venv", made])
        checked_call([python, "-m", "pip", "install", "-q", "--no-deps", "-r", REQUIREMENTS])
        checked_call([python, "-c", "import tensorflow_recommenders"])
        (made / "finished").write_text(digest)
        made.rename(folder)
    return folder / "bin" / "python"


def checked_call(command: list[str | Path], environment: dict[str, str] | None = None) -> str:
    """What a command prints; if it fails, the end of its complaints and out."""
    ran = subprocess.run(command, env=environment, capture_output=True, text=True)
    if ran.returncode:
        shown = " ".join(map(str, command))
        sys.exit(f"This failed: {shown}\n" + "\n".join(ran.stderr.strip().splitlines()[-8:]))
    return ran.stdout


class Runner:
    """Runs one task of one side in a process of its own."""

    def __init__(self, peer: Path, rows: Path) -> None:
        one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self.sides = {
            "ours": ([sys.executable, HERE / "tutorial_ours.py"], os.environ | one_thread),
            "peer": ([peer, HERE / "tutorial_peer.py"], {**os.environ}),
        }
        self.rows = rows

    def __call__(self, side: str, task: str, **options: Any) -> Results:
        say(f"{side}: {task} {options}")
        command, environment = self.sides[side]
        call = [*command, task, self.rows, "--options", json.dumps(options)]
        result: Results = json.loads(checked_call(call, environment).splitlines()[-1])
        return result


def measure(plan: Plan, run: Runner) -> Results:
    """Everything, in rounds; each result is a list with one entry per round."""
    results: Results = {"plan": plan._asdict(), "load_before": os.getloadavg()}
    vectors = run.rows.with_name("vectors.npz")
    retrieval = {"train_rows": plan.train_rows, "epochs": plan.epochs}
    ranking = {
        "fitted_rows": plan.fitted_rows,
        "train_rows": plan.train_rows,
        "target": plan.target_rmse,
        "epochs": plan.rating_epochs,
    }
    asked = {"train_rows": plan.train_rows, "calls": plan.calls, "k": plan.k}

    def note(name: str, result: Results) -> None:
        results.setdefault(name, []).append(result)

    for seed in range(plan.rounds):
        options = {**retrieval, "seed": seed}
        note("ours retrieval", run("ours", "retrieval", **options, fits=plan.fits, repeats=plan.repeats))
        options |= {"metrics_in_training": False, "repeats": plan.repeats, "vectors": str(vectors)}
        note("peer retrieval", run("peer", "retrieval", **options))
        note("parity", parity(run.rows, vectors, plan.train_rows, results["peer retrieval"][-1]["accuracy"]))
        if seed < plan.rounds_with_metrics:
            options |= {"metrics_in_training": True, "repeats": 0, "vectors": None}
            note("peer retrieval with metrics", run("peer", "retrieval", **options))
        for name, settings in SETTINGS.items():
            for side in ("ours", "peer"):
                note(f"{side} ranking, {name}", run(side, "ranking", **ranking, **settings, seed=seed))
        sizes = {"fitted_rows": plan.fitted_rows, "train_rows": plan.train_rows}
        note("ours biases", run("ours", "biases", **sizes, seed=seed, repeats=plan.repeats))
        note("ours answers", run("ours", "answers", **asked, seed=seed, rating_epochs=min(20, plan.rating_epochs)))
        note("peer answers", run("peer", "answers", **asked, seed=seed, slow_calls=plan.slow_calls))
    return results | {"load_after": os.getloadavg()}


def parity(rows: Path, vectors: Path, train_rows: int, accuracy: dict[str, float]) -> dict[str, list[int]]:
    """The peer's vectors judged by our metric.

    The peer compares a row's score with the first k of the catalogue, its own title among them, whose score comes of
    another product: where that one is greater in the last bit, the title stands behind itself. So of the rows whose
    title has the rank k exactly, the peer loses some.

    Returns:
        For each k: how many test rows more ours finds than the peer's, and how many have the rank k exactly.
    """
    ours, peer = Rows(str(rows)), np.load(vectors)
    test = ours.log(train_rows, len(ours.ratings))
    ranks = average_ranks(peer["users"] @ peer["items"].T, test.user_rows, test.item_rows)
    found = accuracy_at(ranks, KS)
    return {str(k): [round((found[k] - accuracy[str(k)]) * len(test)), int((ranks == k).sum())] for k in KS}


def say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
