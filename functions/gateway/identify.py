"""Finds the route, and refuses a request head that is too large or ambiguous before anything else looks at it."""

import re

from functions.gateway.exchange import Exchange
from functions.gateway.stage import Stage
from shared.manifest import Router
from shared.web.asgi import check_head, refuse_ambiguity

TRACEPARENT = re.compile(rb"[0-9a-f]{2}(-[0-9a-f]{2,32}){3}")


class Identify(Stage):
    def __init__(self, router: Router, max_header_bytes: int) -> None:
        self._router = router
        self._max_header_bytes = max_header_bytes

    def enter(self, exchange: Exchange) -> None:
        if b"traceparent" in exchange.headers and not TRACEPARENT.fullmatch(exchange.headers[b"traceparent"]):
            del exchange.headers[b"traceparent"]
        check_head(exchange.path, exchange.query, exchange.raw_headers, self._max_header_bytes)
        if len(exchange.headers) != len(exchange.raw_headers):
            refuse_ambiguity(exchange.raw_headers)
        exchange.route, _ = self._router.find(exchange.method, exchange.path)
