"""A model as manifest, arrays and frames, and back. The format of the files themselves is `shortlist.artifact`'s."""

import platform
import time
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from shortlist.artifact import Opened, let_go_of_pages, open_artifact, publish
from shortlist.cascade import Cascade
from shortlist.config import Config
from shortlist.data.log import Log
from shortlist.errors import ArtifactError
from shortlist.first_stage import FirstStage
from shortlist.packing import pack, unpack
from shortlist.ranking.bias import RatingBias, RatingModel
from shortlist.ranking.blend import Blend
from shortlist.ranking.factorization import RatingFactorization
from shortlist.ranking.features import Features, ItemFacts
from shortlist.ranking.linear import Linear
from shortlist.ranking.network import RatingNetwork
from shortlist.retrieval.content import Content
from shortlist.retrieval.history_tower import HistoryTower
from shortlist.retrieval.item_item import ItemItem
from shortlist.retrieval.popularity import ItemCounts, Popularity
from shortlist.retrieval.sequence import SequenceEncoder
from shortlist.retrieval.vectors import FoldedVectors, IdVectors
from shortlist.stages import Ranker, Source
from shortlist.structure import check_structure

Arrays = dict[str, np.ndarray[Any, Any]]
KINDS: dict[str, type[Any]] = {
    "item_item": ItemItem,
    "id_vectors": IdVectors,
    "folded_vectors": FoldedVectors,
    "content": Content,
    "sequence": SequenceEncoder,
    "history_tower": HistoryTower,
    "bias": RatingBias,
    "network": RatingNetwork,
    "factorization": RatingFactorization,
    "blend": Blend,
    "linear": Linear,
}
"""What a manifest may name; nothing stored names code."""
VOLATILE = ("fit_seconds",)


def save(model: Cascade, path: str | Path, promote: bool = True) -> Path:
    """Publish a model as a version under ``path``; see `Cascade.save`."""
    arrays: Arrays = {}
    features = model.first.features
    manifest = {
        "kind": "cascade",
        "package": version("shortlist"),
        "config": msgspec.to_builtins(model.config),
        "target": model.target,
        "filter_seen": model.filter_seen,
        "log": _put(model.log, "log", arrays),
        "item_counts": _put(model.first.fallback.item_counts, "item_counts", arrays),
        "sources": [_put_source(source, arrays) for source in model.first.sources],
        "new_share": model.first.new_share,
        "features": {
            "item_facts": _put(features.item_facts, "item_facts", arrays),
            "similarity": features.similarity.name if features.similarity else None,
            "rating_model": _put_kind(features.rating_model, "rating_model", arrays),
            "short": features.short,
            "long": features.long,
            "source_weights": [list(row) for row in features.source_weights],
        },
        "ranker": _put_kind(model.ranker, "ranker", arrays),
        "record": {key: value for key, value in model.record.items() if key not in VOLATILE},
    }
    volatile = {
        "created_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "environment": {"python": platform.python_version(), "numpy": np.__version__, "machine": platform.machine()},
        **{key: model.record[key] for key in VOLATILE if key in model.record},
    }
    frames = {"items": model.items, "users": model.users}
    if model.validation is not None:
        frames["validation"] = model.validation
    return publish(path, manifest=manifest, arrays=arrays, frames=frames, volatile=volatile, promoted=promote).folder


def load(path: str | Path) -> Cascade:
    """Read a saved model: the promoted version under a model directory, or one version's folder.

    Every file's digest is verified before anything in it is parsed, and whether the parts fit together before
    anything is asked of them. Arrays are memory-mapped.

    Raises:
        ArtifactError: something is missing, altered, from a newer version of the format, or does not fit the rest.
    """
    return restore(open_artifact(path))


