"""Receives the body, and decodes what the gateway must know of it; an upload is passed on while it arrives."""

from functions.gateway import body
from functions.gateway.exchange import Exchange
from functions.gateway.replay import HEADER as IDEMPOTENCY_KEY
from functions.gateway.stage import Stage, Wait
from shared.settings import Settings
from shared.web.asgi import is_quick, require_at_most


class ReceiveBody(Stage):
    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def enter(self, exchange: Exchange) -> Wait | None:
        route, content = exchange.route, exchange.content
        if route is None or exchange.caller is None or route.kind == "system":
            return None
        if content is None:
            is_passed_on = route.upload and not (exchange.method == "POST" and IDEMPOTENCY_KEY in exchange.headers)
            return None if is_passed_on else Wait(self._receive(exchange))
        require_at_most(len(content), route.max_body_bytes or self._settings.max_body_bytes)
        if not is_quick(content):
            return Wait(self._receive(exchange))
        if route.kind == "inference":
            exchange.asked = body.inference(content, self._settings.max_json_depth)
        return None

    async def _receive(self, exchange: Exchange) -> None:
        await body.read(exchange, self._settings)
        if exchange.route and exchange.route.kind == "inference":
            await body.asked(exchange, self._settings)
