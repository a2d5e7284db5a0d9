"""Ends requests that are under way when their key would not let them in any more: it was revoked, rotated away or has
expired, or lost the scope, the model or the address that they need.

Each request that runs is looked at again four times a second, in memory alone: that learns of changed keys by itself
(shared/keys/memory.py). So a request ends within OMNI_KEY_CACHE_S and this pause of the change, 5 s in all.
"""

import asyncio
from collections.abc import Callable

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
        self._running: dict[Exchange, OmniError | None] = {}
        """And why they are to end, if they are."""
        self._next_look: asyncio.TimerHandle | None = None

    def begin(self, exchange: Exchange) -> None:
        """The request was let in."""
        self._running[exchange] = None
        if self._next_look is None:
            self._next_look = asyncio.get_running_loop().call_later(LOOK_EACH_S, self._look)

    def end(self, exchange: Exchange) -> None:
        """Nothing is done for it any more."""
        self._running.pop(exchange, None)

    def _look(self) -> None:
        self._next_look = None
        for exchange, withdrawn in list(self._running.items()):
            if refusal := withdrawn or self._recheck(exchange):
                self._running[exchange] = refusal
                _withdraw(exchange, refusal)
        if self._running:
            self._next_look = asyncio.get_running_loop().call_later(LOOK_EACH_S, self._look)


def _withdraw(exchange: Exchange, refusal: OmniError) -> None:
    """May be called again: what is done for others too ends once they have left."""
    has_begun_otherwise = exchange.status and not exchange.answers_with_events  # nothing can be added to such an answer
    if exchange.is_shared and not has_begun_otherwise:
        exchange.end_for_its_caller(refusal)
    elif exchange.is_muted:
        exchange.stop(CallerLeft())
    else:
        exchange.stop(CutOff(refusal.message) if has_begun_otherwise else refusal)
