"""What counts as throughput, and what never does."""

import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from bench import load
from bench.contender import question
from bench.load import Load, is_whole

RIGHT = b'HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n"Hello there, how can I help you today?"'
Serve = Callable[[bytes], int]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server that answers everything with these bytes, and gives its port; no bytes: it hangs up."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def start(answer: bytes) -> int:
            threading.Thread(target=_accept, args=(listener, answer), daemon=True).start()
            port: int = listener.getsockname()[1]
            return port

        yield start


def _accept(listener: socket.socket, answer: bytes) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_answer, args=(connection, answer), daemon=True).start()


def _answer(connection: socket.socket, answer: bytes) -> None:
    with connection:
        while answer and connection.recv(65536):
            connection.sendall(answer)


def test_right_answers_count(serve: Serve) -> None:
    """By a clock that goes on by a second a look: 50 come in time, and one that was under way comes later."""
    clock = itertools.count(step=1.0).__next__
    found = load.apply(question(serve(RIGHT)), connections=2, seconds=52, clock=clock)

    assert found.failures == {}
    assert (found.requests_per_s * 52, len(found.latencies_s)) == (50, 51)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 2\r\n\r\n{}", "status 429"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "another body"),
        (b"", "closed by the server"),
    ],
)
def test_wrong_answers_never_count(serve: Serve, answer: bytes, fault: str) -> None:
    found = load.apply(question(serve(answer)), connections=2, seconds=0.05)

    assert found.requests_per_s == 0
    assert found.latencies_s == []
    assert set(found.failures) == {fault}


@pytest.mark.parametrize(
    "answer",
    [RIGHT, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"],
    ids=["sized", "chunked"],
)
def test_an_answer_is_whole_with_its_last_byte(answer: bytes) -> None:
    assert is_whole(answer)
    assert not any(is_whole(answer[:end]) for end in range(len(answer)))


def test_percentiles_are_samples() -> None:
    found = Load(0, [number / 1000 for number in range(1000)], {})

    assert found.percentile_s(50) == 0.5
    assert found.percentile_s(99) == 0.99
    assert found.percentile_s(100) == 0.999
