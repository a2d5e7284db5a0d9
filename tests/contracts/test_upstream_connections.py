"""The outgoing client against real sockets: when a connection is used again, and when it is closed."""

import asyncio
import ssl
from pathlib import Path

import pytest

from shared.ports.upstream import BrokenOff, ConnectFailed
from tests.certificates import self_signed
from tests.contracts.upstream_client import CHUNKED, OK, answering, body, client, in_loop, request
from tests.contracts.upstream_server import Visit, serving


@in_loop
async def test_a_connection_is_used_again() -> None:
    async with serving(answering(OK, OK, OK)) as server, client() as upstream:
        for _ in range(3):
            assert await body(upstream, request(server)) == (200, b"ok")
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


@pytest.mark.parametrize("method", ["GET", "POST"])
@in_loop
async def test_a_kept_connection_that_its_upstream_has_closed_is_replaced(method: str) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(OK)
        await visit.request()  # and closes, as if it had just given up waiting
        if visit.number > 1:
            await visit.send(OK)

    async with serving(script) as server, client() as upstream:
        await body(upstream, request(server))
        assert await body(upstream, request(server, method, body=b"")) == (200, b"ok")
        assert server.visits == 2


@pytest.mark.parametrize(("method", "visits"), [("GET", 2), ("POST", 1)])
@in_loop
async def test_a_kept_connection_that_breaks_in_a_response_is_replaced_only_where_asking_twice_is_safe(
    method: str, visits: int
) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.send(OK)
        await visit.request()
        await visit.send(b"HTTP/1.1" if visit.number == 1 else OK)

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
