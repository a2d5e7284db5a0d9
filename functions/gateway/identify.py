"""Finds the route, and refuses a request head that is too large or ambiguous before anything else looks at it."""

import re

from functions.gateway.exchange import Exchange
from functions.gateway.stage import Handler
from shared.manifest import Router
from shared.web.asgi import check_head, refuse_ambiguity

TRACEPARENT = re.compile(rb"[0-9a-f]{2}(-[0-9a-f]{2,32}){3}")


class Identify:
    def __init__(self, router: Router, max_header_bytes: int) -> None:
        self._router = router
        self._max_header_bytes = max_header_bytes

    async def __call__(self, exchange: Exchange, proceed: Handler) -> None:
        if not TRACEPARENT.fullmatch(exchange.headers.get(b"traceparent", b"")):
            exchange.headers.pop(b"traceparent", None)
        check_head(exchange.scope, self._max_header_bytes)
        if len(exchange.headers) != len(exchange.raw_headers):
            refuse_ambiguity(exchange.raw_headers)
        exchange.route, _ = self._router.find(exchange.method, exchange.path)
        await proceed(exchange)
