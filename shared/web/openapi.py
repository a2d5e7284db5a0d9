"""The OpenAPI 3.1 document: the manifest's rows, the Pydantic models they name and the errors a row can give."""

import re
from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from shared import VERSION
from shared.core import errors
from shared.core.errors import OmniError
from shared.core.keys import Scope
from shared.manifest import Route
from shared.web.parameters import HEADERS, LIMIT_HEADERS, QUERY_PARAMETERS, REQUEST_HEADERS, Json
from shared.web.schemas import MODELS

PATH_PARAMETER = re.compile(r"{(\w+)(?::\w+)?}")

DESCRIPTION = """\
One OpenAI-compatible address for every model, with keys, limits and durable jobs.

Send the key as `Authorization: Bearer …` or as `x-api-key`. OpenAI's clients take this address
with `/v1` behind it as their base URL.

Every error has the same shape, `ErrorBody`; every answer carries `x-request-id`.
"""

TAGS = {
    "Chat": "Answers from models, as OpenAI's clients expect them.",
    "Models": "The models there are.",
    "Jobs": "Work that outlives the request: queued, run once, and kept with its result.",
    "Batches": "Thousands of requests in a file, answered when there is room, within 24 hours.",
    "Files": "What batches read and write. Kept for 30 days at most.",
    "Quarantine": "Documents that were set aside, because a schedule failed on them round after round.",
    "Webhooks": "What is told to the addresses that jobs name, and the secrets that sign it.",
    "Usage": "What requests used and what they cost. A key with the scope `platform_admin` sees every tenant's.",
    "Keys": "Managed API keys. Needs a key with the scope `admin`, and for other tenants' `platform_admin`.",
    "Schedules": "Called by scheduler and queue with a signed caller; the gateway does not pass them on.",
    "System": "What a process tells of itself. Needs no key.",
}

SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "api_key": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "The same API key."},
    "signed_caller": {
        "type": "apiKey",
        "in": "header",
        "name": "x-omni-caller",
        "description": "Made by the platform for its own calls; dropped when it comes from outside.",
    },
}

EVENT_STREAM = {
    "text/event-stream": {
        "schema": {"type": "string"},
        "example": 'data: {"object":"chat.completion.chunk","choices":[…]}\n\ndata: [DONE]\n\n',
    }
}
JOB_EVENTS = {
    "text/event-stream": {
        "schema": {"type": "string"},
        "example": 'id: 5f0c9a1e7b3d..\nevent: state\ndata: {"state":"running","attempt":1,…}\n\n',
    }
}
OTHER_CONTENT: dict[str, Json] = {
    "jobs_events": JOB_EVENTS,
    "files_content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    "metrics": {"text/plain": {"schema": {"type": "string"}}},
    "docs": {"text/html": {"schema": {"type": "string"}}},
    "docs_asset": {"*/*": {"schema": {}}},
    "openapi": {"application/json": {"schema": {"type": "object"}}},
}
"""Answers of rows that name no model."""


def document(routes: Sequence[Route]) -> Json:
    """The whole document; the same routes always give the same one."""
    paths: dict[str, Json] = {}
    for route in routes:
        operations = {method.lower(): _operation(route, method) for method in route.methods}
        paths.setdefault(PATH_PARAMETER.sub(r"{\1}", route.path), {}).update(operations)
    used = dict.fromkeys(route.tag for route in routes)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Omni",
            "version": VERSION,
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "tags": [{"name": tag, "description": TAGS[tag]} for tag in used],
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "responses": {error.code: _problem(error) for error in _all_errors(OmniError)},
            "headers": {
                name: {"description": meaning, "schema": {"type": "string"}} for name, meaning in HEADERS.items()
            },
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


