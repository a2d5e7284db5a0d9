"""What is no HTTP, and a head without an end, over a real connection: one error in the one shape, and the end."""

import json
import re
from typing import Any

import pytest

from shared.web.http1 import MOST_HEAD_BYTES
from shared.web.http1.bounds import MOST_HEADERS
from tests.web.http1_server import echo, said_to

JSON_LENGTH = b"content-type: application/json\r\ncontent-length: %d\r\n"
CLOSE = b"connection: close\r\n"


def echoes(answer: bytes) -> list[Any]:
    """What the application was told of each request."""
    return [json.loads(found) for found in re.findall(rb"\r\n\r\n(\[.*?\])(?=HTTP/|$)", answer, re.DOTALL)]


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"this is no HTTP\r\n\r\n", 400, "invalid_http"),
        (b"GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\nhost: x\r\n\r\n", 400, "invalid_http"),
        (b"POST /a HTTP/1.1\r\nhost: x\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}", 400, "invalid_http"),
        (b"GET / HTTP/1.1\r\nx: " + b"a" * (MOST_HEAD_BYTES + 1), 431, "headers_too_large"),
    ],
)
def test_a_head_that_cannot_be_read_gets_the_one_error_shape(sent: bytes, status: int, code: str) -> None:
    head, _, content = said_to(sent).partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    answer = json.loads(content)
    assert lines[0].startswith(f"http/1.1 {status} ")
    assert answer["error"]["code"] == code
    assert f"x-request-id: {answer['request_id']}" in lines
    assert f"content-length: {len(content)}" in lines
    assert "connection: close" in lines


def test_the_first_http_knew_no_hosts() -> None:
    assert said_to(b"GET /a HTTP/1.0\r\n\r\n", application=echo).startswith(b"HTTP/1.1 200 ")


def test_a_trailer_is_no_header() -> None:
    head = b"POST /a HTTP/1.1\r\nhost: x\r\n" + CLOSE + b"transfer-encoding: chunked\r\n\r\n"
    chunks = b"2\r\n{}\r\n0\r\nx-api-key: another\r\nx-forwarded-for: 10.0.0.1\r\n\r\n"
    [[method, path, headers, body]] = echoes(said_to(head + chunks, application=echo))
    assert (method, path, body) == ("POST", "/a", "{}")
    assert [name for name, _ in headers] == ["host", "connection", "transfer-encoding"]


@pytest.mark.parametrize("without_end", [b"0\r\nx: ", b"2;x=", b"0\r\n"])
@pytest.mark.parametrize("path", [b"/a", b"/early"])
def test_what_stands_around_a_body_is_bounded_as_a_head_is(path: bytes, without_end: bytes) -> None:
    """The parser gathers a trailer's value as it comes, which takes the longer the more of it is there."""
    head = b"POST %b HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n" % path
    line = b"a" * 64 if b":" in without_end or b";" in without_end else b"a: b\r\n"
    answer = said_to(head, without_end, line * (MOST_HEAD_BYTES // len(line) + 1), application=echo, pause_s=0.1)
    assert re.findall(rb"HTTP/1.1 ([0-9]+)", answer)[-1] == b"431"
    assert json.loads(answer.rpartition(b"\r\n\r\n")[2])["error"]["code"] == "headers_too_large"


def test_a_large_body_in_small_chunks_is_no_head() -> None:
    head = b"POST /a HTTP/1.1\r\nhost: x\r\n" + CLOSE + b"transfer-encoding: chunked\r\n\r\n"
    chunks = b"1\r\nx\r\n" * (MOST_HEAD_BYTES // 2)
    [[_, _, _, body]] = echoes(said_to(head, chunks, b"0\r\nx-a: 1\r\n\r\n", application=echo))
    assert len(body) == MOST_HEAD_BYTES // 2


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket", b"TLS/1.0"])
@pytest.mark.parametrize("size", [0, 2, 200_000])
def test_another_protocol_is_declined_and_the_request_answered_with_its_body(protocol: bytes, size: int) -> None:
    upgrade = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: %b\r\nx-after: 1\r\n" % protocol
    body = b"x" * size
    first = b"POST /a HTTP/1.1\r\nhost: x\r\n" + upgrade + JSON_LENGTH % size + b"\r\n" + body
    second = b"GET /b HTTP/1.1\r\nhost: x\r\n" + CLOSE + b"\r\n"
    for parts in ((first + first + second,), (first[:50], first[50:] + first[:70], first[70:] + second)):
        *firsts, last = echoes(said_to(*parts, application=echo, pause_s=0.05))
        assert (len(firsts), last[1]) == (2, "/b")
        for method, path, headers, got in firsts:
            assert (method, path, got) == ("POST", "/a", body.decode())
            assert ["x-after", "1"] in headers
            assert "upgrade" not in [name for name, _ in headers]


@pytest.mark.parametrize("target", [b"evil:443", b"/a", b"http://evil/a"])
def test_there_are_no_tunnels(target: bytes) -> None:
    assert said_to(b"CONNECT %b HTTP/1.1\r\nhost: evil\r\n\r\n" % target).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST /early HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n",
        b"POST /early HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n",
    ],
    ids=["blank lines", "the rest of a body", "the rest of a chunked body"],
)
def test_after_an_answer_nobody_is_waited_for_without_end(sent: bytes) -> None:
    """A byte ends uvicorn's own wait for the next request; `said_to` fails unless the server hangs up."""
    rest = b"\r\n" if b"GET" in sent else b"1"
    assert said_to(sent, rest, application=echo, head_s=0.5, pause_s=0.2).startswith(b"HTTP/1.1 200 ")


def test_the_rest_of_a_body_that_was_answered_early_makes_room_for_the_next_request() -> None:
    early = b"POST /early HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % (2 * MOST_HEAD_BYTES)
    after = b"GET /b HTTP/1.1\r\nhost: x\r\n" + CLOSE + b"\r\n"
    answer = said_to(early, b"x" * MOST_HEAD_BYTES, b"x" * MOST_HEAD_BYTES + after, application=echo, pause_s=0.1)
    assert [path for _, path, *_ in echoes(answer)] == ["/early", "/b"]


def test_no_head_has_hundreds_of_lines() -> None:
    answer = said_to(b"GET / HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * MOST_HEADERS + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert said_to(
        b"GET / HTTP/1.1\r\nhost: x\r\n" + CLOSE + b"a: b\r\n" * (MOST_HEADERS - 2) + b"\r\n", application=echo
    ).startswith(b"HTTP/1.1 200 ")


def test_trailers_have_as_many_lines_at_most() -> None:
    head = b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
    answer = said_to(head + b"a: b\r\n" * (MOST_HEADERS + 1) + b"\r\n", application=echo)
    assert re.findall(rb"HTTP/1.1 ([0-9]+)", answer)[-1] == b"431"


def test_a_body_in_the_smallest_chunks_arrives_whole() -> None:
    head = b"POST /a HTTP/1.1\r\nhost: x\r\n" + CLOSE + b"transfer-encoding: chunked\r\n\r\n"
    answer = said_to(head + b"1\r\na\r\n" * 50_000 + b"0\r\n\r\n", application=echo)
    [[_, _, _, body]] = echoes(answer)
    assert body == "a" * 50_000
