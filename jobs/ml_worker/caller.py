"""The caller's end of a connection: its body, within bounds of size and time, and whether it is still there."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive

from shared.core.errors import BodyTimeout, HeadersTooLarge, PayloadTooLarge
from shared.settings import Settings

T = TypeVar("T")


def check_head(request: Request, most: int) -> None:
    """HeadersTooLarge when path, query and headers have more than `most` bytes together."""
    scope = request.scope
    size = len(scope["path"]) + len(scope["query_string"])
    if size + sum(len(name) + len(value) for name, value in scope["headers"]) > most:
        raise HeadersTooLarge(f"The request head may have {most} bytes at most.")


def headers(request: Request) -> dict[str, str]:
    """By name in lower case; lines of one name are joined by commas, in their order."""
    return {name: ", ".join(request.headers.getlist(name)) for name in request.headers}


async def body(request: Request, settings: Settings) -> bytes:
    """The whole body; PayloadTooLarge, BodyTimeout, or ClientDisconnect when the caller hangs up half-way."""
    most = settings.max_body_bytes
    declared = request.headers.get("content-length", "0")
    if not declared.isdigit() or int(declared) > most:
        raise PayloadTooLarge(f"The body may have {most} bytes at most.")
    try:
        async with asyncio.timeout(settings.body_timeout_s):
            return await _collected(request, most)
    except TimeoutError:
        raise BodyTimeout(f"The body did not arrive within {settings.body_timeout_s:g} s.") from None


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The work's result; when the connection closes first the work is cancelled and ClientDisconnect raised.

    The body must have been read.
    """
    working, leaving = asyncio.create_task(work), asyncio.create_task(_disconnect(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _collected(request: Request, most: int) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise PayloadTooLarge(f"The body may have {most} bytes at most.")
        parts.append(part)
    return b"".join(parts)


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
