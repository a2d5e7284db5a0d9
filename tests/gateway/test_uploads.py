"""Large bodies pass through the gateway in both directions without being held."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.adapters.httptools_upstream import HttptoolsUpstream
from shared.ports.upstream import BrokenOff
from tests.contracts.upstream_server import Visit, serving
from tests.fakes import FakeResponse
from tests.gateway.conftest import World, problem

FORM = {"content-type": "multipart/form-data; boundary=x"}
MOST = 209780736
PART = b"x" * 65536


class Call:
    """An upload whose parts come one by one, and the caller's end of the answer."""

    def __init__(self, gateway: Callable[..., Awaitable[None]], **headers: str) -> None:
        self.sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.status = 0
        self.body = b""
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/files",
            "query_string": b"",
            "headers": [(b"authorization", b"Bearer prod-key-acme-1")]
            + [(name.replace("_", "-").encode(), value.encode()) for name, value in (FORM | headers).items()],
        }
        self.task = asyncio.ensure_future(gateway(scope, self.sent.get, self._send))

    def part(self, content: bytes, *, more: bool = True) -> None:
        self.sent.put_nowait({"type": "http.request", "body": content, "more_body": more})

    def leave(self) -> None:
        self.sent.put_nowait({"type": "http.disconnect"})

    async def done(self) -> tuple[int, bytes]:
        async with asyncio.timeout(20):
            await self.task
        return self.status, self.body

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.body += message["body"]


class Function:
    """A function that counts what comes in, and tells how much that was."""

    def __init__(self) -> None:
        self.received = 0
        self.head = b""
        self.news = asyncio.Event()

    async def __call__(self, visit: Visit) -> None:
        self.head, length = await visit.head()
        async for part in visit.body(length):
            self.received += len(part)
            self.news.set()
        answer = b'{"bytes": %d}' % self.received
        await visit.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(answer), answer))


@asynccontextmanager
async def up(tmp_path: Path, **settings: Any) -> AsyncIterator[tuple[World, Function]]:
    function = Function()
    upstream = HttptoolsUpstream(30)
    async with serving(function) as server:
        try:
            yield World(tmp_path, upstream, routes_url=server.url, **settings), function
        finally:
            await upstream.close()


def test_parts_reach_the_function_before_the_body_is_whole(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with up(tmp_path) as (world, function):
            call = Call(world.gateway)
            call.part(PART)
            async with asyncio.timeout(10):
                await function.news.wait()
            for _ in range(500):  # more than OMNI_MAX_BODY_BYTES
                call.part(PART)
            call.part(b"", more=False)
            assert await call.done() == (200, b'{"bytes": %d}' % (501 * len(PART)))

    asyncio.run(scenario())


def test_the_announced_length_is_passed_on(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with up(tmp_path) as (world, function):
            call = Call(world.gateway, content_length="10")
            call.part(b"01234")
            call.part(b"56789", more=False)
            assert (await call.done())[0] == 200
            assert b"content-length: 10\r\n" in function.head
            assert b"transfer-encoding" not in function.head

    asyncio.run(scenario())


def test_413_for_an_announced_length_over_the_routes_limit(world: World) -> None:
    response = world.request("POST", "/v1/files", headers=FORM | {"content-length": str(MOST + 1)})
    assert problem(response) == (413, "payload_too_large", None)
    assert world.upstream.requests == []


def test_413_as_soon_as_too_much_has_come(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with up(tmp_path) as (world, _):
            call = Call(world.gateway)
            for _ in range(MOST // len(PART) + 1):
                call.part(PART)
            status, body = await call.done()
            assert (status, b"payload_too_large" in body) == (413, True)

    asyncio.run(scenario())


def test_408_when_the_caller_stops_sending(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with up(tmp_path, body_timeout_s=0.1) as (world, _):
            call = Call(world.gateway)
            call.part(PART)
            status, body = await call.done()
            assert (status, b"body_timeout" in body) == (408, True)

    asyncio.run(scenario())


def test_a_caller_who_leaves_half_way_ends_the_functions_request(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with up(tmp_path) as (world, _):
            call = Call(world.gateway)
            call.part(PART)
            call.leave()
            assert await call.done() == (0, b"")

    asyncio.run(scenario())


def test_an_idempotency_key_makes_an_upload_an_ordinary_body(world: World) -> None:
    world.answers(lambda _: FakeResponse.json({"id": "file-1"}))
    headers = FORM | {"idempotency-key": "k"}
    first = world.request("POST", "/v1/files", headers=headers, content=b"--x--")
    again = world.request("POST", "/v1/files", headers=headers, content=b"--x--")
    assert (first.json(), again.headers["idempotency-replayed"]) == ({"id": "file-1"}, "true")
    large = world.request("POST", "/v1/files", headers=headers, content=b"x" * (world.settings.max_body_bytes + 1))
    assert problem(large) == (413, "payload_too_large", None)


def test_an_upload_sent_again_is_the_same_whatever_mark_its_client_draws(world: World) -> None:
    world.answers(lambda _: FakeResponse.json({"id": "file-1"}))

    def upload(content: bytes) -> httpx.Response:
        files, headers = {"file": ("a.jsonl", content)}, {"idempotency-key": "k"}
        return world.request("POST", "/v1/files", files=files, data={"purpose": "batch"}, headers=headers)

    assert "idempotency-replayed" not in upload(b"{}").headers
    assert upload(b"{}").headers["idempotency-replayed"] == "true"
    assert problem(upload(b"[]"))[:2] == (422, "idempotency_key_reused")


def test_a_large_answer_goes_through_part_by_part(world: World) -> None:
    parts: list[bytes | Any] = [b"a" * 1_000_000, b"b" * 1_000_000]
    headers = [("content-type", "application/octet-stream"), ("content-length", "2000000")]
    world.answers(lambda _: FakeResponse(200, parts, headers))
    response = world.request("GET", "/v1/files/file-1/content")
    assert (response.content, response.headers["content-length"]) == (b"".join(parts), "2000000")


def test_an_answer_that_breaks_off_is_not_made_to_look_whole(world: World) -> None:
    headers = [("content-type", "application/octet-stream"), ("content-length", "2000000")]
    world.answers(lambda _: FakeResponse(200, [b"a" * 1_000_000, BrokenOff("gone")], headers))
    with pytest.raises(AssertionError):  # the transport's: the application ended without its last message
        world.request("GET", "/v1/files/file-1/content")
