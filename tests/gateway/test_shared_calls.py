"""What one tenant has under way at functions and upstreams keeps no other tenant waiting."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from functions.gateway.transfer_rate import TooSlow, TransferRate
from shared.adapters.httptools_upstream import HttptoolsUpstream
from shared.ports.upstream import OutgoingRequest, Take
from tests.contracts.upstream_server import Visit, serving
from tests.fakes import FakeResponse
from tests.gateway.conftest import CHAT, COMPLETION, World
from tests.gateway.test_uploads import Call

OTHER = {"authorization": "Bearer master-key-root-1"}
SLOW = {"authorization": "Bearer prod-key-acme-1"}


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.001)


class Threads:
    """A function that takes a body to its end before it answers; its address tells how many are in it."""

    def __init__(self) -> None:
        self.at_once = 0
        self.most = 0

    async def __call__(self, visit: Visit) -> None:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            head, length = await visit.head()
            if head.startswith(b"POST"):
                async for _ in visit.body(length):
                    pass
            await visit.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        finally:
            self.at_once -= 1


@asynccontextmanager
async def up(tmp_path: Path, server: Callable[[Visit], Awaitable[None]], **settings: Any) -> AsyncIterator[World]:
    upstream = HttptoolsUpstream(30)
    async with serving(server) as served:
        try:
            yield World(tmp_path, upstream, routes_url=served.url, **settings)
        finally:
            await upstream.close()


def test_uploads_that_trickle_leave_threads_to_other_tenants(tmp_path: Path) -> None:
    async def scenario() -> None:
        threads = Threads()
        async with up(tmp_path, threads, route_calls=4) as world:
            uploads = [Call(world.gateway, content_length="1000000") for _ in range(40)]
            for upload in uploads:
                upload.part(b"x")
            await until(lambda: threads.at_once == 2)
            answers = [await world.send("GET", "/v1/files", headers=OTHER) for _ in range(5)]
            assert {answer.status_code for answer in answers} == {200}
            own = await world.send("GET", "/v1/files", headers=SLOW)  # the tenant's own small calls find room as well
            assert own.status_code == 200
            assert threads.most == 3
            for upload in uploads:
                upload.leave()
            for upload in uploads:
                await upload.done()
            await until(lambda: threads.at_once == 0)

    asyncio.run(scenario())


def test_408_for_a_body_that_trickles_names_the_rate_and_its_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("functions.gateway.upload.RATE_WINDOW_S", 0.05)

    async def scenario() -> None:
        async with up(tmp_path, Threads(), min_transfer_rate=1000) as world:
            call = Call(world.gateway, content_length="1000000")
            call.part(b"x" * 10)
            status, body = await call.done()
            assert (status, b"body_too_slow" in body) == (408, True)
            assert b"1000 bytes a second" in body
            assert b"OMNI_MIN_TRANSFER_RATE" in body

    asyncio.run(scenario())


def test_a_rate_is_measured_over_the_time_in_which_the_caller_is_waited_for() -> None:
    now = 0.0

    async def scenario() -> None:
        nonlocal now
        rate = TransferRate(10, 5.0, lambda: now)

        async def step(lasts_s: float) -> None:
            nonlocal now
            now += lasts_s

        for _ in range(10):
            await rate.wait_for(step(1.0))
            rate.moved(10)
            now += 1000.0  # the function's own time
        for _ in range(4):
            await rate.wait_for(step(1.0))
            rate.moved(9)
        await rate.wait_for(step(1.0))
        with pytest.raises(TooSlow):
            rate.moved(9)

    asyncio.run(scenario())


def test_downloads_that_are_read_slowly_leave_threads_to_other_tenants(tmp_path: Path) -> None:
    """A download holds its thread until its caller has read it, a short answer does not."""
    world = World(tmp_path, route_calls=4)
    headers = [("content-type", "application/octet-stream"), ("content-length", "4000000")]
    world.answers(
        lambda request: (
            FakeResponse(200, [b"a" * 2_000_000, b"b" * 2_000_000], headers)
            if request.url.endswith("/content")
            else FakeResponse(200, [b"{}"], [("content-type", "application/json"), ("content-length", "2")])
        )
    )

    async def scenario() -> None:
        reads = asyncio.Event()
        begun = 0

        async def read_slowly(path: str) -> None:
            async def send(message: Any) -> None:
                nonlocal begun
                if message["type"] == "http.response.start":
                    begun += 1
                else:
                    await reads.wait()

            messages = iter([{"type": "http.request", "body": b"", "more_body": False}])

            async def receive() -> Any:
                return next(messages, None) or await asyncio.Event().wait()

            raw = [(b"authorization", b"Bearer prod-key-acme-1")]
            scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": raw}
            await world.gateway(scope, receive, send)

        slow = [asyncio.create_task(read_slowly("/v1/files/file-1/content")) for _ in range(100)]
        slow += [asyncio.create_task(read_slowly("/v1/files")) for _ in range(100)]
        await until(lambda: begun == 102)
        answer = await world.send("GET", "/v1/files/file-1/content", headers=OTHER)
        assert len(answer.content) == 4_000_000
        assert begun == 102
        reads.set()
        await asyncio.gather(*slow)
        assert begun == 200

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_requests_of_one_tenant_leave_an_upstreams_connections_to_others(tmp_path: Path) -> None:
    world = World(tmp_path, upstream_calls=4)

    async def scenario() -> None:
        ends = asyncio.Event()

        class Held(FakeResponse):
            async def chunks(self, take: Take | None = None) -> AsyncIterator[bytes]:
                await ends.wait()
                yield b"{}"

        def answer(request: OutgoingRequest) -> FakeResponse:
            whole = FakeResponse.json(COMPLETION)
            is_last = b"quick" in request.body
            return whole if is_last else Held(whole.status, [], [("content-type", "application/json")])

        world.answers(answer)
        body = {**CHAT, "model": "alone"}
        flood = [
            asyncio.create_task(world.send("POST", "/v1/chat/completions", headers=SLOW, json=body)) for _ in range(50)
        ]
        await until(lambda: len(world.upstream.requests) == 4)
        quick = {**body, "messages": [{"role": "user", "content": "quick"}]}
        for _ in range(5):
            answered = await world.send("POST", "/v1/chat/completions", headers=OTHER, json=quick)
            assert answered.status_code == 200
        assert len(world.upstream.requests) == 4 + 5
        for task in flood:
            task.cancel()
        ends.set()
        await asyncio.gather(*flood, return_exceptions=True)

    asyncio.run(asyncio.wait_for(scenario(), 30))
