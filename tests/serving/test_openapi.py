"""The OpenAPI document: whatever it allows is answered, and as it says."""

import json
import os

import msgspec
import pytest
import schemathesis
from http_reference import reference
from hypothesis import HealthCheck, given, settings
from running_server import serving
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from shortlist.serving.openapi import describe
from shortlist.serving.resources import ALL_ROUTES

CASES = int(os.environ.get("SHORTLIST_CASES", "8"))
"""Of each operation and kind; `make soak` asks for 500."""


@pytest.fixture(scope="module")
def asked(saved, tmp_path_factory):
    """A server of its own: what is made up may be stored."""
    folder = tmp_path_factory.mktemp("made-up")
    store = f"sqlite:///{folder / 'events.db'}"
    with serving(saved, folder / "log", "--store", store, "--deadline-ms", "20000") as server:
        yield server


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["fits", "does not fit"])
@pytest.mark.parametrize("route", ALL_ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_whatever_the_document_allows_is_answered_as_it_says(asked, route, mode):
    """Test 35: no status above 499, no answer that does not fit its schema, nothing accepted that does not fit."""
    if mode is GenerationMode.NEGATIVE and not (route.body or route.query):
        return
    schema = schemathesis.openapi.from_url(f"{asked.address}/openapi.json")
    cases = schema[route.path][route.method].as_strategy(generation_mode=mode)

    @settings(max_examples=CASES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(case=cases)
    def ask(case):
        # Some of what fits the schema is refused: a condition that is none, 10.0 where an integer is wanted.
        response = case.call()
        if response.status_code != 413:  # many long texts: refused before they are read
            case.validate_response(response, excluded_checks=[positive_data_acceptance])

    ask()


def test_every_operation_has_a_name_a_word_and_a_problem(server):
    document = server.client.get("/openapi.json").json()
    assert document == json.loads(json.dumps(describe(ALL_ROUTES)))
    names = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            names.append(operation["operationId"])
            assert operation["summary"], path
            assert operation["description"], path
            assert "400" in operation["responses"], method
    assert len(names) == len(set(names)) == len(ALL_ROUTES)


def test_the_page_of_the_interface_is_what_the_routes_say(request):
    page = (request.config.rootpath / "docs" / "http.md").read_text(encoding="utf-8")
    assert page == reference(), "run: python tests/serving/http_reference.py > docs/http.md"


def test_examples_are_answered(server):
    for route in ALL_ROUTES:
        if route.method == "POST" and route.example is not msgspec.UNSET:
            response = server.post(route.path, route.example)
            assert response.status_code in (200, 207), (route.path, response.text)
