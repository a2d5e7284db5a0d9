"""Callers who do not read, and callers who hold many connections: what they take of the process is bounded."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any

import pytest
import uvloop

from shared.settings import Settings
from shared.web.http1 import ConnectionBounds
from shared.web.http1.bounds import MOST_UNSENT_BYTES, PeerConnections, UnreadAnswers
from shared.web.system import SystemPages
from tests.web.http1_server import nobody, part, rest_of, serving, start

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
LARGE = bytes(4 * 1024 * 1024)


class Connection:
    def __init__(self) -> None:
        self.is_closed = False

    def abort(self) -> None:
        self.is_closed = True


def test_of_too_much_that_waits_the_longest_waiting_gives_way() -> None:
    unread, connections = UnreadAnswers(100), [Connection() for _ in range(4)]
    for connection in connections[:3]:
        unread.wait(connection, 30)
    unread.wait(connections[0], 25)
    unread.wait(connections[3], 30)
    assert [each.is_closed for each in connections] == [False, True, False, False]
    assert unread.bytes == 85
    for connection in connections:
        unread.go_on(connection)
    assert unread.bytes == 0


def test_connections_are_counted_by_address_and_an_ipv6_network_is_one() -> None:
    peers = PeerConnections(2)
    assert [peers.enter((f"2001:db8::{number}", 1)) for number in range(3)] == [True, True, False]
    assert peers.enter(("2001:db8:0:1::1", 1))
    assert peers.enter(None)
    peers.leave(("2001:db8::1", 1))
    assert peers.enter(("2001:db8::9", 2))


@pytest.mark.parametrize(
    ("connections_per_address", "trusted_proxies", "open_files", "most"),
    [(2048, 0, 20_000, 2048), (2048, 0, 1024, 512), (2048, 0, -1, 2048), (0, 0, 1024, 0), (2048, 1, 1024, 0)],
)
def test_no_address_uses_up_what_the_process_may_open(
    connections_per_address: int, trusted_proxies: int, open_files: int, most: int
) -> None:
    settings = Settings(connections_per_address=connections_per_address, trusted_proxies=trusted_proxies)
    assert ConnectionBounds.of(settings, open_files=open_files).per_address == most


def test_no_bound_is_none() -> None:
    peers = PeerConnections(0)
    assert all(peers.enter(("203.0.113.7", port)) for port in range(5000))


async def whole(scope: Any, receive: Any, send: Any) -> None:
    await send(start((b"content-length", b"%d" % len(LARGE))))
    await send(part(LARGE, more=False))


async def in_chunks(scope: Any, receive: Any, send: Any) -> None:
    await send(start())
    await send(part(LARGE[: len(LARGE) // 2]))
    await send(part(LARGE[len(LARGE) // 2 :], more=False))


def on_each_loop(test: Callable[[], Awaitable[None]]) -> None:
    for new_loop in (asyncio.new_event_loop, uvloop.new_event_loop):
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(asyncio.wait_for(test(), 30))


def connected(port: int, ending: ExitStack) -> socket.socket:
    connection = ending.enter_context(socket.socket())
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", port))
    return connection


@pytest.mark.parametrize("application", [whole, in_chunks])
def test_what_is_not_read_waits_where_it_is_and_is_whole_in_the_end(application: Any) -> None:
    async def run() -> None:
        async with serving(application) as (server, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
            writer.write(LAST)
            [connection] = await _connections(server, 1)
            while not connection.drained:  # noqa: ASYNC110  (nothing tells when it is)
                await asyncio.sleep(0.01)
            assert connection._transport.get_write_buffer_size() <= 2 * MOST_UNSENT_BYTES
            body = (await rest_of(reader)).partition(b"\r\n\r\n")[2]
            writer.close()
            assert body.count(b"\0") == len(LARGE)

    on_each_loop(run)


def test_who_reads_nothing_is_not_waited_for() -> None:
    async def run() -> None:
        async with serving(whole, bounds=ConnectionBounds(unread_s=0.2)) as (server, port):
            with ExitStack() as ending:
                connected(port, ending).sendall(GET)
                await _connections(server, 1)
                await _connections(server, 0)

    on_each_loop(run)


def test_many_who_read_nothing_are_not_all_waited_for() -> None:
    async def run() -> None:
        bounds = ConnectionBounds(unread_bytes=2 * len(LARGE))
        async with serving(whole, bounds=bounds) as (server, port):
            with ExitStack() as ending:
                held = [connected(port, ending) for _ in range(5)]
                await _connections(server, 5)
                for connection in held:
                    connection.sendall(GET)
                await _connections(server, 2)

    on_each_loop(run)


def test_more_connections_of_an_address_than_it_may_have_are_refused() -> None:
    async def run() -> None:
        async with serving(nobody, bounds=ConnectionBounds(per_address=2)) as (server, port):
            with ExitStack() as ending:
                held = [connected(port, ending) for _ in range(2)]
                await _connections(server, 2)
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                head, _, content = (await rest_of(reader)).partition(b"\r\n\r\n")
                writer.close()
                assert head.startswith(b"HTTP/1.1 429 ")
                assert json.loads(content)["error"]["code"] == "too_many_connections"
                held[0].close()
                await _connections(server, 1)
                again = connected(port, ending)
                await _connections(server, 2)
                again.close()

    on_each_loop(run)


def test_every_caller_is_given_the_same_bytes() -> None:
    pages = SystemPages("gateway", lambda: pytest.fail("not asked for"))
    for path in ("/api/docs", "/api/docs/swagger-ui-bundle.js", "/api/openapi.json"):
        first, second = pages.answer(path), pages.answer(path)
        assert first
        assert second
        assert first.body is second.body


async def _connections(server: Any, count: int) -> list[Any]:
    while len(server.server_state.connections) != count:  # noqa: ASYNC110  (nothing tells when it is)
        await asyncio.sleep(0.01)
    return list(server.server_state.connections)
