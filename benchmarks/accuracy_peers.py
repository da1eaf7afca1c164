"""The peers of ``accuracy.py``: settings drawn, judged on validation by our judge; the best ones are fitted anew."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from accuracy_data import Case, days_of
from accuracy_judge import DEPTH, Judge

import shortlist as sl

HERE = Path(__file__).parent
Settings = dict[str, Any]
Draw = Callable[[np.random.Generator], Settings]


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(f"{np.exp(rng.uniform(np.log(low), np.log(high))):.3g}")


def als(rng: np.random.Generator) -> Settings:
    return {
        "factors": int(rng.choice([16, 32, 64, 128])),
        "regularization": log_uniform(rng, 1, 100),
        "alpha": log_uniform(rng, 0.5, 40),
        "iterations": 15,
    }


def bpr(rng: np.random.Generator) -> Settings:
    return {
        "factors": int(rng.choice([16, 32, 64, 128])),
        "learning_rate": log_uniform(rng, 0.002, 0.03),
        "regularization": log_uniform(rng, 0.005, 0.1),
        "iterations": int(rng.choice([50, 100, 200])),
    }


def two_stage(rng: np.random.Generator) -> Settings:
    return {
        "candidates": int(rng.choice([50, 100])),
        "ease": log_uniform(rng, 50, 1000),
        "factors": int(rng.choice([32, 64, 128])),
        "regularization": log_uniform(rng, 0.01, 100),
        "alpha": log_uniform(rng, 0.5, 40),
        "neighbours": int(rng.choice([50, 100, 200])),
        "popular_days": int(rng.choice([0, 30])),
        "head": str(rng.choice(["classifier", "ranker"])),
        "negatives": int(rng.choice([3, 10, 40])),
        "trees": int(rng.choice([100, 300])),
        "depth": int(rng.choice([4, 6])),
        "learning_rate": log_uniform(rng, 0.03, 0.2),
    }


PEERS: dict[str, tuple[str, str, Draw]] = {
    "implicit ALS": ("implicit", "als", als),
    "implicit BPR": ("implicit", "bpr", bpr),
    "RecTools two-stage": ("rectools", "two_stage", two_stage),
}
"""By name: the environment and script, the model in it, and how its settings are drawn."""


def cannot(name: str, case: Case) -> str | None:
    """Why a peer cannot be asked; ``None`` = it can."""
    if name == "RecTools two-stage" and case.evaluated_as == "time" and case.dataset.time_kind != "seconds":
        return "its split by time needs real times"
    return None


def peer_lists(
    name: str, case: Case, part: sl.Split, venvs: Path, n_trials: int, cache: Path | None
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """A peer's lists for the test of one cut, and the record: trials, what was chosen, CPU seconds, memory.

    Args:
        venvs: holds the environments, made on first use.
        n_trials: settings drawn, the same number for every peer.
        cache: where lists are kept and found again: by peer, training events, test and settings tried.
    """
    environment, model, draw = PEERS[name]
    rng = np.random.default_rng(0)
    tried = [draw(rng) for _ in range(n_trials)]
    folder = cache and cache / f"{case.name}-{case.protocol}-{model}-{key_of(part, tried)}"
    if folder and (folder / "record.json").is_file():
        return pl.read_parquet(folder / "lists.parquet"), json.loads((folder / "record.json").read_text())
    python = peer_python(venvs, environment)
    inner = case.inner(part)
    judge = Judge(inner.train, inner.test, case.evaluated_as)
    with tempfile.TemporaryDirectory() as work:
        files, trials = run(python, environment, model, tried, case, inner, judge, Path(work))
        figures = [ndcg(judge, pl.read_parquet(file)) for file in files]
    chosen = tried[int(np.argmax(figures))]
    say(f"{name}: {chosen}, validation NDCG@10 {max(figures):.4f}")
    with tempfile.TemporaryDirectory() as work:
        final_judge = Judge(part.train, part.test, case.evaluated_as)
        files, final = run(python, environment, model, [chosen], case, part, final_judge, Path(work))
        lists = pl.read_parquet(files[0])
    record = {
        "chosen": chosen,
        "trials": [{"settings": s, "ndcg_at_10": f} for s, f in zip(tried, figures, strict=True)],
        "fit_cpu_seconds": final["cpu_seconds"][0],
        "cpu_seconds": sum(trials["cpu_seconds"]) + final["cpu_seconds"][0],
        "peak_mb": final["peak_mb"],
        "versions": final["versions"],
    }
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        lists.write_parquet(folder / "lists.parquet")
        (folder / "record.json").write_text(json.dumps(record))
    return lists, record


def key_of(part: sl.Split, tried: list[Settings]) -> str:
    settings = hashlib.sha256(json.dumps(tried).encode()).hexdigest()
    return "-".join(digest[:12] for digest in (part.train.fingerprint, part.test.fingerprint, settings))


def ndcg(judge: Judge, table: pl.DataFrame) -> float:
    """Mean over all users whom the peer can answer."""
    values = [
        value
        for figures in judge.figures(judge.lists_of_table(table)).values()
        for value in figures.per_user["ndcg"].values()
    ]
    return float(np.mean(values))


def run(
    python: Path,
    script: str,
    model: str,
    settings: list[Settings],
    case: Case,
    part: sl.Split,
    judge: Judge,
    work: Path,
) -> tuple[list[Path], dict[str, Any]]:
    """The peer's lists for each of the settings, and what they took."""
    columns = [name for name in ("user_id", "item_id", "timestamp") if name in part.train.interactions.columns]
    part.train.interactions.select(columns).write_parquet(work / "train.parquet")
    stored = [user for g in judge.groups.values() if g.questions.history is None for user in g.questions.user_ids]
    kind = part.train.interactions["user_id"].dtype
    pl.DataFrame({"user_id": pl.Series(stored, dtype=kind)}).write_parquet(work / "asked.parquet")
    histories(judge, part.train).write_parquet(work / "histories.parquet")
    options = {
        "model": model,
        "settings": settings,
        "k": DEPTH,
        "filter_seen": judge.filter_seen,
        "protocol": case.evaluated_as,
        "days": days_of(part),
    }
    (work / "job.json").write_text(json.dumps(options))
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    say(f"{script} {model}: {len(settings)} settings, {len(part.train):,} events")
    started = time.perf_counter()
    ran = subprocess.run([python, HERE / f"accuracy_{script}.py", work], env=os.environ | one_thread)
    if ran.returncode:
        sys.exit(f"the peer {script} {model} failed (exit code {ran.returncode})")
    say(f"{script} {model}: {time.perf_counter() - started:.0f} s")
    result: dict[str, Any] = json.loads((work / "result.json").read_text())
    return [work / f"lists_{number}.parquet" for number in range(len(settings))], result


def histories(judge: Judge, train: sl.Dataset) -> pl.DataFrame:
    tables = [
        pl.DataFrame({"item_id": history["item_id"]}).select(
            pl.lit(user, dtype=train.interactions["user_id"].dtype).alias("user_id"), "item_id"
        )
        for group in judge.groups.values()
        for user, history in zip(group.questions.user_ids, group.questions.history or [], strict=False)
    ]
    return pl.concat(tables) if tables else train.interactions.select("user_id", "item_id").clear()


def peer_python(venvs: Path, environment: str) -> Path:
    """The Python of a peer's environment, made on first use with what its file of requirements names."""
    python = venvs / f"venv-{environment}" / "bin" / "python"
    if not python.is_file():
        say(f"making {python.parents[1]}")
        subprocess.run([sys.executable, "-m", "venv", python.parents[1]], check=True)
        requirements = HERE / f"requirements-{environment}.txt"
        subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", "-r", requirements], check=True)
    return python


def say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
