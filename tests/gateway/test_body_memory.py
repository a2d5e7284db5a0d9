"""Large bodies together hold only so much memory, and those of one tenant half of it."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.fakes import FakeResponse
from tests.gateway.calls import GatedUpstream, until
from tests.gateway.conftest import CHAT, COMPLETION, World, problem

MIB = 1024 * 1024
KEYS = {"acme": "prod-key-acme-1", "acme too": "prod-key-acme-2", "ann": "free-key-ann-1", "root": "master-key-root-1"}


def chat(world: World, who: str, size: int, *, chunked: bool = False) -> "asyncio.Task[httpx.Response]":
    content = json.dumps(CHAT | {"user": "x" * size}).encode()

    async def parts() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 65536):
            yield content[start : start + 65536]

    headers = {"authorization": f"Bearer {KEYS[who]}"}
    sent = parts() if chunked else content
    return asyncio.create_task(world.send("POST", "/v1/chat/completions", content=sent, headers=headers))


@pytest.mark.parametrize("chunked", [False, True])
def test_a_tenant_holds_half_and_all_hold_the_whole(tmp_path: Path, *, chunked: bool) -> None:
    upstream = GatedUpstream(lambda _: FakeResponse.json(COMPLETION))
    world = World(tmp_path, upstream, max_bodies_bytes=4 * MIB, max_body_bytes=2 * MIB)

    async def run() -> list[httpx.Response]:
        held = [chat(world, "acme", MIB + MIB // 2, chunked=chunked)]
        await until(lambda: len(upstream.requests) == 1, "the first is under way")
        of_share = await chat(world, "acme too", MIB, chunked=chunked)
        held.append(chat(world, "ann", MIB + MIB // 2, chunked=chunked))
        await until(lambda: len(upstream.requests) == 2, "the second is under way")
        of_all = await chat(world, "root", MIB + MIB // 2, chunked=chunked)
        held.append(chat(world, "root", 1000))
        await until(lambda: len(upstream.requests) == 3, "a small one is under way")
        upstream.open()
        answered = [await each for each in held]
        return [of_share, of_all, *answered, await chat(world, "acme", MIB + MIB // 2, chunked=chunked)]

    of_share, of_all, *answered = asyncio.run(run())
    assert problem(of_share) == (429, "too_many_large_bodies", None)
    assert problem(of_all) == (503, "too_many_large_bodies", None)
    assert of_all.headers["retry-after"] == "1"
    assert [each.status_code for each in answered] == [200] * 4


@pytest.mark.parametrize("content", [b"{", b"x" * 300_000])
def test_what_is_refused_holds_nothing(tmp_path: Path, content: bytes) -> None:
    world = World(tmp_path, max_bodies_bytes=MIB)
    for _ in range(10):
        assert world.request("POST", "/v1/chat/completions", content=content).status_code == 400
