"""A request as it goes over the wire, and where it goes."""

import re
from collections.abc import AsyncIterable, AsyncIterator
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

from shared.ports.upstream import OutgoingRequest

NOT_IN_A_TARGET = re.compile(r"[\x00-\x20\x7f-\U0010ffff]")
PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    tls: bool
    host: str
    port: int


class Place(NamedTuple):
    origin: Origin
    authority: str
    target: str
    """Path and query as they stand: normalising `..` would lead elsewhere."""


@lru_cache(1024)
def place(url: str) -> Place:
    """Where a URL points; ValueError when it is none that can be asked."""
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if parts.scheme not in PORTS or not parts.hostname or "@" in parts.netloc or NOT_IN_A_TARGET.search(url):
        raise ValueError("not an http or https address")
    port = PORTS[parts.scheme] if parts.port is None else parts.port
    origin = Origin(parts.scheme == "https", parts.hostname, port)
    return Place(origin, parts.netloc, target)


def framed(request: OutgoingRequest) -> AsyncIterable[bytes] | None:
    """The request's parts as they go over the wire: in chunks, unless its headers tell their length."""
    if request.parts is None or _announces_length(request):
        return request.parts
    return _chunked(request.parts)


async def _chunked(parts: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    async for part in parts:
        if part:  # an empty chunk would be the last
            yield b"%x\r\n%b\r\n" % (len(part), part)
    yield b"0\r\n\r\n"


def _announces_length(request: OutgoingRequest) -> bool:
    return any(name.lower() == "content-length" for name, _ in request.headers)


def encoded(request: OutgoingRequest, place: Place) -> bytes:
    """The request's bytes; ValueError when a header would break out of its line."""
    lines = [f"{request.method} {place.target} HTTP/1.1", f"host: {place.authority}", "accept-encoding: identity"]
    lines += [f"{name}: {value}" for name, value in request.headers]
    if request.parts is not None:
        lines += [] if _announces_length(request) else ["transfer-encoding: chunked"]
    elif request.body or request.method not in ("GET", "HEAD"):
        lines.append(f"content-length: {len(request.body)}")
    head = "\r\n".join(lines)
    ends = len(lines) - 1
    if head.count("\n") != ends or head.count("\r") != ends or "\0" in head:
        raise ValueError("a header has a line break or a null in it")
    return head.encode() + b"\r\n\r\n" + request.body
