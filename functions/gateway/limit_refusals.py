"""Counts the requests that are refused before anything else has counted them: what is not here, or not for this key.

A valid key's count as its requests; all others as those without a valid key, by address.
"""

from functions.gateway.admit import Admit
from functions.gateway.authenticate import Authenticate
from functions.gateway.exchange import Exchange
from functions.gateway.stage import Stage, Wait
from shared.core.errors import InvalidRequest, MethodNotAllowed, NotFound, RateLimited, Unauthenticated


class LimitRefusals(Stage):
    def __init__(self, authenticate: Authenticate, admit: Admit) -> None:
        self._authenticate = authenticate
        self._admit = admit

    def leave(self, exchange: Exchange) -> Wait | None:
        refusal = exchange.error
        if not isinstance(refusal, InvalidRequest) or isinstance(refusal, Unauthenticated):
            return None  # the latter has been counted
        return Wait(self._refuse(exchange, refusal)) if exchange.ticket is None else None

    async def _refuse(self, exchange: Exchange, refusal: InvalidRequest) -> None:
        try:
            await self._count(exchange, refusal)
        except RateLimited as too_many:
            exchange.error = too_many

    async def _count(self, exchange: Exchange, refusal: InvalidRequest) -> None:
        """RateLimited once there were too many."""
        caller = exchange.caller
        if caller is None and isinstance(refusal, NotFound | MethodNotAllowed):  # else its head cannot be believed
            caller = await self._authenticate.caller_of(exchange)
        if caller:
            await self._admit.count_refusal(exchange, caller)
        else:
            self._authenticate.count_without_key(exchange, refusal)
