"""Keeps a stream's connection alive through every silence: a GPU may be starting, a model may think, and proxies cut
connections on which nothing comes.

A stream whose upstream has not answered within 10 s gets its head (200) and a comment then, and a comment after each
10 s of silence. From there on an error can only be an event.
"""

import asyncio
from types import TracebackType

from functions.gateway.exchange import Exchange
from functions.gateway.relay import STREAM_HEADERS

COMMENT = b": keep-alive\n\n"


class KeepAlive:
    def __init__(self, exchange: Exchange, every_s: float) -> None:
        self._exchange = exchange
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._heard_at = 0.0

    def __enter__(self) -> "KeepAlive":
        self._loop = asyncio.get_running_loop()
        self.heard()
        self._timer = self._loop.call_later(self._every_s, self._look)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def heard(self) -> None:
        """Something goes to the caller."""
        self._heard_at = self._loop.time()

    def stop(self) -> None:
        """The answer has come."""
        if self._timer:
            self._timer.cancel()
        if self._task:
            self._task.cancel()

    def _look(self) -> None:
        silent_s = self._loop.time() - self._heard_at
        if silent_s >= self._every_s and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._comment())
            silent_s = 0.0
        self._timer = self._loop.call_later(max(0.01, self._every_s - silent_s), self._look)

    async def _comment(self) -> None:
        self.heard()
        if not self._exchange.status:
            await self._exchange.begin(200, STREAM_HEADERS)
        await self._exchange.write(COMMENT, more=True)
