"""Models: the one that answers, those that are kept, and which of them comes next."""

import asyncio
import re
from datetime import UTC, datetime

from msgspec import Struct

from shortlist import artifact
from shortlist.errors import ArtifactError
from shortlist.serving.calls import Call
from shortlist.serving.problems import ProblemError
from shortlist.serving.routes import Route
from shortlist.serving.schemas import ModelInfo, Models, Promoted
from shortlist.serving.service import Service
from shortlist.serving.soundness import promote as promote_version

VERSION = re.compile(r"[0-9a-f]{16}")


class PromoteQuery(Struct, forbid_unknown_fields=True):
    force: bool = False


async def model(service: Service, call: Call) -> ModelInfo:
    """What answers, and how it came about."""
    bundle = service.bundle
    call.version = bundle.version
    model = bundle.model
    return ModelInfo(
        version=bundle.version,
        digest=model.digest,
        target=model.target,
        preset=model.config.preset,
        filter_seen=model.filter_seen,
        sources=list(bundle.source_names),
        ranker=type(model.ranker).__name__.lower(),
        candidates=model.config.retrieval.candidates,
        items=len(model.items),
        users=len(model.users),
        events=len(model.log),
        overlay_items=len(model.items) - len(bundle.base.items),
        loaded_at=datetime.fromtimestamp(bundle.loaded_at, UTC).isoformat(timespec="seconds"),
        columns={name: str(dtype) for name, dtype in model.items.schema.items()},
        record=model.record,
    )


async def models(service: Service, call: Call) -> Models:
    """The versions that are kept, the promoted one first."""
    live = service.live
    versions = [live.bundle.version] if live.one_version else await asyncio.to_thread(artifact.versions, live.folder)
    return Models(live.bundle.version, live.promoted(), versions, live.refused[0] if live.refused else None)


async def promote(service: Service, call: Call, version: str, query: PromoteQuery) -> Promoted:
    """Check a version, make it the promoted one, and answer with it from now on."""
    live, before = service.live, service.bundle.version
    if live.one_version:
        raise ProblemError("conflict", "This server was given one version and serves no other.")
    if not VERSION.fullmatch(version) or version not in await asyncio.to_thread(artifact.versions, live.folder):
        raise ProblemError("not-found", "No such version is kept.")
    kinds = service.store.id_kinds() if service.store is not None else (None, None)
    found = await asyncio.to_thread(promote_version, live.folder, version, query.force, kinds)
    await asyncio.to_thread(live.follow, True)
    if live.bundle.version != version:
        raise ArtifactError(f"version {version} was promoted, but cannot be served: {(live.refused or ('', ''))[1]}")
    call.version = version
    return Promoted(version, before, bool(found), found)


ROUTES = (
    Route("GET", "/v1/model", model, "The model that answers", ModelInfo),
    Route("GET", "/v1/models", models, "The versions that are kept", Models),
    Route(
        "POST",
        "/v1/models/{version}/promote",
        promote,
        "Promote a version",
        Promoted,
        scope="admin",
        query=PromoteQuery,
    ),
)
