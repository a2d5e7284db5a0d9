"""Callers that take their time, by the hundred: others are served meanwhile, and nobody is waited for without end."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.gateway.conftest import CHAT
from tests.security import gateway
from tests.security.gateway import KEY, Gateway
from tests.waiting import wait_until

SLOW = 200
HEADERS = {"x-api-key": KEY}
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
HEAD_TO_THE_BODY = HEAD + b"x-api-key: %b\r\ncontent-length: 1000\r\n\r\n" % KEY.encode()


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("gateway")
    with gateway.running(folder, OMNI_HEAD_TIMEOUT_S="2", OMNI_BODY_TIMEOUT_S="2") as started:
        yield started


def connections(count: int, port: int, ending: ExitStack) -> list[socket.socket]:
    return [ending.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20)) for _ in range(count)]


def is_served(running: Gateway) -> bool:
    return httpx.post(f"{running.url}/v1/chat/completions", json=CHAT, headers=HEADERS, timeout=10).is_success


@pytest.mark.parametrize("said", [b"", b"P", HEAD, HEAD_TO_THE_BODY, HEAD_TO_THE_BODY + b'{"mod'])
def test_two_hundred_slow_callers_keep_nobody_waiting(running: Gateway, said: bytes) -> None:
    with ExitStack() as ending:
        for connection in connections(SLOW, running.port, ending):
            connection.sendall(said)
        assert all(is_served(running) for _ in range(10))


@pytest.mark.parametrize("said", [b"", b"P", HEAD])
def test_a_head_that_does_not_come_is_not_waited_for(impatient: Gateway, said: bytes) -> None:
    with ExitStack() as ending:
        for connection in connections(20, impatient.port, ending):
            connection.sendall(said)
            ending.callback(_expect_end, connection)


def test_a_head_that_comes_a_byte_at_a_time_is_not_waited_for(impatient: Gateway) -> None:
    with socket.create_connection(("127.0.0.1", impatient.port), timeout=20) as connection:

        def is_refused() -> bool:
            try:
                connection.sendall(b"x")
            except ConnectionError:
                return True
            time.sleep(0.1)
            return False

        connection.sendall(HEAD + b"x-slow: ")
        wait_until(is_refused, description="the gateway hangs up", within_s=30)


def test_a_half_sent_body_is_given_up_in_time(impatient: Gateway) -> None:
    head, _, content = impatient.send(HEAD_TO_THE_BODY + b"{").partition(b"\r\n\r\n")
    assert head.split()[1] == b"408"
    assert set(json.loads(content)) == {"error", "request_id"}


def test_a_second_head_on_a_connection_is_not_waited_for(impatient: Gateway) -> None:
    with socket.create_connection(("127.0.0.1", impatient.port), timeout=20) as connection:
        connection.sendall(b"GET /api/health HTTP/1.1\r\nhost: x\r\n\r\nGET /api/he")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        _expect_end(connection)


def test_a_body_that_comes_a_byte_at_a_time_is_answered_with_408(impatient: Gateway) -> None:
    with socket.create_connection(("127.0.0.1", impatient.port), timeout=20) as connection:
        connection.sendall(HEAD_TO_THE_BODY)
        connection.settimeout(0.1)
        answer = b""
        while not answer:
            connection.sendall(b" ")
            try:
                answer = connection.recv(65536)
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 408")


def test_a_head_without_an_end_takes_no_memory(running: Gateway) -> None:
    before = _memory_kib(running)
    with socket.create_connection(("127.0.0.1", running.port), timeout=20) as connection:
        connection.sendall(HEAD + b"x-large: ")
        with pytest.raises(ConnectionError):
            connection.sendall(b"x" * 200 * 1024 * 1024)
    assert _memory_kib(running) - before < 50 * 1024
    assert is_served(running)


def test_a_stream_that_nobody_reads_holds_up_nobody(running: Gateway) -> None:
    asked = b'{"model":"small","stream":true,"messages":[{"role":"user","content":"x"}]}'
    whole = HEAD + b"x-api-key: %b\r\ncontent-length: %d\r\n\r\n%b" % (KEY.encode(), len(asked), asked)
    with ExitStack() as ending:
        for connection in connections(SLOW, running.port, ending):
            connection.sendall(whole)
        assert all(is_served(running) for _ in range(10))


def _expect_end(connection: socket.socket) -> None:
    """Reads until the gateway closes; a test that waits for it in vain fails by the socket's timeout."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        return


def _memory_kib(running: Gateway) -> int:
    """Of the gateway's master and its one worker."""
    children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text().split()
    statuses = [Path(f"/proc/{pid}/status").read_text() for pid in (running.process.pid, *children)]
    return sum(int(line.split()[1]) for text in statuses for line in text.splitlines() if line.startswith("VmRSS"))
