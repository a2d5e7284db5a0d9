"""Requests that a handler is given without an ASGI application: whole ones, in one call, without a task."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn

from shared.web.http1 import Answering, ConnectionBounds, direct_protocol
from tests.web.http1_server import nobody, rest_of

POST = b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n"
LAST = b"POST /last HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
Step = bytes | Callable[[], Any]


def answer(answering: Answering, body: bytes) -> None:
    answering.begin(200, [(b"content-length", b"%d" % len(body))])
    answering.write(body, more=False)


class Handler:
    """Answers with the path and the body, if that was whole."""

    def __init__(self) -> None:
        self.bodies: list[tuple[str, bytes | None]] = []
        self.left: list[str] = []
        self.has_settled = False
        self.server_stops = asyncio.Event()

    def __call__(self, answering: Answering) -> asyncio.Task[None] | None:
        body = answering.take_body()
        self.bodies.append((answering.head.path, body))
        if answering.head.path == "/slow":
            answering.on_leave = lambda: self.left.append("/slow")
            return None
        answer(answering, answering.head.path.encode() + b" ")
        return asyncio.create_task(self._settle()) if answering.head.path == "/settles" else None

    async def _settle(self) -> None:
        await self.server_stops.wait()
        await asyncio.sleep(0)
        self.has_settled = True


def answered(handler: Handler, *sent: bytes, pause_s: float = 0.0) -> bytes:
    """All that comes back until the server hangs up."""

    async def run() -> bytes:
        protocol = direct_protocol(ConnectionBounds(), handler)
        config = uvicorn.Config(nobody, port=0, http=protocol, log_config=None, lifespan="off")
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110  (nothing tells when it is)
            await asyncio.sleep(0.01)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.servers[0].sockets[0].getsockname()[1])
        async with asyncio.timeout(20):
            for each in sent:
                writer.write(each)
                await asyncio.sleep(pause_s)
            if not sent[-1].startswith(b"POST /last"):
                writer.write_eof()
            found = await rest_of(reader)
        writer.close()
        server.should_exit = True
        asyncio.get_running_loop().call_later(0.5, handler.server_stops.set)  # long after it has begun to
        await task
        return found

    return asyncio.run(run())


@pytest.mark.parametrize("size", [0, 5, 60_000])
def test_a_request_is_handled_once_it_is_whole_however_it_came(size: int) -> None:
    handler = Handler()
    body = b"x" * size
    request = POST % (b"/a", size) + body
    parts = [request[start : start + 30_000] for start in range(0, len(request), 30_000)]
    answered(handler, *parts, POST % (b"/b", 2), b"{}", LAST, pause_s=0.01)
    assert handler.bodies == [("/a", body), ("/b", b"{}"), ("/last", b"")]


@pytest.mark.parametrize("framing", [b"content-length: 70000", b"transfer-encoding: chunked"])
def test_a_long_body_is_not_waited_for(framing: bytes) -> None:
    handler = Handler()
    answered(handler, b"POST /a HTTP/1.1\r\nhost: x\r\n%b\r\n\r\n" % framing)
    assert handler.bodies == [("/a", None)]


def test_a_short_body_that_does_not_come_is_waited_for_but_a_moment() -> None:
    handler = Handler()
    answered(handler, POST % (b"/a", 5), b"", pause_s=0.3)
    assert handler.bodies == [("/a", None)]


def test_many_requests_at_once_are_answered_in_their_order() -> None:
    found = answered(Handler(), b"".join(POST % (b"/%d" % number, 0) for number in range(2000)) + LAST)
    bodies = [part.rpartition(b"\r\n\r\n")[2].strip() for part in found.split(b"HTTP/1.1 200 OK\r\n")[1:]]
    assert bodies == [b"/%d" % number for number in range(2000)] + [b"/last"]


def test_what_is_no_request_is_told_after_the_answer_before_it() -> None:
    first, second = answered(Handler(), POST % (b"/a", 0) + b"nonsense\r\n\r\n" + LAST).split(b"HTTP/1.1 ")[1:]
    assert first.startswith(b"200")
    assert second.startswith(b"400")


def test_a_handler_is_told_that_its_caller_has_left() -> None:
    handler = Handler()
    answered(handler, POST % (b"/slow", 0))
    assert handler.left == ["/slow"]


def test_a_server_that_stops_waits_for_what_a_request_still_settles() -> None:
    handler = Handler()
    answered(handler, POST % (b"/settles", 0) + LAST)
    assert handler.has_settled
