"""Stops the work for a caller who has left, so that no model goes on for nobody."""

import asyncio
from types import TracebackType

from functions.gateway.exchange import Exchange
from shared.web.asgi import CallerLeft

WATCH_AFTER_S = 0.25
"""Most requests are answered before; only longer ones pay for a second task."""


class CallerWatch:
    """Cancels what runs inside, and raises CallerLeft, when the connection closes. The body must have been read."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._worker: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._caller_left = False

    def __enter__(self) -> None:
        self._worker = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER_S, self._start)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if self._watch:
            self._watch.cancel()
        if self._caller_left and self._worker and kind is asyncio.CancelledError:
            self._worker.uncancel()
            raise CallerLeft from None

    def _start(self) -> None:
        self._watch = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while (await self._exchange.receive())["type"] != "http.disconnect":
            pass
        self._caller_left = True
        if self._worker:
            self._worker.cancel()
