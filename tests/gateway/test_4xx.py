"""Every refusal: the right status, code and field, and nothing sent upstream."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import FakeResponse
from tests.gateway.conftest import CHAT, World, problem

BAD_BODIES: list[tuple[bytes, str, str | None]] = [
    (b"", "invalid_json", None),
    (b"{", "invalid_json", None),
    (b"[]", "invalid_request", None),
    (b"null", "invalid_request", None),
    (b'{"messages": []}', "missing_field", "model"),
    (b'{"model": 5}', "invalid_request", "model"),
    (b'{"model": "small", "max_tokens": 0, "messages": []}', "invalid_request", "max_tokens"),
    (b'{"model": "small", "max_tokens": 0, "messages": [], "prompt": "x"}', "invalid_request", "max_tokens"),
    (b'{"model": "small", "stream": "yes"}', "invalid_request", "stream"),
    (b'{"model": "sm\xff"}', "invalid_json", None),
    (b'{"model": "small", "messages": "\xff"}', "invalid_json", None),
    (b'{"model": "small", "models": ["large"]}', "unsupported_parameter", "models"),
    (b'{"model": "small", "\\u0066allbacks": [{"model": "large"}]}', "unsupported_parameter", "fallbacks"),
    (b'{"model": "small", "api_base": "http://evil"}', "unsupported_parameter", "api_base"),
    (b'{"model": "small", "base_url": "http://evil"}', "unsupported_parameter", "base_url"),
    (b'{"model": "small", "api_key": "sk-1"}', "unsupported_parameter", "api_key"),
    (b'{"model": "small", "Model": "large"}', "unsupported_parameter", "Model"),
    (b'{"model": "small", "max_tokens": 1, "MAX_TOKENS": 8000}', "unsupported_parameter", "MAX_TOKENS"),
    ('{"model": "small", "api_\u212aey": "sk-1"}'.encode(), "unsupported_parameter", "api_\u212aey"),
    (b'{"model": "small"' + b',"x":1' * 100_000 + b"}", "too_many_values", None),
    (b'{"model": "small", "x": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", "too_deep", None),
]


@pytest.mark.parametrize(("body", "code", "param"), BAD_BODIES)
def test_400_names_what_is_wrong_with_the_body(world: World, body: bytes, code: str, param: str | None) -> None:
    response = world.request("POST", "/v1/chat/completions", content=body)
    assert problem(response) == (400, code, param)
    assert not world.upstream.requests


@pytest.mark.parametrize("key", [None, "", "wrong", "omni_short", "omni_" + "a" * 12 + "_" + "b" * 38])
def test_401_without_a_valid_key(world: World, key: str | None) -> None:
    assert problem(world.chat(key)) == (401, "invalid_api_key", None)
    assert not world.store.reads


def test_403_without_the_scope(world: World) -> None:
    assert problem(world.request("GET", "/api/v1/keys"))[:2] == (403, "permission_denied")


def test_metrics_tell_of_tenants_and_need_an_admin_key_in_production(world: World) -> None:
    assert problem(world.request("GET", "/metrics", None))[0] == 401
    assert problem(world.request("GET", "/metrics"))[0] == 403
    assert world.request("GET", "/metrics", "master-key-root-1").status_code == 200


def test_metrics_are_open_in_a_local_stack(tmp_path: Path) -> None:
    assert World(tmp_path, environment="local").request("GET", "/metrics", None).status_code == 200


def test_404_for_an_unknown_model(world: World) -> None:
    assert problem(world.chat(model="gpt-9")) == (404, "model_not_found", "model")


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/v1/nothing", "/internal/v1/chat/completions", "/schedules/jobs-sweep", "/v1//models"),
        *("/v1/models/%2e%2e/x", "/v1/models/%2e", "/api/v1/jobs/%2E%2E/cancel", "/api/v1/jobs/%2e."),
    ],
)
def test_404_for_an_unknown_address(world: World, path: str) -> None:
    assert problem(world.request("POST", path))[:2] == (404, "not_found")


@pytest.mark.parametrize("path", ["/api/health", "/v1/models", "/api/v1/jobs/job_1"])
def test_head_is_answered_like_get_without_a_body(world: World, path: str) -> None:
    get, head = world.request("GET", path), world.request("HEAD", path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert get.content
    for name in ("content-type", "content-length"):
        assert head.headers.get(name) == get.headers.get(name)
    assert {request.method for request in world.upstream.requests} <= {"GET"}


def test_405_names_head_beside_get(world: World) -> None:
    assert world.request("PUT", "/v1/models").headers["allow"] == "GET, HEAD"
    assert problem(world.request("PUT", "/v1/models"))[0] == 405
    assert world.request("HEAD", "/v1/chat/completions").status_code == 405


def test_405_says_what_is_allowed(world: World) -> None:
    response = world.request("GET", "/v1/chat/completions")
    assert problem(response)[:2] == (405, "method_not_allowed")
    assert response.headers["allow"] == "POST"


def test_408_when_the_body_stays_out(tmp_path: Path) -> None:
    world, sent = World(tmp_path, body_timeout_s=0.1), list[dict[str, Any]]()
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/chat/completions",
        "query_string": b"",
        "headers": [(b"authorization", b"Bearer prod-key-acme-1"), (b"content-length", b"100")],
    }
    first = iter([{"type": "http.request", "body": b'{"mod', "more_body": True}])

    async def receive() -> dict[str, Any]:
        for message in first:
            return message
        await asyncio.sleep(60)
        return {}

    async def send(message: Any) -> None:
        sent.append(message)

    async def run() -> None:
        await world.gateway(scope, receive, send)

    asyncio.run(run())
    assert sent[0]["status"] == 408
    assert b"body_timeout" in sent[1]["body"]


def test_413_for_a_body_that_says_it_is_too_large(tmp_path: Path) -> None:
    world = World(tmp_path, max_body_bytes=100)
    assert problem(world.chat(user="x" * 100)) == (413, "payload_too_large", None)


def test_413_for_a_body_that_turns_out_too_large(tmp_path: Path) -> None:
    world = World(tmp_path, max_body_bytes=100)

    async def chunks() -> Any:
        for _ in range(11):
            yield b"x" * 10

    assert problem(world.request("POST", "/v1/chat/completions", content=chunks())) == (413, "payload_too_large", None)


def test_429_once_the_minute_is_used_up(world: World) -> None:
    statuses = [world.chat("free-key-ann-1").status_code for _ in range(10)]
    refused = world.chat("free-key-ann-1")
    assert statuses == [200] * 10
    assert problem(refused) == (429, "rate_limit_exceeded", None)
    assert 60 <= int(refused.headers["retry-after"]) <= 61
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert len(world.upstream.requests) == 10


def test_429_ends_when_the_window_has_passed(world: World) -> None:
    for _ in range(11):
        world.chat("free-key-ann-1")
    world.clock.advance(61)
    assert world.chat("free-key-ann-1").status_code == 200


def test_429_for_one_key_is_no_other_keys_business(world: World) -> None:
    for _ in range(11):
        world.chat("free-key-ann-1")
    assert world.chat("prod-key-acme-1").status_code == 200


def test_431_for_many_lines_of_one_header(world: World) -> None:
    lines = [(b"authorization", b"Bearer prod-key-acme-1")] + [(b"x-pad", b"x" * 1000)] * 40
    assert problem(asyncio.run(world.send("GET", "/v1/models", headers=lines)))[:2] == (431, "headers_too_large")


def test_431_for_a_head_that_is_too_large(world: World) -> None:
    response = world.request("POST", "/v1/chat/completions", json=CHAT, headers={"x-large": "x" * 40_000})
    assert problem(response) == (431, "headers_too_large", None)


@pytest.mark.parametrize(("path", "param"), [("/v1/chat/completions", "messages"), ("/v1/completions", "prompt")])
def test_400_of_an_upstream_for_a_prompt_that_is_too_long_is_in_openais_words(
    world: World, path: str, param: str
) -> None:
    error = {"message": "request (9 tokens) exceeds the available context size (8 tokens)", "code": 400}
    world.answers(lambda _: FakeResponse.json({"error": error}, status=400))
    response = world.request("POST", path, json=CHAT | {"prompt": "x"})
    assert problem(response) == (400, "context_length_exceeded", param)
    assert response.json()["error"]["message"].startswith("This model's maximum context length is 8 tokens. However, ")
