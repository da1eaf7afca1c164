"""From one version to the next: what is asked before a version is promoted, and the record of what was."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from shortlist import artifact
from shortlist.cascade import Cascade
from shortlist.durable import lock
from shortlist.errors import ArtifactError
from shortlist.evaluation.gate import gate, gate_apart
from shortlist.saving import load
from shortlist.serving.soundness import Kinds, faults

RECORD = "promotions.jsonl"
METRIC = "NDCG@10 in validation"
ELSE = "judge both on the same test interactions with `shortlist models promote MODEL VERSION --test FILE`"


class Judgement(NamedTuple):
    """Of a version beside the promoted one: whether it must not take its place, and why or why not."""

    worse: bool
    reason: str


Judge = Callable[[Cascade, Cascade], Judgement]
"""Holds a new model (the first) against the promoted one."""


class Promotion(NamedTuple):
    """What was said of a version that was promoted; ``faults`` only where it was forced."""

    faults: list[str]
    judgement: str


def by_validation(new: Cascade, old: Cascade) -> Judgement:
    """Hold the figures against each other that both models have from their training (`Cascade.validation`).

    Asked the same questions, they are compared user by user, see `shortlist.evaluation.gate.gate`; else by their means.
    Only what is proven worse is refused, and what cannot be compared though the promoted model has figures.
    """
    if old.validation is None:
        return Judgement(False, "the promoted version has no validation figures to hold this one against")
    if new.validation is None:
        return Judgement(True, f"it has no validation figures, unlike the promoted version; {ELSE}")
    if new.target != old.target:
        return Judgement(
            True,
            f"it was judged as target {new.target!r}, the promoted version as {old.target!r}, and such figures cannot "
            f"be compared; {ELSE}",
        )
    if _questions(new) == _questions(old) and new.validation["user_id"].equals(old.validation["user_id"]):
        verdict = gate(new.validation["ndcg"].to_numpy(), old.validation["ndcg"].to_numpy(), metric=METRIC)
    else:
        verdict = gate_apart(new.validation["ndcg"].to_numpy(), old.validation["ndcg"].to_numpy(), metric=METRIC)
    return Judgement(verdict.word == "worse", verdict.reason)


def _questions(model: Cascade) -> list[Any]:
    """What decides which questions a model was judged by."""
    config = model.config
    shifts = model.record.get("shifts") or [None]
    data = model.record.get("data", {}).get("fingerprint")
    return [data, model.filter_seen, config.positive, config.seed, config.ranking.shifts, shifts[-1]]


def promote(
    folder: Path,
    version: str,
    force: bool = False,
    store_kinds: Kinds = (None, None),
    judge: Judge = by_validation,
) -> Promotion:
    """Make a version the current one if it is sound and not worse than the one before; with ``force`` anyway.

    Either way it is recorded.

    Args:
        folder: the model's directory.
        version: one of `shortlist.artifact.versions`.
        force: promote it in spite of faults, which the record then names.
        store_kinds: see `shortlist.serving.soundness.faults`.
        judge: asked if another version is promoted now that can be read.

    Raises:
        ArtifactError: there is no such version, it is damaged, or it has faults and was not forced.
    """
    there = artifact.versions(folder)
    if version not in there:
        raise ArtifactError(f"{version!r} is not a version; {folder} has {', '.join(there) or 'none'}")
    model = load(folder / version)
    found = faults(model, store_kinds)
    judgement = _judged(folder, model, judge)
    if judgement.worse:
        found.append(judgement.reason)
    if found and not force:
        raise ArtifactError(f"version {version} is not promoted: {'; '.join(found)}")
    record_promotion(folder, version, found, judgement.reason)
    artifact.promote(folder, version)
    return Promotion(found, judgement.reason)


def _judged(folder: Path, model: Cascade, judge: Judge) -> Judgement:
    current = artifact.promoted(folder)
    if current is None or current == model.digest[:16]:
        return Judgement(False, "no other version is promoted")
    try:
        old = load(folder / current)
    except ArtifactError:
        return Judgement(False, f"the promoted version {current} cannot be read")
    return judge(model, old)


def record_promotion(folder: Path, version: str, found: list[str], judgement: str = "") -> None:
    """Add a line to the record of promotions beside the versions of a model; one with faults was forced."""
    line = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "version": version,
        "forced": bool(found),
        "faults": found,
        "judgement": judgement,
    }
    with lock(folder), (folder / RECORD).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")


def was_forced(folder: Path, version: str) -> bool:
    """Whether the last promotion of a version was forced: it may then answer in spite of its faults."""
    return bool(next((line["forced"] for line in reversed(promotions(folder)) if line["version"] == version), False))


def promotions(folder: Path) -> list[dict[str, Any]]:
    """The record of promotions, oldest first; a line that cannot be read is left out."""
    try:
        lines = (folder / RECORD).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            entry = json.loads(line)
            found.append({key: entry[key] for key in ("at", "version", "forced", "faults")})
        except (ValueError, KeyError, TypeError):
            continue
    return found
