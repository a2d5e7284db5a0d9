"""What a caller gets of an application over our HTTP protocol, whatever either of them does."""

import asyncio
import json
import socket
from typing import Any

import pytest

from shared.web.http1 import ConnectionBounds
from tests.web.http1_server import echo, part, rest_of, said_to, serving, start

GET = b"GET %b HTTP/1.1\r\nhost: x\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
SIZE = 50_000_000
"""More than the kernel keeps for somebody who does not read."""


def heads_and_bodies(answer: bytes) -> list[tuple[list[str], bytes]]:
    """The answers in what came, each with the lines of its head; only of answers with a length."""
    found = []
    while answer:
        head, _, answer = answer.partition(b"\r\n\r\n")
        lines = head.decode().lower().split("\r\n")
        length = next(int(line.partition(": ")[2]) for line in lines if line.startswith("content-length"))
        found.append((lines, answer[:length]))
        answer = answer[length:]
    return found


async def stream(scope: Any, receive: Any, send: Any) -> None:
    """Three parts, without a length."""
    await send(start((b"content-type", b"text/plain")))
    for content in (b"one", b"two", b"three"):
        await send(part(content))
    await send(part(b"", more=False))


def test_requests_that_come_at_once_are_answered_in_their_order() -> None:
    async def slow_first(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/slow":
            await asyncio.sleep(0.1)
        await echo(scope, receive, send)

    answers = heads_and_bodies(said_to(GET % b"/slow" + GET % b"/fast" + LAST, application=slow_first))
    assert [json.loads(body)[1] for _, body in answers] == ["/slow", "/fast", "/last"]


def test_a_stream_goes_in_chunks_and_its_head_at_once() -> None:
    async def run() -> tuple[bytes, bytes]:
        gate = asyncio.Event()

        async def waiting(scope: Any, receive: Any, send: Any) -> None:
            await send(start((b"content-type", b"text/event-stream")))
            await gate.wait()
            await send(part(b"data: 1\n\n"))
            await send(part(b"", more=False))

        async with serving(waiting) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(LAST)
            head = await reader.readuntil(b"\r\n\r\n")
            gate.set()
            body = await rest_of(reader)
            writer.close()
            return head, body

    head, body = asyncio.run(run())
    assert b"transfer-encoding: chunked" in head
    assert body == b"9\r\ndata: 1\n\n\r\n0\r\n\r\n"


def test_an_old_client_gets_a_stream_without_chunks() -> None:
    head, _, body = said_to(b"GET / HTTP/1.0\r\n\r\n", application=stream).partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert b"connection: close" in head
    assert body == b"onetwothree"


@pytest.mark.parametrize("application", [echo, stream])
def test_head_gets_the_head_alone_and_the_connection_goes_on(application: Any) -> None:
    answer = said_to(b"HEAD /a HTTP/1.1\r\nhost: x\r\n\r\n" + LAST, application=application)
    nothing, first, second = answer.split(b"HTTP/1.1 200 OK\r\n")
    assert not nothing
    assert first.index(b"\r\n\r\n") == len(first) - 4
    assert b"chunked" not in first
    assert second.partition(b"\r\n\r\n")[2]


def test_an_answer_without_a_body_has_none() -> None:
    async def nothing(scope: Any, receive: Any, send: Any) -> None:
        await send(start(status=204))
        await send(part(b"", more=False))

    answer = said_to(LAST, application=nothing)
    assert answer.startswith(b"HTTP/1.1 204 No Content\r\n")
    assert answer.endswith(b"\r\n\r\n")
    assert b"chunked" not in answer


def test_a_caller_who_waits_for_leave_to_send_gets_it_when_the_body_is_wanted() -> None:
    head = b"POST %b HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\nconnection: close\r\ncontent-length: 2\r\n\r\n"
    answer = said_to(head % b"/a", b"{}", application=echo, pause_s=0.1)
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert said_to(head % b"/early", application=echo).startswith(b"HTTP/1.1 200 OK\r\n")
    old = (head % b"/a").replace(b"HTTP/1.1", b"HTTP/1.0")  # which knew no answers but the last
    assert said_to(old, b"{}", application=echo, pause_s=0.1).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("value", [b"a\r\nx-evil: 1", b"a\nx-evil: 1", b"a\0"])
def test_a_header_that_would_break_out_of_its_line_is_not_sent(value: bytes) -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        await send(start((b"x-a", value), (b"content-length", b"0")))

    answer = said_to(GET % b"/", application=broken)
    assert b"evil" not in answer
    assert not answer.startswith(b"HTTP/1.1 200")


def test_an_application_that_fails_before_its_answer_is_a_500_in_the_one_shape() -> None:
    async def failing(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("something secret")

    [(head, body)] = heads_and_bodies(said_to(GET % b"/", application=failing))
    assert head[0].startswith("http/1.1 500 ")
    assert "connection: close" in head
    assert json.loads(body)["error"]["type"]
    assert b"secret" not in body


@pytest.mark.parametrize("length", [None, 2, 5])
def test_an_answer_that_breaks_off_is_seen_to_break_off(length: int | None) -> None:
    """Of what has a length too much or too little never passes for whole; a stream has no last chunk."""

    async def breaking(scope: Any, receive: Any, send: Any) -> None:
        await send(start(*([(b"content-length", b"%d" % length)] if length else [])))
        await send(part(b"abc", more=length is None))
        raise ValueError

    answer = said_to(GET % b"/", application=breaking)
    if length is None:
        assert answer.endswith(b"3\r\nabc\r\n")
    else:
        assert not answer.startswith(b"HTTP/1.1 200")


def test_a_broken_request_does_not_spoil_the_answer_before_it() -> None:
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.1)
        await echo(scope, receive, send)

    good, bad = heads_and_bodies(said_to(GET % b"/a" + b"no HTTP\r\n\r\n" + GET % b"/b", application=slow))
    assert json.loads(good[1])[1] == "/a"
    assert bad[0][0].startswith("http/1.1 400 ")


def test_a_broken_body_is_a_400_and_its_application_hears_that_nobody_is_there() -> None:
    heard: list[str] = []

    async def reading(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        while message["type"] != "http.disconnect":
            message = await receive()
        heard.append(message["type"])
        await send(start())

    chunks = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}XX"
    answer = said_to(chunks, application=reading)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1
    assert heard == ["http.disconnect"]


@pytest.mark.parametrize(
    "after_it", [b"", GET % b"/b", b"POST /b HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf"]
)
def test_an_application_hears_that_its_caller_has_left(after_it: bytes) -> None:
    async def run() -> list[str]:
        heard: list[str] = []
        done = asyncio.Event()

        async def waiting(scope: Any, receive: Any, send: Any) -> None:
            heard.append((await receive())["type"])
            heard.append((await receive())["type"])
            await send(start())
            await send(part(b"to nobody", more=False))
            done.set()

        async with serving(waiting) as (_, port):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET % b"/a" + after_it)
            await writer.drain()
            await asyncio.sleep(0.05)
            writer.close()
            await done.wait()
        return heard

    assert asyncio.run(run()) == ["http.request", "http.disconnect"]