class _Plain(GenerateJsonSchema):
    """Leaves out what says nothing: titles that repeat a field's name, null as the default, leave for more fields."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False

    def default_schema(self, schema: Any) -> Json:
        plain = super().default_schema(schema)
        return {name: value for name, value in plain.items() if (name, value) != ("default", None)}

    def sort(self, value: Any, parent_key: str | None = None) -> Any:  # noqa: ARG002
        return value  # examples stay in the order they are written


def _schemas() -> Json:
    _, definitions = models_json_schema(
        [(model, "validation") for model in MODELS.values()],
        ref_template="#/components/schemas/{model}",
        schema_generator=_Plain,
    )
    schemas: Json = definitions["$defs"]
    for schema in schemas.values():
        if schema.get("additionalProperties") is True:
            del schema["additionalProperties"]
    return schemas


def _operation(route: Route, method: str) -> Json:
    operation: Json = {
        "operationId": route.name if len(route.methods) == 1 else f"{route.name}_{method.lower()}",
        "tags": [route.tag],
        "summary": route.summary,
        "parameters": [*_path_parameters(route), *_query_parameters(route), *_header_parameters(route)],
        "security": _security(route.scope),
        "responses": _responses(route),
    }
    if route.request:
        kind = "multipart/form-data" if route.upload else "application/json"
        operation["requestBody"] = {"required": True, "content": _content(route.request, kind)}
    return operation


def _path_parameters(route: Route) -> Iterator[Json]:
    for name in PATH_PARAMETER.findall(route.path):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _query_parameters(route: Route) -> Iterator[Json]:
    for name in route.query:
        schema, meaning = QUERY_PARAMETERS[name]
        style = {"style": "deepObject"} if schema["type"] == "object" else {}
        yield {"name": name, "in": "query", "description": meaning, "schema": schema, **style}


def _header_parameters(route: Route) -> Iterator[Json]:
    for name in _request_headers(route):
        schema, meaning = REQUEST_HEADERS[name]
        yield {"name": name, "in": "header", "description": meaning, "schema": schema}


def _request_headers(route: Route) -> tuple[str, ...]:
    if route.name == "jobs_events":
        return ("Last-Event-ID",)
    if "POST" not in route.methods or route.kind not in ("inference", "function"):
        return ()
    if route.kind == "inference":
        return ("Idempotency-Key", "Cache-Control", "Prefer")
    return ("Idempotency-Key", "Prefer") if route.name == "jobs_create" else ("Idempotency-Key",)


def _security(scope: Scope | None) -> list[Json]:
    if scope is None:
        return []
    schemes = ("signed_caller",) if scope is Scope.SYSTEM else ("bearer", "api_key")
    return [{scheme: [scope.value]} for scheme in schemes]


def _responses(route: Route) -> Json:
    answers = {str(route.status): _success(route)}
    if route.name == "ready":
        answers["503"] = _success(route) | {"description": HTTPStatus(503).phrase}
    if "Prefer" in _request_headers(route):
        status = HTTPStatus.OK if route.status == HTTPStatus.ACCEPTED else HTTPStatus.ACCEPTED
        other = msgspec.structs.replace(route, status=status, response="JobView")
        answers[str(other.status)] = _success(other) | {"description": "What `Prefer` asked for."}
    if route.kind == "stream":
        answers["204"] = {"description": "The end was seen before, by `Last-Event-ID`: there is nothing to come."}
    for error in sorted(_errors(route), key=lambda error: error.status):
        answers[str(error.status)] = {"$ref": f"#/components/responses/{error.code}"}
    return answers


def _success(route: Route) -> Json:
    headers = ["x-request-id", *(LIMIT_HEADERS if route.scope else ()), *_replay_headers(route)]
    if route.status == HTTPStatus.ACCEPTED:
        headers.append("location")
    return {
        "description": HTTPStatus(route.status).phrase,
        "headers": _header_refs(headers),
        "content": {
            **(_content(route.response) if route.response else OTHER_CONTENT[route.name]),
            **(EVENT_STREAM if route.kind == "inference" else {}),
        },
    }


def _replay_headers(route: Route) -> Iterator[str]:
    if "Idempotency-Key" in _request_headers(route):
        yield "idempotency-replayed"
    if route.kind == "inference":
        yield from ("x-omni-cache", "age", "x-omni-cost-usd")


def _errors(route: Route) -> Iterator[type[OmniError]]:
    """Every error the route can answer with."""
    yield from (errors.InvalidRequest, errors.HeadersTooLarge)
    if "{" in route.path or route.request:  # a body may name what is not there, as a path may
        yield errors.NotFound
    if route.kind == "system":
        return
    yield from (errors.Unauthenticated, errors.PermissionDenied, errors.RateLimited)
    yield from (errors.BodyTimeout, errors.PayloadTooLarge)
    yield from (OmniError, errors.NotInstalled, errors.UpstreamFailed, errors.Unavailable, errors.UpstreamTimeout)
    if "PATCH" in route.methods:
        yield errors.Conflict
    if "Idempotency-Key" in _request_headers(route):
        yield from (errors.Conflict, errors.KeyReused)


def _all_errors(root: type[OmniError]) -> Iterator[type[OmniError]]:
    yield root
    for error in root.__subclasses__():
        yield from _all_errors(error)


def _problem(error: type[OmniError]) -> Json:
    headers = ["retry-after"] if error in {errors.Conflict, errors.RateLimited, errors.Unavailable} else []
    shown = {"message": error.__doc__, "type": error.type, "param": None, "code": error.code}
    content = _content("ErrorBody")
    content["application/json"]["example"] = {"error": shown, "request_id": "req_5f0c9a1e7b3d2c4f6a8b9d0e"}
    description = (error.__doc__ or "").replace("<", r"\<")  # descriptions are Markdown
    return {"description": description, "headers": _header_refs(headers), "content": content}


def _content(model: str, kind: str = "application/json") -> Json:
    return {kind: {"schema": {"$ref": f"#/components/schemas/{model}"}}}


def _header_refs(names: Iterable[str]) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
