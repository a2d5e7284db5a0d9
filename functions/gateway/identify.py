"""Finds the route, and refuses a request head that is too large before anything else looks at it."""

from functions.gateway.exchange import Exchange
from functions.gateway.stage import Handler
from shared.core.errors import HeadersTooLarge
from shared.manifest import Router


class Identify:
    def __init__(self, router: Router, max_header_bytes: int) -> None:
        self._router = router
        self._max_header_bytes = max_header_bytes

    async def __call__(self, exchange: Exchange, proceed: Handler) -> None:
        size = len(exchange.path) + len(exchange.query)
        for name, value in exchange.raw_headers:
            size += len(name) + len(value)
        if size > self._max_header_bytes:
            raise HeadersTooLarge(f"The request head may have {self._max_header_bytes} bytes at most.")
        exchange.route, exchange.params = self._router.find(exchange.method, exchange.path)
        await proceed(exchange)
