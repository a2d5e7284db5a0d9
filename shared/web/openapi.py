"""The OpenAPI 3.1 document: the manifest's rows, the Pydantic models they name and the errors a row can give."""

import re
from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from shared import VERSION
from shared.core import errors
from shared.core.errors import OmniError
from shared.core.jobs import State
from shared.core.keys import Scope
from shared.core.webhooks import State as DeliveryState
from shared.manifest import Route
from shared.web.schemas import MODELS

Json = dict[str, Any]

REQUEST_HEADERS: dict[str, tuple[Json, str]] = {
    "Idempotency-Key": (
        {"type": "string", "pattern": "^[!-~]{1,255}$"},
        "Does the work once, and gives the same answer for 24 hours to whoever sends the same request with this key.",
    ),
    "Cache-Control": (
        {"type": "string"},
        "`max-age=N`: an answer may be N seconds old, at any temperature (at temperature 0 it may be of any age). "
        "`no-cache`: ask the model, and keep its answer. `no-store`: ask the model, and keep nothing.",
    ),
}

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
    "Webhooks": "What is told to the addresses that jobs name, and the secrets that sign it.",
    "Keys": "Managed API keys. Needs a key with the scope `admin`.",
    "Schedules": "Called by scheduler and queue with a signed caller; the gateway does not pass them on.",
    "System": "What a process tells of itself. Needs no key.",
}

QUERY_PARAMETERS: dict[str, tuple[Json, str]] = {
    "limit": ({"type": "integer", "minimum": 1, "maximum": 100, "default": 20}, "Most items on a page."),
    "after": ({"type": "string"}, "The `next_cursor` of an earlier page; of files and batches, the last id on it."),
    "state": ({"type": "string", "enum": [state.value for state in State]}, "Only those in this state."),
    "task": ({"type": "string"}, "Only those of this task."),
    "error": (
        {"type": "string"},
        "Only those whose last error has this code: `attempts_exhausted` with `state=failed` lists the dead letters.",
    ),
    "metadata": (
        {"type": "object", "additionalProperties": {"type": "string"}},
        "Only those whose metadata holds these pairs, as in `metadata[order]=42`.",
    ),
    "order": ({"type": "string", "enum": ["asc", "desc"], "default": "desc"}, "By the time they were made."),
    "purpose": ({"type": "string", "enum": ["batch", "batch_output"]}, "Only those for this purpose."),
    "tenant": ({"type": "string"}, "Only this tenant's."),
    "job": ({"type": "string"}, "Only this job's."),
    "outcome": ({"type": "string", "enum": [state.value for state in DeliveryState]}, "Only those that stand there."),
}
"""What the names in the manifest's `query` mean; a name means the same on every route."""

HEADERS = {
    "x-request-id": "The caller's own when it sent a well-formed one; quote it when something went wrong.",
    "location": "Where to look for the result.",
    "retry-after": "Whole seconds to wait.",
    "idempotency-replayed": "`true` when this is the answer that an earlier request with the same key got.",
    "x-omni-cache": "`hit`, `miss`, or `bypass` when the cache was not asked.",
    "age": "Seconds since the model gave this answer, when it comes from the cache.",
    "x-ratelimit-limit-requests": "Requests per minute that the key may make; absent when it has no limit.",
    "x-ratelimit-remaining-requests": "How many of them are left.",
    "x-ratelimit-reset-requests": "When all of them are free again, as in `1m0s`.",
}
LIMIT_HEADERS = tuple(name for name in HEADERS if name.startswith("x-ratelimit-"))

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
OTHER_CONTENT: dict[str, Json] = {
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
    if "POST" not in route.methods or route.kind not in ("inference", "function"):
        return ()
    return ("Idempotency-Key", "Cache-Control") if route.kind == "inference" else ("Idempotency-Key",)


def _security(scope: Scope | None) -> list[Json]:
    if scope is None:
        return []
    schemes = ("signed_caller",) if scope is Scope.SYSTEM else ("bearer", "api_key")
    return [{scheme: [scope.value]} for scheme in schemes]


def _responses(route: Route) -> Json:
    answers = {str(route.status): _success(route)}
    if route.name == "ready":
        answers["503"] = _success(route) | {"description": HTTPStatus(503).phrase}
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
    if _request_headers(route):
        yield "idempotency-replayed"
    if route.kind == "inference":
        yield from ("x-omni-cache", "age")


def _errors(route: Route) -> Iterator[type[OmniError]]:
    """Every error the route can answer with."""
    if route.kind == "system":
        return
    yield from (errors.Unauthenticated, errors.PermissionDenied, errors.RateLimited, errors.HeadersTooLarge)
    yield from (OmniError, errors.Unavailable, errors.UpstreamTimeout)
    if route.request or route.query:
        yield errors.InvalidRequest
    if route.request:
        yield from (errors.BodyTimeout, errors.PayloadTooLarge)
    if "{" in route.path or route.kind == "inference":
        yield errors.NotFound
    if "PATCH" in route.methods:
        yield errors.Conflict
    if _request_headers(route):
        yield from (errors.InvalidRequest, errors.Conflict, errors.KeyReused)
    yield errors.UpstreamFailed
    if route.kind != "inference":
        yield errors.NotInstalled


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
