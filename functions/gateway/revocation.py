"""Ends requests that are under way when their key would not let them in any more: it was revoked, rotated away or has
expired, or lost the scope, the model or the address that they need.

Each request that runs is looked at again four times a second, in memory alone: that learns of changed keys by itself
(shared/keys/memory.py). So a request ends within OMNI_KEY_CACHE_S and this pause of the change, 5 s in all.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType

from functions.gateway.exchange import Exchange
from functions.gateway.relay import CutOff
from shared.core.errors import OmniError
from shared.web.asgi import CallerLeft

LOOK_EACH_S = 0.25

Recheck = Callable[[Exchange], OmniError | None]
"""Why the request would be refused now; None when it would not, or when that cannot be told at the moment."""


class RunningRequests:
    def __init__(self, recheck: Recheck) -> None:
        self._recheck = recheck
        self._running: set[Admission] = set()
        self._next_look: asyncio.TimerHandle | None = None

    def admitted(self, exchange: Exchange) -> "Admission":
        """For a request that was let in: a context for all that is done for it."""
        return Admission(exchange, self)

    def begin(self, admission: "Admission") -> None:
        self._running.add(admission)
        if self._next_look is None:
            self._next_look = asyncio.get_running_loop().call_later(LOOK_EACH_S, self._look)

    def end(self, admission: "Admission") -> None:
        self._running.discard(admission)

    def _look(self) -> None:
        self._next_look = None
        for admission in self._running:
            if refusal := admission.refusal or self._recheck(admission.exchange):
                admission.withdraw(refusal)
        if self._running:
            self._next_look = asyncio.get_running_loop().call_later(LOOK_EACH_S, self._look)


class Admission:
    """Cancels what runs inside, and raises the refusal, when the request's admission is withdrawn."""

    __slots__ = ("_is_cancelled", "_requests", "_task", "_was_stopped", "exchange", "refusal")

    def __init__(self, exchange: Exchange, requests: RunningRequests) -> None:
        self.exchange = exchange
        self.refusal: OmniError | None = None
        self._requests = requests
        self._task = asyncio.current_task()
        self._was_stopped = False
        self._is_cancelled = False

    def withdraw(self, refusal: OmniError) -> None:
        """May be called again: what is done for others too is cancelled once they have left."""
        self.refusal = refusal
        if self.exchange.stop and self.exchange.stop(refusal):
            self._was_stopped = True
        elif self._task and not self._is_cancelled:
            self._is_cancelled = self._task.cancel()

    def __enter__(self) -> None:
        self._requests.begin(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._requests.end(self)
        if self.refusal is None or self._task is None or not self._is_cancelled:
            return
        self._task.uncancel()
        if kind is asyncio.CancelledError:
            if self._was_stopped:
                raise CallerLeft from None
            if self.exchange.status and not self.exchange.answers_with_events:  # nothing can be added to such an answer
                raise CutOff(self.refusal.message) from None
            raise self.refusal from None