def test_a_caller_who_does_not_read_holds_up_the_application_and_not_the_memory() -> None:
    async def run() -> int:
        sent = 0

        async def endless(scope: Any, receive: Any, send: Any) -> None:
            nonlocal sent
            await send(start())
            for _ in range(2000):
                await send(part(bytes(65536)))
                sent += 1

        async with serving(endless) as (_, port):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET % b"/")
            before = -1
            while sent != before:
                before = sent
                await asyncio.sleep(0.2)
            writer.transport.abort()
            return before

    assert asyncio.run(run()) < 1000


def test_a_large_body_arrives_whole_though_nobody_reads_it_for_a_while() -> None:
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.1)
        await echo(scope, receive, send)

    body = b"x" * 3_000_000
    head = b"POST /a HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
    [(_, answer)] = heads_and_bodies(said_to(head, body, application=slow))
    assert json.loads(answer)[3] == body.decode()


def test_a_server_that_stops_answers_what_is_under_way_and_no_more() -> None:
    async def run() -> bytes:
        begun, gate = asyncio.Event(), asyncio.Event()

        async def waiting(scope: Any, receive: Any, send: Any) -> None:
            begun.set()
            await gate.wait()
            await echo(scope, receive, send)

        async with serving(waiting) as (server, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            idle, idle_writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET % b"/a" + GET % b"/b")
            await begun.wait()
            server.should_exit = True
            assert await rest_of(idle) == b""
            gate.set()
            answer = await rest_of(reader)
            writer.close()
            idle_writer.close()
            return answer

    [(head, body)] = heads_and_bodies(asyncio.run(run()))
    assert "connection: close" in head
    assert json.loads(body)[1] == "/a"


def test_an_idle_connection_is_closed_and_one_that_reads_nothing_is_too() -> None:
    async def run() -> None:
        async def large(scope: Any, receive: Any, send: Any) -> None:
            await send(start((b"content-length", b"%d" % SIZE)))
            await send(part(bytes(SIZE), more=False))

        bounds = ConnectionBounds(head_s=0.1, unread_s=0.3)
        async with serving(large, idle_s=1, bounds=bounds) as (server, port):
            silent = socket.create_connection(("127.0.0.1", port))
            silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            silent.sendall(LAST)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"HEAD / HTTP/1.1\r\nhost: x\r\n\r\n")
            assert (await rest_of(reader)).startswith(b"HTTP/1.1 200 OK\r\n")
            writer.close()
            while server.server_state.connections:  # noqa: ASYNC110  (nothing tells when there are none)
                await asyncio.sleep(0.05)
            silent.close()

    asyncio.run(run())
