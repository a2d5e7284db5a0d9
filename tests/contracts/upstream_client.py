"""The outgoing client, as its tests call it."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any

import uvloop

from shared.adapters.httptools_upstream import HttptoolsUpstream
from shared.ports.upstream import OutgoingRequest
from tests.contracts.upstream_server import Script, Server, Visit

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def in_loop(test: Any) -> Any:
    """Runs the test on both event loops: the functions' server takes uvloop, local processes the standard one."""

    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        for new_loop in (asyncio.new_event_loop, uvloop.new_event_loop):
            with asyncio.Runner(loop_factory=new_loop) as runner:
                runner.run(asyncio.wait_for(test(*args, **kwargs), 20))

    return run


@asynccontextmanager
async def client(
    idle_s: float = 30, tls: ssl.SSLContext | None = None, most_answer_bytes: int = 2**25
) -> AsyncIterator[HttptoolsUpstream]:
    upstream = HttptoolsUpstream(idle_s, tls, most_answer_bytes)
    try:
        yield upstream
    finally:
        await upstream.close()


def request(server: Server | str, method: str = "POST", timeout_s: float = 10, **more: Any) -> OutgoingRequest:
    url = server if isinstance(server, str) else server.url + "/v1/chat"
    return OutgoingRequest(method, url, more.get("headers", ()), more.get("body", b"{}"), timeout_s)


async def body(upstream: HttptoolsUpstream, outgoing: OutgoingRequest) -> tuple[int, bytes]:
    async with upstream.send(outgoing) as response:
        return response.status, await response.read()


def answering(*answers: bytes) -> Script:
    async def script(visit: Visit) -> None:
        for answer in answers:
            await visit.request()
            await visit.send(answer)
        await visit.until_closed()

    return script
