"""Bytes that two servers might read differently: one request stays one request, and nothing forged passes."""

import re

import pytest

from tests.security.gateway import KEY, MASTER, Gateway

BODY = b'{"model": "small", "messages": [{"role": "user", "content": "x"}]}'
LENGTH = b"content-length: %d" % len(BODY)
HIDDEN = b"GET /api/v1/keys HTTP/1.1\r\nhost: x\r\nx-omni-caller: forged\r\n\r\n"
"""A request inside another one's body."""
ZERO = b"0\r\n\r\n"
FORGED = re.compile(rb"forged|evil", re.IGNORECASE)


def head(*lines: bytes, method: bytes = b"POST", path: bytes = b"/v1/chat/completions") -> bytes:
    first = [b"%b %b HTTP/1.1" % (method, path), b"host: gateway", b"authorization: Bearer " + KEY.encode()]
    return b"\r\n".join([*first, *lines]) + b"\r\n\r\n"


def get(path: bytes) -> bytes:
    return head(method=b"GET", path=path)


def statuses(answer: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


REFUSED = {
    "length and chunks": head(LENGTH, b"transfer-encoding: chunked") + ZERO + HIDDEN,
    "chunks and length": head(b"transfer-encoding: chunked", b"content-length: 4") + ZERO + HIDDEN,
    "two lengths": head(LENGTH, b"content-length: 0") + BODY,
    "the same length twice": head(LENGTH, LENGTH) + BODY,
    "a list of lengths": head(b"content-length: 66, 66") + BODY,
    "a length with a sign": head(b"content-length: +66") + BODY,
    "a length below zero": head(b"content-length: -1") + BODY,
    "a length in hexadecimal": head(b"content-length: 0x42") + BODY,
    "a space before the colon": head(b"content-length : 66") + BODY,
    "an unknown coding": head(b"transfer-encoding: xchunked") + ZERO + HIDDEN,
    "no coding": head(b"transfer-encoding: identity", LENGTH) + BODY,
    "chunks inside another coding": head(b"transfer-encoding: chunked, identity") + ZERO + HIDDEN,
    "two codings": head(b"transfer-encoding: chunked", b"transfer-encoding: identity") + ZERO + HIDDEN,
    "a chunk too large to be": head(b"transfer-encoding: chunked") + b"fffffffffffffffff\r\n" + BODY,
    "a chunk without its end": head(b"transfer-encoding: chunked") + b"%x\r\n%bXX0\r\n\r\n" % (len(BODY), BODY),
    "a chunk extension with a line break": head(b"transfer-encoding: chunked")
    + b'%x;a="b\r\n"\r\n%b\r\n0\r\n\r\n' % (len(BODY), BODY),
    "a folded header": head(b"x-a: 1\r\n x-omni-caller: forged", LENGTH) + BODY,
    "a null in a header": head(b"traceparent: a\0forged", LENGTH) + BODY,
    "a bare carriage return": head(b"traceparent: a\rx-omni-caller: forged", LENGTH) + BODY,
    "bare line feeds": head(LENGTH).replace(b"\r\n", b"\n") + BODY,
    "a bare line feed": head(b"traceparent: a\nx-evil: 1", LENGTH) + BODY,
    "a control character": head(b"traceparent: a\x01forged", LENGTH) + BODY,
    "two keys": head(b"authorization: Bearer " + MASTER.encode(), LENGTH) + BODY,
    "two other keys": head(b"x-api-key: a", b"x-api-key: b", LENGTH) + BODY,
    "two hosts": head(b"host: evil", LENGTH) + BODY,
    "a tunnel": b"CONNECT evil:443 HTTP/1.1\r\nhost: evil\r\n\r\n",
    "a byte that no path has": get(b"/api/v1/jobs/a\xff"),
    "a byte that no query has": get(b"/api/v1/jobs?x=\xff"),
    "a space in the query": get(b"/api/v1/jobs?x=a b"),
}
"""Each is answered once, with 400, and reaches nobody."""

HARMLESS = {
    "headers of the platform's own": head(b"x-omni-caller: forged", b"x-omni-tier: evil", LENGTH) + BODY,
    "hop-by-hop": head(b"connection: authorization, x-omni-caller", b"x-omni-caller: forged", LENGTH) + BODY,
    "an address instead of a path": head(LENGTH, path=b"http://evil.example/v1/chat/completions") + BODY,
    "a forged trace": head(b"traceparent: forged", b"tracestate: evil=1", b"baggage: evil=1", LENGTH) + BODY,
    "a forged origin": head(b"x-forwarded-host: evil", b"x-original-url: /evil", LENGTH) + BODY,
    "a cookie": head(b"cookie: evil=1", LENGTH) + BODY,
    "a trailer": head(b"transfer-encoding: chunked")
    + b"%x\r\n%b\r\n0\r\nx-request-id: forged\r\nx-omni-caller: forged\r\n\r\n" % (len(BODY), BODY),
    "spaces behind a length": head(LENGTH + b" \t ") + BODY,
    "another protocol with a body": head(b"connection: upgrade", b"upgrade: evil", LENGTH) + BODY,
    "another host": b"GET /v1/models HTTP/1.1\r\nhost: evil\r\nx-api-key: " + KEY.encode() + b"\r\n\r\n",
    "another protocol": head(b"connection: upgrade", b"upgrade: h2c", method=b"GET", path=b"/v1/models"),
}
"""Answered as if what is forged in them were not there."""


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED)
def test_what_can_be_read_in_two_ways_is_refused(running: Gateway, raw: bytes) -> None:
    before = len(running.behind.requests)
    assert statuses(running.send(raw)) == [400]
    assert running.behind.requests[before:] == []


@pytest.mark.parametrize("raw", HARMLESS.values(), ids=HARMLESS)
def test_what_is_forged_goes_nowhere(running: Gateway, raw: bytes) -> None:
    before = len(running.behind.requests)
    assert statuses(running.send(raw)) == [200]
    assert not [request for request in running.behind.requests[before:] if FORGED.search(request)]


def test_a_key_in_a_trailer_is_none(running: Gateway) -> None:
    keyless = b"GET /v1/models HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" + ZERO[:-2]
    assert statuses(running.send(keyless + b"x-api-key: %b\r\n\r\n" % KEY.encode())) == [401]


@pytest.mark.parametrize("path", [b"/api/v1/jobs/a%0d%0ax-omni-caller:%20forged", b"/api/v1/jobs/%3fa%23b%20c"])
def test_an_encoded_path_stays_one_line(running: Gateway, path: bytes) -> None:
    before = len(running.behind.requests)
    running.send(get(path))
    for request in running.behind.requests[before:]:
        assert (
            request.split(b"\r\n")[0]
            == b"GET /internal"
            + path.replace(b"%0d%0a", b"%0D%0A").replace(b":", b"%3A").replace(b"%3f", b"%3F")
            + b" HTTP/1.1"
        )
        assert request.lower().count(b"\r\nx-omni-caller:") == 1


def test_requests_that_follow_each_other_are_answered_in_turn(running: Gateway) -> None:
    assert statuses(running.send((head(LENGTH) + BODY) * 3)) == [200] * 3


@pytest.mark.parametrize(
    "host", [b"localhost", b"metadata.google.internal", b"[::1]:80", b"a b", b"evil.example@x", b""]
)
def test_the_host_header_opens_nothing(running: Gateway, host: bytes) -> None:
    answer = running.send(b"GET /api/v1/keys HTTP/1.1\r\nhost: " + host + b"\r\n\r\n")
    assert statuses(answer) in ([401], [400])
    assert host not in answer or not host
