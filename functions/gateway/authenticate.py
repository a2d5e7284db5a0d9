"""Who is asking. Nothing is counted against a caller before this has succeeded."""

import asyncio

from functions.gateway.exchange import Exchange
from functions.gateway.revocation import RunningRequests
from functions.gateway.stage import Stage, Wait
from shared.catalogue import no_such_model
from shared.core.addresses import Address, client_address
from shared.core.errors import InvalidRequest, OmniError, Unauthenticated, Unavailable
from shared.core.fair_gate import FairThreads
from shared.core.keys import Caller
from shared.keys.authentication import Authenticator, presented_key, require_network, require_scope
from shared.limits.guesses import Guesses

WAIT_S = 5.0
"""How long a request waits for the store or the secrets' source to tell of its key."""
THREADS = 4
"""Of its own: a store that hangs must not keep other work from the event loop's threads."""


class Authenticate(Stage):
    def __init__(self, authenticator: Authenticator, guesses: Guesses, trusted_proxies: int) -> None:
        self._authenticator = authenticator
        self._guesses = guesses
        self._trusted_proxies = trusted_proxies
        self._threads = FairThreads(THREADS, "authenticate")
        self._asking: dict[str, asyncio.Future[Caller]] = {}
        self._running = RunningRequests(self._recheck)

    def enter(self, exchange: Exchange) -> Wait | None:
        if exchange.route is None or exchange.route.scope is None:
            return None
        try:
            key = presented_key(exchange.header(b"authorization"), exchange.header(b"x-api-key"))
            caller = self._authenticator.remembered(key)
        except Unauthenticated as refusal:
            raise self._guesses.answer(refusal, self._address(exchange)) from None
        if caller is None:
            return Wait(self._identify(exchange, key))
        self._admit(exchange, caller)
        return None

    def leave(self, exchange: Exchange) -> None:
        self._running.end(exchange)

    async def _identify(self, exchange: Exchange, key: str) -> None:
        try:
            caller = await self._asked(key, str(self._address(exchange)))
        except Unauthenticated as refusal:
            raise self._guesses.answer(refusal, self._address(exchange)) from None
        self._admit(exchange, caller)

    async def caller_of(self, exchange: Exchange) -> Caller | None:
        """Who sends a request that needs no key; None when it has no valid one, or that cannot be found out now."""
        try:
            key = presented_key(exchange.header(b"authorization"), exchange.header(b"x-api-key"))
            return self._authenticator.remembered(key) or await self._asked(key, str(self._address(exchange)))
        except OmniError:
            return None

    def count_without_key(self, exchange: Exchange, refusal: InvalidRequest) -> None:
        """Counts a refused request against its address; RateLimited when there were too many."""
        answer = self._guesses.answer(refusal, self._address(exchange))
        if answer is not refusal:
            raise answer

    def _admit(self, exchange: Exchange, caller: Caller) -> None:
        exchange.caller = caller
        self._require_access(exchange, caller)
        self._running.begin(exchange)

    def _require_access(self, exchange: Exchange, caller: Caller) -> None:
        require_network(caller, lambda: self._address(exchange))
        require_scope(caller, exchange.route.scope if exchange.route else None)

    def _recheck(self, exchange: Exchange) -> OmniError | None:
        """Why a request that was let in would be refused now."""
        key = presented_key(exchange.header(b"authorization"), exchange.header(b"x-api-key"))
        try:
            caller = self._authenticator.remembered(key)
            if caller is None:  # what is known is too old: it is looked up, and the answer is there at the next look
                self._look_up(key, "")
            elif caller is not exchange.caller:
                self._require_access(exchange, caller)
                if exchange.model and not caller.may_use(exchange.model):
                    return no_such_model(exchange.model)
        except Unauthenticated:
            return Unauthenticated("The API key of this request is not valid any more.")
        except OmniError as refusal:
            return refusal
        return None

    async def _asked(self, key: str, whose: str) -> Caller:
        """What only the store can tell, or a source of secrets, and those block. Requests with one key ask once.
        Whoever knows no tenant yet has the share of `whose` address it comes from."""
        asking = self._look_up(key, whose)
        done, _ = await asyncio.wait({asking}, timeout=WAIT_S)
        if not done:
            raise Unavailable("Keys cannot be checked at the moment.", retry_after_s=1)
        return asking.result()

    def _look_up(self, key: str, whose: str) -> "asyncio.Future[Caller]":
        asking = self._asking.get(key)
        if asking is None:
            looking = self._threads.run(whose, self._authenticator.authenticate, key)
            asking = self._asking[key] = asyncio.ensure_future(looking)
            asking.add_done_callback(lambda done: self._answered(key, done))
        return asking

    def _answered(self, key: str, asking: "asyncio.Future[Caller]") -> None:
        del self._asking[key]
        if not asking.cancelled():
            asking.exception()  # seen, even if everybody has left

    def _address(self, exchange: Exchange) -> Address | None:
        return client_address(exchange.peer, exchange.header_lines(b"x-forwarded-for"), self._trusted_proxies)
