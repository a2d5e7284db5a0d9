"""Keeps the caller's rate limit and tells it where it stands, whatever the answer."""

from functions.gateway.exchange import Exchange
from functions.gateway.stage import Handler
from shared import admission
from shared.ports.limiter import Limiter


class Admit:
    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter

    async def __call__(self, exchange: Exchange, proceed: Handler) -> None:
        if exchange.caller:
            grant = admission.admit(self._limiter, exchange.caller)
            exchange.reply_headers += admission.limit_headers(grant)
            if not grant.granted:
                raise admission.refusal(grant)
        await proceed(exchange)
