"""May this model answer? What is asked of it before it is promoted, and again before it is served."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shortlist import artifact
from shortlist.cascade import Cascade, allowed_masks
from shortlist.durable import lock
from shortlist.errors import ArtifactError
from shortlist.saving import load
from shortlist.serving.store.contract import IdKind

QUERIES = 20
RECORD = "promotions.jsonl"
Kinds = tuple[IdKind | None, IdKind | None]


def faults(model: Cascade, store_kinds: Kinds = (None, None)) -> list[str]:
    """What speaks against serving a model, one sentence each; empty = nothing.

    Known users, and somebody unknown with and without a history, are asked: each must get all items that were asked
    for, with finite scores that are not all alike.

    Args:
        model: as loaded.
        store_kinds: the kinds of the ids of users and items in the store; ``None`` = not known.
    """
    if not len(model.items):
        return ["the catalogue is empty"]
    found = []
    ours = (model.user_vocabulary.kind, model.item_vocabulary.kind)
    for what, kind, stored in zip(("user", "item"), ours, store_kinds, strict=True):
        if stored is not None and stored != kind:
            found.append(f"its {what} ids are of the kind {kind}, those of the store are of the kind {stored}")
    try:
        return found + _faults_of_answers(model)
    except Exception as error:  # a model that cannot answer, for whatever reason, must not be served
        return [*found, f"it cannot answer: {type(error).__name__}: {error}"]


def _faults_of_answers(model: Cascade) -> list[str]:
    ids = model.users["user_id"].gather_every(max(1, len(model.users) // QUERIES)).to_list()
    n = model.config.retrieval.candidates
    constant, asked = True, 0
    popular = model.items["item_id"][int(np.argmax(model.first.fallback.item_counts.before(0)))]
    for request in (model.request([*ids, None]), model.request([None], history=[popular])):
        queries = request.queries
        allowed = allowed_masks(np.ones(len(model.items), dtype=bool), len(queries), None)
        for one in model.order(queries, model.shortlist(queries, allowed, n, n), n, n):
            asked += 1
            if len(one.item_rows) != min(n, len(model.items)):
                return [f"it returned {len(one.item_rows)} items where {min(n, len(model.items))} were asked for"]
            if not np.isfinite(one.scores).all():
                return [f"{int((~np.isfinite(one.scores)).sum())} of {len(one.scores)} scores are no numbers"]
            constant &= bool(np.ptp(one.scores) == 0)
    return [f"all scores of each of {asked} answers are alike"] if constant and len(model.items) > 1 else []


def record_promotion(folder: Path, version: str, forced: bool, found: list[str]) -> None:
    """Add a line to the record of promotions beside the versions of a model."""
    line = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "version": version,
        "forced": forced,
        "faults": found,
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


def promote(
    folder: Path,
    version: str,
    force: bool = False,
    store_kinds: Kinds = (None, None),
    against: Sequence[str] = (),
) -> list[str]:
    """Make a version the current one if it is sound; with ``force`` anyway. Either way it is recorded.

    Args:
        folder: the model's directory.
        version: one of `shortlist.artifact.versions`.
        force: promote it in spite of faults, which the record then names.
        store_kinds: see `faults`.
        against: what else speaks against it.

    Returns:
        Its faults: not empty only where it was forced.

    Raises:
        ArtifactError: there is no such version, it is damaged, or it has faults and was not forced.
    """
    there = artifact.versions(folder)
    if version not in there:
        raise ArtifactError(f"{version!r} is not a version; {folder} has {', '.join(there) or 'none'}")
    found = [*against, *faults(load(folder / version), store_kinds)]
    if found and not force:
        raise ArtifactError(f"version {version} is not promoted: {'; '.join(found)}")
    record_promotion(folder, version, bool(found), found)
    artifact.promote(folder, version)
    return found