def restore(opened: Opened) -> Cascade:
    """The model in an opened artifact, if its parts fit together."""
    try:
        model = _restore(opened)
        check_structure(model)
        _ = model.first.features.item_facts.given_attributes  # made now, while the dense ones are at hand
        let_go_of_pages(opened.arrays)  # the checks have read every array once; answers read far less
    except ArtifactError as error:
        raise ArtifactError(f"{opened.folder}: {error}") from error
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise ArtifactError(f"{opened.folder}: the manifest does not describe a model: {error!r}") from error
    return model


def _restore(opened: Opened) -> Cascade:
    manifest = opened.manifest
    if manifest["kind"] != "cascade":
        raise ArtifactError(f"expected a cascade, got {manifest['kind']!r}")
    arrays = {name: array.view(np.ndarray) for name, array in opened.arrays.items()}
    counts = _get(ItemCounts, manifest["item_counts"], "item_counts", arrays)
    sources = tuple(_get_source(stored, counts, arrays) for stored in manifest["sources"])
    stored = manifest["features"]
    similarity = {s.name: s for s in sources if isinstance(s, ItemItem)}.get(stored["similarity"])
    features = Features(
        tuple(source.name for source in sources),
        counts,
        _get(ItemFacts, stored["item_facts"], "item_facts", arrays),
        similarity,
        _get_kind(stored["rating_model"], "rating_model", arrays),
        stored["short"],
        stored["long"],
        tuple(tuple(row) for row in stored["source_weights"]),
    )
    ranker: Ranker = _get_kind(manifest["ranker"], "ranker", arrays)
    return Cascade(
        opened.frames["items"],
        opened.frames["users"],
        _get(Log, manifest["log"], "log", arrays),
        FirstStage(sources, Popularity("popularity", counts), features, float(manifest["new_share"])),
        ranker,
        msgspec.convert(manifest["config"], Config),
        manifest["target"],
        manifest["filter_seen"],
        manifest["record"] | {key: opened.volatile[key] for key in VOLATILE if key in opened.volatile},
        opened.digest,
        opened.frames.get("validation"),
    )


def _put(component: Any, name: str, arrays: Arrays) -> dict[str, Any]:
    meta, inner = pack(component)
    arrays |= {f"{name}/{key}": array for key, array in inner.items()}
    return meta


def _get(cls: type[Any], meta: Mapping[str, Any], name: str, arrays: Arrays) -> Any:
    inner = {key.removeprefix(f"{name}/"): array for key, array in arrays.items() if key.startswith(f"{name}/")}
    return unpack(cls, meta, inner)


def _put_kind(component: RatingModel | Ranker | None, name: str, arrays: Arrays) -> dict[str, Any] | None:
    if component is None:
        return None
    kind = next(kind for kind, cls in KINDS.items() if type(component) is cls)
    return {"kind": kind, "fields": _put(component, name, arrays)}


def _get_kind(stored: Mapping[str, Any] | None, name: str, arrays: Arrays) -> Any:
    return None if stored is None else _get(KINDS[stored["kind"]], stored["fields"], name, arrays)


def _put_source(source: Source, arrays: Arrays) -> dict[str, Any]:
    """Popularity lists share one table of counts, stored once."""
    if isinstance(source, Popularity):
        meta, _ = pack(replace(source, item_counts=_NO_COUNTS))
        return {"kind": "popularity", "fields": {key: meta[key] for key in ("name", "window", "half_life")}}
    kind = next(kind for kind, cls in KINDS.items() if type(source) is cls)
    return {"kind": kind, "name": source.name, "fields": _put(source, f"sources/{source.name}", arrays)}


def _get_source(stored: Mapping[str, Any], counts: ItemCounts, arrays: Arrays) -> Source:
    fields = stored["fields"]
    if stored["kind"] == "popularity":
        return Popularity(fields["name"], counts, float(fields["window"]), float(fields["half_life"]))
    source: Source = _get(KINDS[stored["kind"]], fields, f"sources/{stored['name']}", arrays)
    if source.name != stored["name"]:
        raise ArtifactError(f"the source {stored['name']!r} calls itself {source.name!r}")
    return source


_NO_COUNTS = ItemCounts(
    np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32), 0, 1, 0
)
