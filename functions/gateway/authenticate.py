"""Who is asking. Nothing is counted against a caller before this has succeeded."""

import asyncio

from functions.gateway.exchange import Exchange
from functions.gateway.stage import Handler
from shared.identity import Authenticator, presented_key, require_scope


class Authenticate:
    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator

    async def __call__(self, exchange: Exchange, proceed: Handler) -> None:
        if exchange.route and exchange.route.scope:
            key = presented_key(exchange.header(b"authorization"), exchange.header(b"x-api-key"))
            caller = self._authenticator.remembered(key)
            if caller is None:  # only the store can tell, and the store blocks
                caller = await asyncio.to_thread(self._authenticator.authenticate, key)
            exchange.caller = caller
            require_scope(caller, exchange.route.scope)
        await proceed(exchange)
