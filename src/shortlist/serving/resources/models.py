"""Models: the one that answers, those that are kept, and which of them comes next."""

import asyncio
import re
import time
from datetime import UTC, datetime

from msgspec import Struct

from shortlist import artifact
from shortlist.errors import ArtifactError
from shortlist.reports import kept_report
from shortlist.serving.calls import Call
from shortlist.serving.problems import ProblemError
from shortlist.serving.promotion import promote as promote_version
from shortlist.serving.resources.recommend import answered
from shortlist.serving.routes import Route
from shortlist.serving.schemas import Answer, ModelInfo, Models, Promoted, Ratings, Recommend, VersionReport
from shortlist.serving.service import Service

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
        ratings=Ratings(*bundle.rating_range) if bundle.rating_range else None,
        positive_events=list(model.config.positive.events or ()),
        record=model.record,
    )


async def models(service: Service, call: Call) -> Models:
    """The versions that are kept, the promoted one first."""
    live = service.live
    versions = [live.bundle.version] if live.one_version else await asyncio.to_thread(artifact.versions, live.folder)
    refused = live.refused[0] if live.refused else None
    return Models(live.bundle.version, live.promoted(), versions, refused, live.previous())


async def promote(service: Service, call: Call, version: str, query: PromoteQuery) -> Promoted:
    """Check a version, make it the promoted one, and answer with it from now on.

    It is refused where it must not answer, or where its validation figures are worse than those of the promoted one.
    """
    live, before = service.live, service.bundle.version
    if live.one_version:
        raise ProblemError("conflict", "This server was given one version and serves no other.")
    await _need(service, version)
    kinds = service.store.id_kinds() if service.store is not None else (None, None)
    done = await service.change(promote_version, live.folder, version, query.force, kinds)
    await service.change(live.follow, True)
    if live.bundle.version != version:
        raise ArtifactError(f"version {version} was promoted, but cannot be served: {(live.refused or ('', ''))[1]}")
    call.version = version
    return Promoted(version, before, bool(done.faults), done.faults, done.judgement)


async def recommend_by(service: Service, call: Call, version: str, body: Recommend) -> Answer:
    """Recommend by a version that is kept but not promoted, to hold it against the one that answers.

    It is loaded when first asked for, which takes a while, and stays in memory until another one is asked for.
    """
    await _need(service, version)
    bundle = await service.change(service.live.beside, version)
    return await answered(service, call, body, bundle, time.perf_counter())


async def report(service: Service, call: Call, version: str) -> VersionReport:
    """What an evaluation found about a version, if that was kept."""
    await _need(service, version)
    kept = await asyncio.to_thread(kept_report, service.live.folder, version)
    if kept is None:
        return VersionReport(version, "", False, None)
    return VersionReport(kept.version, kept.judged, kept.same_model, kept.report)


async def _need(service: Service, version: str) -> None:
    """Raises:
    ProblemError: no such version is kept.
    """
    live = service.live
    if version == live.bundle.version:
        return
    if live.one_version or not VERSION.fullmatch(version) or version not in artifact.versions(live.folder):
        raise ProblemError("not-found", "No such version is kept.")


ROUTES = (
    Route("GET", "/v1/model", model, "The model that answers", ModelInfo),
    Route("GET", "/v1/models", models, "The versions that are kept", Models),
    Route("GET", "/v1/models/{version}/report", report, "What an evaluation found about a version", VersionReport),
    Route(
        "POST",
        "/v1/models/{version}/recommend",
        recommend_by,
        "Recommend by a version that is not promoted",
        Answer,
        scope="admin",
        body=Recommend,
    ),
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
