"""The outgoing client against real sockets: what it may send, and how it reads."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from shared.ports.upstream import BrokenOff, OutgoingRequest
from tests.contracts.upstream_client import CHUNKED, OK, answering, body, client, in_loop, request
from tests.contracts.upstream_server import Visit, serving


@in_loop
async def test_the_request_arrives_as_it_was_made() -> None:
    seen: list[bytes] = []

    async def script(visit: Visit) -> None:
        seen.append(await visit.request())
        await visit.send(OK)

    async with serving(script) as server, client() as upstream:
        await body(upstream, request(server.url + "/a/../b%2F?x=%20", headers=[("X-One", "é")], body=b"[1]"))
        authority = server.url.removeprefix("http://")
        ours = f"host: {authority}\r\naccept-encoding: identity\r\n"
        head = f"POST /a/../b%2F?x=%20 HTTP/1.1\r\n{ours}X-One: é\r\ncontent-length: 3\r\n\r\n"
        assert seen == [head.encode() + b"[1]"]


@in_loop
async def test_a_get_without_a_body_announces_none() -> None:
    async def script(visit: Visit) -> None:
        assert b"content-length" not in await visit.request()
        await visit.send(OK)

    async with serving(script) as server, client() as upstream:
        assert await body(upstream, request(server, "GET", body=b"")) == (200, b"ok")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (CHUNKED + b"2\r\nok\r\n0\r\n\r\n", b"ok"),
        (CHUNKED + b"1;a=b\r\no\r\n1\r\nk\r\n0\r\nTrailer: x\r\n\r\n", b"ok"),
        (b"HTTP/1.1 100 Continue\r\nX: 1\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + OK, b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
    ],
)
@in_loop
async def test_an_answer_may_arrive_byte_by_byte(answer: bytes, expected: bytes) -> None:
    async def script(visit: Visit) -> None:
        for _ in range(2):
            await visit.request()
            for byte in answer:
                await visit.send(bytes([byte]))
                await asyncio.sleep(0)
        await visit.until_closed()

    async with serving(script) as server, client() as upstream:
        assert (await body(upstream, request(server)))[1] == expected
        assert (await body(upstream, request(server)))[1] == expected
        assert server.visits == 1


@in_loop
async def test_header_names_are_found_in_lower_case_and_the_first_counts() -> None:
    answer = b"HTTP/1.1 200 OK\r\nRetry-After: 3\r\nretry-after: 9\r\ncontent-length: 0\r\n\r\n"
    async with serving(answering(answer)) as server, client() as upstream, upstream.send(request(server)) as response:
        assert response.header(b"retry-after") == b"3"
        assert response.header(b"location") == b""


@in_loop
async def test_a_redirect_is_an_answer() -> None:
    moved = b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n"
    async with serving(answering(moved)) as server, client() as upstream:
        assert await body(upstream, request(server)) == (302, b"")


@in_loop
async def test_the_answer_to_head_has_no_body() -> None:
    async with serving(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n")) as server, client() as upstream:
        assert await body(upstream, request(server, "HEAD", body=b"")) == (200, b"")


@in_loop
async def test_parts_arrive_while_the_answer_goes_on() -> None:
    go_on = asyncio.Event()

    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(CHUNKED + b"3\r\none\r\n")
        await go_on.wait()
        await visit.send(b"3\r\ntwo\r\n0\r\n\r\n")
        await visit.until_closed()

    async with serving(script) as server, client() as upstream, upstream.send(request(server)) as response:
        parts = []
        async for part in response.chunks():
            parts.append(part)
            go_on.set()
        assert parts == [b"one", b"two"]


@in_loop
async def test_an_upstream_does_not_run_ahead_of_its_reader() -> None:
    sent = 0

    async def script(visit: Visit) -> None:
        nonlocal sent
        await visit.request()
        await visit.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (64 * 2**20))
        for _ in range(64):
            await visit.send(bytes(2**20))
            sent += 2**20
        await visit.until_closed()

    async with (
        serving(script) as server,
        client() as upstream,
        upstream.send(request(server, timeout_s=1)) as response,
    ):
        parts = response.chunks()
        await anext(parts)
        await asyncio.sleep(1.2)  # longer than the upstream may be silent: but it is not the one who waits
        assert sent < 48 * 2**20
        assert sum([len(part) async for part in parts]) > 60 * 2**20


@in_loop
async def test_parts_are_offered_the_moment_they_come_while_their_reader_waits_and_keep_their_order() -> None:
    came: list[tuple[str, bytes]] = []
    news = asyncio.Event()

    def take(part: bytes) -> bool:
        if part == b"<no>":
            return False
        came.append(("taken", part))
        news.set()
        return True

    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(CHUNKED)
        for part in (b"<one>", b"<two>", b"<no>", b"<three>"):
            news.clear()
            await visit.send(b"%x\r\n%b\r\n" % (len(part), part))
            await news.wait()
            await asyncio.sleep(0)  # the reader waits again
        await visit.send(b"6\r\n<last>\r\n0\r\n\r\n")
        await visit.until_closed()

    async with serving(script) as server, client() as upstream, upstream.send(request(server)) as response:
        async for part in response.chunks(take):
            came.append(("given", part))
            news.set()
    assert b"".join(part for _, part in came) == b"<one><two><no><three><last>"
    assert ("taken", b"<two>") in came
    assert ("given", b"<no>") in came
    assert came[-1] == ("given", b"<last>")


async def _in_parts(*parts: bytes | Exception) -> AsyncIterator[bytes]:
    for part in parts:
        if isinstance(part, Exception):
            raise part
        yield part


@in_loop
@pytest.mark.parametrize("headers", [[], [("content-length", "12")]], ids=["chunks", "length"])
async def test_a_body_in_parts_arrives_part_by_part(headers: list[tuple[str, str]]) -> None:
    seen: list[bytes] = []

    async def script(visit: Visit) -> None:
        _, length = await visit.head()
        seen.extend([part async for part in visit.body(length)])
        await visit.send(OK)

    async with serving(script) as server, client() as upstream:
        outgoing = OutgoingRequest("POST", server.url, headers, b"", 10, _in_parts(b"first ", b"", b"second"))
        assert await body(upstream, outgoing) == (200, b"ok")
        assert b"".join(seen) == b"first second"


@in_loop
async def test_parts_that_break_off_end_the_exchange() -> None:
    broken = asyncio.Event()

    async def script(visit: Visit) -> None:
        try:
            async for _ in visit.body((await visit.head())[1]):
                pass
        except asyncio.IncompleteReadError:
            broken.set()

    async with serving(script) as server, client() as upstream:
        parts = _in_parts(b"first", LookupError("no more"))
        with pytest.raises(BrokenOff, match="no more"):
            await body(upstream, OutgoingRequest("POST", server.url, [], b"", 10, parts))
        await broken.wait()


@in_loop
async def test_an_answer_before_the_last_part_ends_the_sending() -> None:
    async def script(visit: Visit) -> None:
        await visit.head()
        await visit.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")
        await visit.until_closed()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65536

    async with serving(script) as server, client() as upstream:
        assert await body(upstream, OutgoingRequest("POST", server.url, [], b"", 10, endless())) == (413, b"no")
