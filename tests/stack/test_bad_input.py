"""Hostile bytes on the wire: each gets a 4xx in the one error shape, and the platform goes on."""

import json
import socket

import pytest

from tests.stack.running import RunningStack

PATH = "/v1/chat/completions"


def speak(stack: RunningStack, head: str, body: bytes, *, then_close: bool = False) -> tuple[int, dict[str, object]]:
    """Sends raw bytes and reads one whole answer; the connection stays open meanwhile unless told otherwise."""
    host, port = stack.base_url.removeprefix("http://").split(":")
    request = f"{head}\r\nhost: {host}\r\nauthorization: Bearer {stack.api_key}\r\nconnection: close\r\n"
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        try:
            connection.sendall(request.encode("latin-1") + body)
            if then_close:
                connection.shutdown(socket.SHUT_WR)
        except ConnectionError:
            pass  # refused before everything was sent: the answer is there to be read
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head_bytes, _, content = answer.partition(b"\r\n\r\n")
    return int(head_bytes.split()[1]), json.loads(content)


def with_length(body: bytes) -> bytes:
    return f"content-length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("head", "body", "status"),
    [
        (f"POST {PATH} HTTP/1.1", with_length(b"{"), 400),
        (f"POST {PATH} HTTP/1.1", with_length(b'{"model": "\xff\xfe"}'), 400),
        (f"POST {PATH} HTTP/1.1", with_length(b'{"model":' + b"[" * 10_000 + b"]" * 10_000 + b"}"), 400),
        (f"POST {PATH} HTTP/1.1", with_length(b"\x00" * 100), 400),
        (f"POST {PATH} HTTP/1.1", with_length(b'{"model": "none"}'), 404),
        (f"POST {PATH} HTTP/1.1", with_length(b" " * 50_000_000), 413),
        (f"POST {PATH} HTTP/1.1", b"content-length: 99999999999999\r\n\r\n{", 413),
        (f"POST {PATH} HTTP/1.1", b"x-large: " + b"x" * 60_000 + b"\r\n" + with_length(b"{}"), 431),
        (f"PATCH {PATH} HTTP/1.1", with_length(b"{}"), 405),
        ("TRACE /v1/models HTTP/1.1", b"\r\n", 405),
        ("GET /robots.txt HTTP/1.1", b"\r\n", 404),
        ("GET /v1/models/%00%ff HTTP/1.1", b"\r\n", 404),
        ("GET /../../etc/passwd HTTP/1.1", b"\r\n", 404),
        ("POST /api/v1/jobs HTTP/1.1", with_length(b'{"task": "nothing", "input": {}}'), 400),
        ("POST /api/v1/jobs HTTP/1.1", with_length(b'{"task": 7}'), 400),
        ("POST /api/v1/keys HTTP/1.1", with_length(b"[]"), 400),
        ("GET /api/v1/jobs/job_none HTTP/1.1", b"\r\n", 404),
        ("GET /api/v1/jobs?limit=-1 HTTP/1.1", b"\r\n", 400),
        ("GET /api/v1/jobs?after=garbage HTTP/1.1", b"\r\n", 400),
    ],
    ids=lambda value: str(value)[:40],
)
def test_nonsense_is_refused_in_the_one_shape(stack: RunningStack, head: str, body: bytes, status: int) -> None:
    answered, problem = speak(stack, head, body)
    assert answered == status
    assert set(problem) == {"error", "request_id"}
