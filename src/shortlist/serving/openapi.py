"""The OpenAPI 3.1 document, from the routes and the very types that requests are checked against."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import msgspec

from shortlist.serving.problems import PREFIX, TITLES
from shortlist.serving.routes import Route
from shortlist.serving.schemas import Problem

REFERENCE = "#/components/schemas/{name}"


def describe(routes: Sequence[Route]) -> dict[str, Any]:
    """The document."""
    types = [Problem, *(one for route in routes for one in (route.body, route.query, route.answer) if one is not None)]
    schemas, components = msgspec.json.schema_components(types, ref_template=REFERENCE)
    of_type = dict(zip(map(_key, types), schemas, strict=True))
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, of_type, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Shortlist",
            "version": version("shortlist"),
            "description": "A two-stage recommender: retrieval makes a shortlist, ranking puts it in order.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _key(of: Any) -> str:
    return repr(of)


def _operation(route: Route, of_type: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    content = {route.content_type: {"schema": of_type[_key(route.answer)] if route.answer else {}}}
    told: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "description": " ".join((route.handler.__doc__ or "").split()),
        "tags": [route.path.split("/")[2] if route.path.startswith("/v1/") else "server"],
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
            for name in route.parameters
        ],
        "responses": {
            **{str(status): {"description": route.summary, "content": content} for status in route.statuses},
            **{status: _problem(kinds) for status, kinds in sorted(_problems().items())},
        },
        "security": [{"key": [route.scope]}, {}] if route.scope else [{}],
    }
    if route.query is not None:
        schema = components[route.query.__name__]
        told["parameters"] += [
            {"name": name, "in": "query", "required": False, "schema": inner}
            for name, inner in schema["properties"].items()
        ]
    told["parameters"] += [
        {
            "name": name,
            "in": "header",
            "required": False,
            "schema": {"type": "string", "minLength": 1, "maxLength": 256},
        }
        for name in route.headers
    ]
    if route.body is not None:
        body: dict[str, Any] = {"schema": of_type[_key(route.body)]}
        if route.example is not msgspec.UNSET:
            body["example"] = route.example
        told["requestBody"] = {"required": True, "content": {"application/json": body}}
    return told


def _problems() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for kind, (status, _) in TITLES.items():
        found.setdefault(str(status), []).append(PREFIX + kind)
    return found


def _problem(kinds: list[str]) -> dict[str, Any]:
    return {
        "description": "; ".join(kinds),
        "content": {"application/problem+json": {"schema": {"$ref": REFERENCE.format(name="Problem")}}},
    }
