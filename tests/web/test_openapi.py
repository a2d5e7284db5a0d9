"""The OpenAPI document says of every route what it takes, what it answers and how it can refuse."""

from collections.abc import Iterator
from typing import Any

import pytest

from shared import manifest
from shared.core.errors import OmniError
from shared.core.keys import GRANTABLE_SCOPES, Tier
from shared.web.openapi import TAGS, document
from shared.web.parameters import QUERY_PARAMETERS
from shared.web.schemas import MODELS

ROUTES = (*manifest.load(), *manifest.SYSTEM)


@pytest.fixture(scope="module")
def api() -> dict[str, Any]:
    return document(ROUTES)


def operations(api: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {operation["operationId"]: operation for path in api["paths"].values() for operation in path.values()}


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_every_route_is_there_under_its_name(api: dict[str, Any]) -> None:
    assert list(operations(api)) == [route.name for route in ROUTES]


def test_the_document_is_the_same_each_time(api: dict[str, Any]) -> None:
    assert document(ROUTES) == api
    assert str(document(ROUTES)) == str(api)


def test_every_reference_leads_somewhere(api: dict[str, Any]) -> None:
    for reference in references(api):
        node = api
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_the_manifest_names_only_what_is_described(route: manifest.Route) -> None:
    assert {route.request, route.response} - {""} <= set(MODELS)
    assert set(route.query) <= set(QUERY_PARAMETERS)
    assert route.tag in TAGS


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_placeholder_of_a_path_is_a_parameter(api: dict[str, Any], route: manifest.Route) -> None:
    (path,) = (path for path, item in api["paths"].items() if operations(api)[route.name] in item.values())
    inside = {parameter["name"] for parameter in operations(api)[route.name]["parameters"] if parameter["in"] == "path"}
    assert inside == {part[1:-1] for part in path.split("/") if part.startswith("{")}


def test_success_and_every_refusal_of_a_route_are_listed(api: dict[str, Any]) -> None:
    found = {name: set(map(int, operation["responses"])) for name, operation in operations(api).items()}
    anywhere = {400, 401, 403, 408, 413, 429, 431, 500, 501, 502, 503, 504}
    assert found["chat_completions"] == anywhere | {200, 202, 404, 409, 422}
    assert found["jobs_create"] == anywhere | {200, 202, 404, 409, 422}
    assert found["jobs_cancel"] == anywhere | {200, 404, 409, 422}
    assert found["jobs_list"] == anywhere | {200}
    assert found["keys_create"] >= {201, 403}
    assert found["health"] == {200, 400, 431}
    assert found["ready"] == {200, 400, 431, 503}


def test_every_refusal_has_the_one_shape(api: dict[str, Any]) -> None:
    for response in api["components"]["responses"].values():
        assert response["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/ErrorBody"}


def test_every_error_class_is_a_response_with_its_own_code(api: dict[str, Any]) -> None:
    def tree(error: type[OmniError]) -> list[type[OmniError]]:
        return [error, *(below for each in error.__subclasses__() for below in tree(each))]

    assert list(api["components"]["responses"]) == [error.code for error in tree(OmniError)]


def test_a_route_with_a_scope_takes_a_key_in_either_header(api: dict[str, Any]) -> None:
    found = {name: operation["security"] for name, operation in operations(api).items()}
    assert found["jobs_create"] == [{"bearer": ["jobs"]}, {"api_key": ["jobs"]}]
    assert found["jobs_sweep"] == [{"signed_caller": ["system"]}]
    assert found["health"] == []


def test_inference_answers_whole_or_as_a_stream(api: dict[str, Any]) -> None:
    answer = operations(api)["chat_completions"]["responses"]["200"]
    assert list(answer["content"]) == ["application/json", "text/event-stream"]


def test_queued_work_says_where_to_look(api: dict[str, Any]) -> None:
    assert "location" in operations(api)["jobs_create"]["responses"]["202"]["headers"]


def test_tiers_and_scopes_of_a_key_are_those_of_the_core(api: dict[str, Any]) -> None:
    fields = api["components"]["schemas"]["KeyRequest"]["properties"]
    assert set(fields["tier"]["enum"]) == set(Tier)
    assert set(fields["scopes"]["items"]["enum"]) == GRANTABLE_SCOPES


def test_examples_of_requests_are_valid_and_stay_as_written(api: dict[str, Any]) -> None:
    for route in ROUTES:
        if route.request:
            for example in api["components"]["schemas"][route.request].get("examples", []):
                MODELS[route.request].model_validate(example)
    (chat,) = api["components"]["schemas"]["ChatRequest"]["examples"]
    assert list(chat) == ["model", "messages"]
