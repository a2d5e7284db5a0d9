"""Keeps a stream's connection alive until its first token: a GPU may be starting, and proxies cut silent connections.

A stream whose upstream has not answered within 10 s gets its head (200) and a comment then, and a comment each 10 s
after that. From there on an error can only be an event.
"""

import asyncio
from types import TracebackType

from functions.gateway.exchange import Exchange

COMMENT = b": keep-alive\n\n"
STREAM_HEADERS = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]


class KeepAlive:
    def __init__(self, exchange: Exchange, every_s: float) -> None:
        self._exchange = exchange
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None

    def __enter__(self) -> "KeepAlive":
        self._timer = asyncio.get_running_loop().call_later(self._every_s, self._start)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """The first token is there."""
        self._timer.cancel()
        if self._task:
            self._task.cancel()

    def _start(self) -> None:
        self._task = asyncio.create_task(self._comment())

    async def _comment(self) -> None:
        if not self._exchange.status:
            await self._exchange.begin(200, STREAM_HEADERS)
        while True:
            await self._exchange.write(COMMENT, more=True)
            await asyncio.sleep(self._every_s)
