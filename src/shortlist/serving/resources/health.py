"""Whether the server lives, whether it is ready, what it counts, and what it offers."""

import asyncio
from functools import cache
from importlib.resources import files

import msgspec

from shortlist.serving.calls import Call
from shortlist.serving.openapi import describe
from shortlist.serving.routes import Raw, Route, WithStatus
from shortlist.serving.schemas import Health
from shortlist.serving.service import Service
from shortlist.serving.store.contract import Unavailable

STATIC = {
    "docs": ("docs.html", "text/html"),
    "docs_js": ("docs.js", "text/javascript"),
    "docs_css": ("docs.css", "text/css"),
}


async def livez(service: Service, call: Call) -> Health:
    """The process answers."""
    return Health("ok")


async def readyz(service: Service, call: Call) -> WithStatus:
    """A model answers, the store can be written, and the server is not about to stop."""
    checks = {}
    if service.draining:
        checks["draining"] = "the server is about to stop"
    if service.store is not None:
        try:
            await asyncio.to_thread(service.store.check)
        except Unavailable as error:
            checks["store"] = type(error).__name__
    return WithStatus(503 if checks else 200, Health("not ready" if checks else "ok", checks))


async def metrics(service: Service, call: Call) -> Raw:
    """Counters for Prometheus."""
    if service.store is not None:
        service.metrics.queued.set(service.store.n_queued)
    return Raw(service.metrics.text(), "text/plain; version=0.0.4; charset=utf-8")


async def openapi(service: Service, call: Call) -> Raw:
    """This interface as an OpenAPI 3.1 document."""
    return Raw(_document(), "application/json")


async def docs(service: Service, call: Call) -> Raw:
    """The OpenAPI document to look at and to try, without anything from elsewhere."""
    return _static("docs")


async def docs_js(service: Service, call: Call) -> Raw:
    """The page's script."""
    return _static("docs_js")


async def docs_css(service: Service, call: Call) -> Raw:
    """The page's style."""
    return _static("docs_css")


@cache
def _document() -> bytes:
    from shortlist.serving.resources import ALL_ROUTES

    return msgspec.json.encode(describe(ALL_ROUTES))


def _static(name: str) -> Raw:
    file, content_type = STATIC[name]
    return Raw((files("shortlist.serving") / "static" / file).read_bytes(), content_type)


ROUTES = (
    Route("GET", "/livez", livez, "The process answers", Health, scope=None),
    Route("GET", "/readyz", readyz, "It can be sent requests", Health, scope=None, statuses=(200, 503)),
    Route("GET", "/metrics", metrics, "Counters for Prometheus", content_type="text/plain"),
    Route("GET", "/openapi.json", openapi, "This interface as an OpenAPI document", scope=None),
    Route("GET", "/docs", docs, "The OpenAPI document as a page", scope=None, content_type="text/html"),
    Route("GET", "/docs.js", docs_js, "The page's script", scope=None, content_type="text/javascript"),
    Route("GET", "/docs.css", docs_css, "The page's style", scope=None, content_type="text/css"),
)
