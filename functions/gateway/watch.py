"""Stops the work for a caller who has left, so that no model goes on for nobody."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from functions.gateway.body import CallerLeft
from functions.gateway.exchange import Exchange

WATCH_AFTER_S = 0.25
"""Most requests are answered before; only longer ones pay for a second task."""


@asynccontextmanager
async def watching_caller(exchange: Exchange) -> AsyncIterator[None]:
    """Cancels what runs inside, and raises CallerLeft, when the connection closes. The body must have been read."""
    watch = CallerWatch(exchange)
    timer = asyncio.get_running_loop().call_later(WATCH_AFTER_S, watch.start)
    try:
        yield
    except asyncio.CancelledError:
        if not watch.caller_left:
            raise
        watch.worker.uncancel()
        raise CallerLeft from None
    finally:
        timer.cancel()
        watch.stop()


class CallerWatch:
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._task: asyncio.Task[None] | None = None
        self.caller_left = False
        worker = asyncio.current_task()
        if worker is None:
            raise RuntimeError("a caller is watched from within a task")
        self.worker = worker

    def start(self) -> None:
        self._task = asyncio.create_task(self._watch())

    def stop(self) -> None:
        if self._task:
            self._task.cancel()

    async def _watch(self) -> None:
        while (await self._exchange.receive())["type"] != "http.disconnect":
            pass
        self.caller_left = True
        self.worker.cancel()
