"""The outgoing client against real sockets: what it may send, how it reads, when a connection is used again."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
import uvloop

from shared.adapters.httptools_upstream import HttptoolsUpstream
from shared.ports.upstream import BrokenOff, ConnectFailed, OutgoingRequest, TimedOut
from tests.certificates import self_signed
from tests.contracts.upstream_server import Script, Server, Visit, serving

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
async def client(idle_s: float = 30, tls: ssl.SSLContext | None = None) -> AsyncIterator[HttptoolsUpstream]:
    upstream = HttptoolsUpstream(idle_s, tls)
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


@in_loop
async def test_the_request_arrives_as_it_was_made() -> None:
    seen: list[bytes] = []

    async def script(visit: Visit) -> None:
        seen.append(await visit.request())
        await visit.send(OK)

    async with serving(script) as server, client() as upstream:
        await body(upstream, request(server.url + "/a/../b%2F?x=%20", headers=[("X-One", "é")], body=b"[1]"))
        authority = server.url.removeprefix("http://")
        head = f"POST /a/../b%2F?x=%20 HTTP/1.1\r\nhost: {authority}\r\nX-One: é\r\ncontent-length: 3\r\n\r\n"
        assert seen == [head.encode() + b"[1]"]


@in_loop
async def test_a_get_without_a_body_announces_none() -> None:
    async def script(visit: Visit) -> None:
        assert b"content-length" not in await visit.request()
        await visit.send(OK)

    async with serving(script) as server, client() as upstream:
        assert await body(upstream, request(server, "GET", body=b"")) == (200, b"ok")


@in_loop
async def test_a_connection_is_used_again() -> None:
    async with serving(answering(OK, OK, OK)) as server, client() as upstream:
        for _ in range(3):
            assert await body(upstream, request(server)) == (200, b"ok")
        assert server.visits == 1


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
async def test_a_body_may_end_with_the_connection() -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(b"HTTP/1.1 200 OK\r\n\r\nall")
        await visit.send(b" of it")

    async with serving(script) as server, client() as upstream:
        assert await body(upstream, request(server)) == (200, b"all of it")
        assert await body(upstream, request(server)) == (200, b"all of it")
        assert server.visits == 2


@in_loop
async def test_a_connection_that_the_upstream_will_close_is_not_used_again() -> None:
    closing = OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
    async with serving(answering(closing)) as server, client() as upstream:
        await body(upstream, request(server))
        await body(upstream, request(server))
        assert server.visits == 2


@in_loop
async def test_what_nobody_asked_for_does_not_become_the_next_answer() -> None:
    async with serving(answering(OK + OK.replace(b"ok", b"no"), OK)) as server, client() as upstream:
        assert await body(upstream, request(server)) == (200, b"ok")
        assert await body(upstream, request(server)) == (200, b"ok")
        assert server.visits == 2


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
async def test_leaving_before_the_head_closes_the_connection() -> None:
    asked = asyncio.Event()

    async def script(visit: Visit) -> None:
        await visit.request()
        asked.set()
        await visit.until_closed()

    async with serving(script) as server, client() as upstream:
        asking = asyncio.create_task(body(upstream, request(server)))
        await asked.wait()
        asking.cancel()
        await server.gone.wait()
        with pytest.raises(asyncio.CancelledError):
            await asking


@in_loop
async def test_leaving_in_the_middle_of_a_body_closes_the_connection() -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(CHUNKED + b"3\r\none\r\n")
        await visit.until_closed()

    async with serving(script) as server, client() as upstream:
        async with upstream.send(request(server)) as response:
            assert await anext(response.chunks()) == b"one"
        await server.gone.wait()


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
            await asyncio.sleep(0.1)
            await visit.send(b"1\r\nx\r\n")
        await visit.send(b"0\r\n\r\n")
        await visit.until_closed()

    async with serving(script) as server, client() as upstream:
        assert await body(upstream, request(server, timeout_s=0.4)) == (200, b"xxxxxx")


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


@pytest.mark.parametrize(("method", "visits"), [("GET", 2), ("POST", 1)])
@in_loop
async def test_a_kept_connection_that_breaks_is_replaced_only_where_asking_twice_is_safe(
    method: str, visits: int
) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(OK)
        await visit.request()  # and closes, as if it had just given up waiting
        if visit.number > 1:
            await visit.send(OK)

    async with serving(script) as server, client() as upstream:
        await body(upstream, request(server))
        if method == "GET":
            assert await body(upstream, request(server, method, body=b"")) == (200, b"ok")
        else:
            with pytest.raises(BrokenOff):
                await body(upstream, request(server, method))
        assert server.visits == visits


@in_loop
async def test_a_connection_that_nobody_uses_is_closed() -> None:
    async with serving(answering(OK)) as server, client(idle_s=0.1) as upstream:
        await body(upstream, request(server))
        await server.gone.wait()


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
        upstream.send(request(server, timeout_s=0.3)) as response,
    ):
        parts = response.chunks()
        await anext(parts)
        await asyncio.sleep(0.7)  # longer than the upstream may be silent: but it is not the one who waits
        assert sent < 48 * 2**20
        assert sum([len(part) async for part in parts]) > 60 * 2**20


@in_loop
async def test_certificates_are_checked(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path, "127.0.0.1")
    serverside = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serverside.load_cert_chain(certificate)
    async with serving(answering(OK), serverside) as server:
        async with client() as stranger:
            with pytest.raises(ConnectFailed, match="CERTIFICATE_VERIFY_FAILED"):
                await body(stranger, request(server))
        async with client(tls=ssl.create_default_context(cafile=certificate)) as acquainted:
            assert await body(acquainted, request(server)) == (200, b"ok")


@in_loop
async def test_many_at_once_each_get_their_own_answer() -> None:
    async def script(visit: Visit) -> None:
        while True:
            asked = await visit.request()
            answer = asked.partition(b"\r\n\r\n")[2]
            await asyncio.sleep(0.001)
            await visit.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(answer) + answer)

    async with serving(script) as server, client() as upstream:
        for _ in range(3):
            bodies = [str(number).encode() * (number + 1) for number in range(60)]
            answers = await asyncio.gather(*(body(upstream, request(server, body=each)) for each in bodies))
            assert [answer for _, answer in answers] == bodies
        assert server.visits <= 60


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
