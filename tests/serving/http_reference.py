"""The page docs/http.md, made from the routes themselves: python tests/serving/http_reference.py > docs/http.md"""

import json
import re
from typing import Any

import msgspec

from shortlist.serving.openapi import describe
from shortlist.serving.problems import PREFIX, TITLES
from shortlist.serving.resources import ALL_ROUTES
from shortlist.serving.routes import Route

HEAD = f"""# The HTTP interface

Made from the routes themselves (`python tests/serving/http_reference.py > docs/http.md`); a test compares it with them.
The same as an OpenAPI 3.1 document: `GET /openapi.json`; as a page to try it: `GET /docs`. How to run a server is in
[serving.md](serving.md).

Bodies and answers are JSON. A body has at most 1 MB and no fields but those below. Each answer has the headers
`X-Request-Id` (the caller's own, if it sent one of up to 128 letters, digits, `.`, `_`, `:`, `-`) and, where a model
answered, `X-Model-Version`. Where the server has keys, a request needs `Authorization: Bearer KEY`.

An error is `application/problem+json` (RFC 9457) with `type`, `title`, `status`, `detail` and `request_id`. The types,
each after `{PREFIX}`:

| type | status | |
|---|---|---|
"""


def reference() -> str:
    document = describe(ALL_ROUTES)
    schemas = document["components"]["schemas"]
    problems = "".join(f"| `{kind}` | {status} | {title} |\n" for kind, (status, title) in TITLES.items())
    operations = "".join(operation(route, document) for route in ALL_ROUTES)
    types = "".join(section(name, schema) for name, schema in sorted(schemas.items()) if not name.endswith("Query"))
    return f"{HEAD}{problems}\n## Operations\n{operations}\n## Types\n{types}"


def operation(route: Route, document: dict[str, Any]) -> str:
    told = document["paths"][route.path][route.method.lower()]
    lines = [f"\n### {route.method} {route.path}\n", f"{told['description']}\n"]
    needs = f"Scope `{route.scope}`." if route.scope else "Needs no key."
    if route.body is not None:
        content = told["requestBody"]["content"]["application/json"]
        needs += f" Body: {kind(content['schema'])}."
    answers = next(iter(told["responses"]["200"]["content"].items()))
    needs += f" Answer: {kind(answers[1]['schema']) if answers[1]['schema'] else f'`{answers[0]}`'}"
    needs += f", status {' or '.join(map(str, route.statuses))}.\n" if len(route.statuses) > 1 else ".\n"
    lines.append(needs)
    lines += [f"- `{one['name']}` in the {one['in']}: {kind(one['schema'])}" for one in told["parameters"]]
    if told["parameters"]:
        lines.append("")
    if route.example is not msgspec.UNSET:
        call = f"curl localhost:8000{route.path.replace('{item_id}', '9001')} {method_flag(route)}"
        lines.append(f"```sh\n{call}-H 'Content-Type: application/json' \\\n  -d '{quoted(route.example)}'\n```\n")
    return "\n".join(lines)


def method_flag(route: Route) -> str:
    return "" if route.method == "POST" else f"-X {route.method} "


def quoted(example: Any) -> str:
    return json.dumps(example).replace("'", "'\\''")


def section(name: str, schema: dict[str, Any]) -> str:
    text = re.sub(r"\s+", " ", schema.get("description", "")).strip()
    lines = [f"\n### {name}\n", *([f"{text}\n"] if text else [])]
    for field, inner in schema.get("properties", {}).items():
        default = "" if field in schema.get("required", []) else f", default `{json.dumps(inner.get('default'))}`"
        lines.append(f"- `{field}`: {kind(inner)}{default}")
    return "\n".join(lines) + "\n"


def kind(schema: dict[str, Any]) -> str:
    """A JSON schema in words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(map(kind, schema["anyOf"])))
    if "enum" in schema:
        return " or ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    of = schema.get("type")
    if of == "array":
        return f"list of ({kind(schema['items'])}){limits(schema, 'Items')}"
    if of == "object":
        return "object"
    if of == "string":
        return "date-time" if schema.get("format") == "date-time" else f"text{limits(schema, 'Length')}"
    if of in ("integer", "number"):
        return f"{of}{bounds(schema)}"
    return str(of) if of else "anything"


def limits(schema: dict[str, Any], what: str) -> str:
    most = schema.get(f"max{what}")
    return f" of at most {most:,}" if most else ""


def bounds(schema: dict[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if high is not None and abs(high) > 2**53:
        high = None
        low = None if low is not None and abs(low) > 2**53 else low
    if low is not None and high is not None:
        return f" from {low} to {high}"
    return f" from {low} on" if low is not None else ""


if __name__ == "__main__":
    print(reference(), end="")
