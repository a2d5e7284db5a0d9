"""Requests that are refused count, too: against the key's limit of requests, or without a valid key by address."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.gateway.conftest import World, problem

FREE = "free-key-ann-1"
PER_MINUTE = 10
"""Of the tier `free`."""
REFUSED: list[tuple[int, str, str, dict[str, Any]]] = [
    (400, "POST", "/v1/chat/completions", {"content": b"{"}),
    (400, "POST", "/v1/chat/completions", {"json": {"messages": []}}),
    (403, "GET", "/api/v1/keys", {}),
    (404, "GET", "/nothing", {}),
    (404, "POST", "/v1/chat/completions", {"json": {"model": "no such model"}}),
    (405, "DELETE", "/v1/chat/completions", {}),
    (413, "POST", "/v1/chat/completions", {"headers": {"content-length": "999999999"}}),
]


@pytest.mark.parametrize(
    ("status", "method", "path", "options"), REFUSED, ids=[f"{row[0]} {row[2]}" for row in REFUSED]
)
def test_a_keys_refused_requests_count_as_its_requests(
    world: World, status: int, method: str, path: str, options: dict[str, Any]
) -> None:
    answers = [world.request(method, path, FREE, **options) for _ in range(PER_MINUTE + 5)]
    assert [each.status_code for each in answers] == [status] * PER_MINUTE + [429] * 5
    assert problem(answers[-1])[1] == "rate_limit_exceeded"
    assert answers[0].headers["x-ratelimit-remaining-requests"] == str(PER_MINUTE - 1)
    assert world.chat(FREE).status_code == 429
    assert world.chat().status_code == 200


def test_a_minute_later_they_are_answered_again(world: World) -> None:
    for _ in range(PER_MINUTE + 1):
        world.request("GET", "/nothing", FREE)
    world.clock.advance(61)
    assert world.request("GET", "/nothing", FREE).status_code == 404


@pytest.mark.parametrize("key", [None, "free-key-wrong-9"])
@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("PUT", "/v1/models", 405)])
def test_without_a_valid_key_they_count_by_address(
    world: World, key: str | None, method: str, path: str, status: int
) -> None:
    most = world.settings.invalid_keys_per_minute
    answers = [world.request(method, path, key) for _ in range(most + 2)]
    assert [each.status_code for each in answers] == [status] * most + [429] * 2
    assert problem(answers[-1])[1] == "too_many_invalid_keys"
    assert elsewhere(world, method, path).status_code == status
    assert world.chat().status_code == 200


def test_a_head_that_cannot_be_believed_counts_by_address(world: World) -> None:
    most = world.settings.invalid_keys_per_minute
    twice = [("x-api-key", FREE), ("x-api-key", "master-key-root-1")]
    answers = [asyncio.run(world.send("GET", "/v1/models", headers=twice)) for _ in range(most + 1)]
    assert [each.status_code for each in answers] == [400] * most + [429]


def elsewhere(world: World, method: str, path: str) -> httpx.Response:
    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app=world.gateway, client=("203.0.113.9", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            return await client.request(method, path)

    return asyncio.run(run())
