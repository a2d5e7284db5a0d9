"""The caller's end of a connection: what it says of itself, and whether it is still there."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request

from shared.web.asgi import CallerLeft, Receive

T = TypeVar("T")


def headers(request: Request) -> dict[str, str]:
    """By name in lower case; lines of one name are joined by commas, in their order."""
    return {name: ", ".join(request.headers.getlist(name)) for name in request.headers}


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The work's result; when the connection closes first the work is cancelled and CallerLeft raised.

    The body must have been read.
    """
    working, leaving = asyncio.create_task(work), asyncio.create_task(_disconnect(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise CallerLeft
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
