"""The outgoing client against real sockets: what is no answer, and what is never sent."""

import asyncio

import pytest

from shared.adapters.httptools_upstream.connection import Connection
from shared.ports.upstream import AnswerTooLarge, BrokenOff, ConnectFailed, TimedOut
from tests.contracts.upstream_client import CHUNKED, OK, answering, body, client, in_loop, request
from tests.contracts.upstream_server import Script, Visit, serving


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n", CHUNKED, CHUNKED + b"3\r\none\r\n"])
@in_loop
async def test_silence_ends_the_exchange(said: bytes) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(said)
        await visit.until_closed()

    async with serving(script) as server, client() as upstream:
        with pytest.raises(TimedOut):
            await body(upstream, request(server, timeout_s=0.1))
        await server.gone.wait()


@in_loop
async def test_an_upstream_that_goes_on_talking_may_take_its_time() -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(CHUNKED)
        for _ in range(6):
            await asyncio.sleep(0.3)
            await visit.send(b"1\r\nx\r\n")
        await visit.send(b"0\r\n\r\n")
        await visit.until_closed()

    async with serving(script) as server, client() as upstream:
        assert await body(upstream, request(server, timeout_s=1.5)) == (200, b"xxxxxx")


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok",
        CHUNKED + b"3\r\none\r\n",
        b"no HTTP at all\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * 100_000,
    ],
)
@in_loop
async def test_an_answer_that_is_none_breaks_off(said: bytes) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(said)

    async with serving(script) as server, client() as upstream:
        with pytest.raises(BrokenOff):
            await body(upstream, request(server))


@pytest.mark.parametrize(
    ("head", "part"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n", b"x" * 1000),
        (CHUNKED, b"400\r\n%b\r\n" % (b"x" * 1024)),
        (CHUNKED, b"1\r\nx\r\n" * 100),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1000),
    ],
    ids=["announced", "in chunks", "in chunks of a byte", "until the connection ends"],
)
@in_loop
async def test_an_answer_without_end_is_not_read_to_its_end(head: bytes, part: bytes) -> None:
    async with serving(_endless(head, part)) as server, client(most_answer_bytes=100_000) as upstream:
        with pytest.raises(AnswerTooLarge, match="more than 100000 bytes"):
            await body(upstream, request(server))
        await server.gone.wait()


@pytest.mark.parametrize(
    ("head", "part"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"x-more: 1\r\n"),
        (b"HTTP/1.1 200 OK\r\nx: ", b"x" * 1000),
        (b"", b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"),
        (CHUNKED + b"1\r\nx\r\n0\r\n", b"x-more: 1\r\n"),
        (CHUNKED + b"1;x=", b"x" * 1000),
    ],
    ids=["headers", "one header", "early hints", "trailers", "a chunk's extension"],
)
@in_loop
async def test_what_surrounds_a_body_has_a_bound_too(head: bytes, part: bytes) -> None:
    async with serving(_endless(head, part)) as server, client() as upstream:
        with pytest.raises(BrokenOff, match="larger than"):
            await body(upstream, request(server))
        await server.gone.wait()


@in_loop
async def test_an_answer_that_was_not_read_to_its_end_takes_no_memory() -> None:
    """Parser and connection know each other, so what they hold would wait for the garbage collector."""
    async with serving(_endless(CHUNKED, b"2\r\nxx\r\n" * 100)) as server, client(most_answer_bytes=2**20) as upstream:
        async with upstream.send(request(server)) as response:
            with pytest.raises(AnswerTooLarge):
                await response.read()
            assert isinstance(response, Connection)
            assert len(response._parts) < 2**20 / 100  # not one for each chunk of two bytes
        assert response._parts == []


def _endless(head: bytes, part: bytes) -> Script:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(head)
        while True:
            await visit.send(part * 10)

    return script


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/",
        "http://no-such-host.invalid/",
        "ftp://127.0.0.1/",
        "http://",
        "http://127.0.0.1:99999/",
        "http://user:secret@127.0.0.1/",
        "http://127.0.0.1/a b",
        "http://127.0.0.1/\r\nx: 1",
    ],
)
@in_loop
async def test_an_address_that_cannot_be_reached(url: str) -> None:
    async with client() as upstream:
        with pytest.raises(ConnectFailed):
            await body(upstream, request(url))


@pytest.mark.parametrize("value", ["a\r\nx: 1", "a\nx: 1", "a\rx", "a\0"])
@in_loop
async def test_a_header_cannot_break_out_of_its_line(value: str) -> None:
    async with serving(answering(OK)) as server, client() as upstream:
        with pytest.raises(ConnectFailed):
            await body(upstream, request(server, headers=[("x-id", value)]))
        assert server.visits == 0
