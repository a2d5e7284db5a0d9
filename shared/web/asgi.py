"""What the gateway and the worker both do with a raw ASGI request: its head and its body, within bounds."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sized
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any, ParamSpec, TypeVar

from shared.core.errors import BodyTimeout, HeadersTooLarge, InvalidRequest, PayloadTooLarge

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
RawHeaders = list[tuple[bytes, bytes]]
"""As they go over the wire; names in lower case."""

CLIENT_CLOSED_REQUEST = 499
"""What the metrics count when the caller left before the answer began (nginx's number)."""
SAID_ONCE = frozenset({b"authorization", b"content-type", b"host", b"idempotency-key", b"x-api-key", b"x-omni-caller"})
"""Headers of which a proxy in front might believe the first line and this process the last."""
LARGE_BYTES = 256 * 1024
"""A body of more is looked into beside the event loop, which has others to serve, ..."""
SIMPLE_BYTES = 8 * 1024
MOST_MARKS = 4096
"""... and so is one with more commas and brackets, unless it is short."""
THREADS = 2
"""For all bodies together: each takes its turns from the event loop."""

P = ParamSpec("P")
T = TypeVar("T")


class CallerLeft(Exception):
    """The caller closed the connection."""


def check_head(path: str, query: bytes, headers: Iterable[tuple[Sized, Sized]], most: int) -> None:
    """HeadersTooLarge when path, query and headers have more than `most` bytes together."""
    size = len(path) + len(query)
    for name, value in headers:
        size += len(name) + len(value)
    if size > most:
        raise HeadersTooLarge(f"The request head may have {most} bytes at most.")


def refuse_ambiguity(lines: Iterable[tuple[bytes, bytes]]) -> None:
    """InvalidRequest when a header that says who asks, or for what, stands there more than once."""
    seen = set()
    for name, _ in lines:
        if name in SAID_ONCE and name in seen:
            raise InvalidRequest(
                f"The header '{name.decode()}' was sent more than once.", param=name.decode(), code="duplicate_header"
            )
        seen.add(name)


async def read_body(receive: Receive, declared: bytes, most: int, within_s: float) -> bytes:
    """The whole body, whose `content-length` is `declared`. PayloadTooLarge, BodyTimeout, or CallerLeft when the caller
    hangs up half-way."""
    require_size(declared, most)
    try:
        async with asyncio.timeout(within_s):
            return await _collected(receive, most)
    except TimeoutError:
        raise BodyTimeout(f"The body did not arrive within {within_s:g} s.") from None


def require_size(declared: bytes, most: int) -> None:
    """PayloadTooLarge when the announced length is more than `most`, or no length."""
    declared = declared.strip(b" \t")  # the parser leaves what may stand behind a header's value
    require_at_most(int(declared) if declared.isdigit() else most + 1, most)


def require_at_most(size: int, most: int) -> None:
    if size > most:
        raise PayloadTooLarge(f"The body may have {most} bytes at most.")


async def look_into(body: bytes | bytearray, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The work's result; it is done in a thread when the body it looks into is large or holds much."""
    if is_quick(body):
        return work(*args, **kwargs)
    run = partial(contextvars.copy_context().run, work, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(_threads(), run)


def is_quick(body: bytes | bytearray) -> bool:
    """Whether looking into a body holds up the event loop for no more than a moment."""
    if len(body) <= SIMPLE_BYTES:
        return True
    return len(body) <= LARGE_BYTES and body.count(b",") + body.count(b"[") + body.count(b"{") <= MOST_MARKS


@cache
def _threads() -> ThreadPoolExecutor:
    """Made on first use: the functions' server forks after the application is built."""
    return ThreadPoolExecutor(THREADS, "bodies")


async def _collected(receive: Receive, most: int) -> bytes:
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise CallerLeft
        part = message.get("body", b"")
        size += len(part)
        require_at_most(size, most)
        parts.append(part)
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)
