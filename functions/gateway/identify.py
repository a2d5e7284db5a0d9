"""Finds the route, and refuses a request head that is too large before anything else looks at it."""

from functions.gateway.exchange import Exchange
from functions.gateway.stage import Handler
from shared.manifest import Router
from shared.web.asgi import check_head


class Identify:
    def __init__(self, router: Router, max_header_bytes: int) -> None:
        self._router = router
        self._max_header_bytes = max_header_bytes

    async def __call__(self, exchange: Exchange, proceed: Handler) -> None:
        check_head(exchange.scope, self._max_header_bytes)
        exchange.route, _ = self._router.find(exchange.method, exchange.path)
        await proceed(exchange)
