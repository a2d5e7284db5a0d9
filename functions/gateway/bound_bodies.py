"""Bounds what the bodies of all requests hold in memory, and what those of one tenant hold of it."""

from functions.gateway.exchange import Exchange
from functions.gateway.replay import HEADER as IDEMPOTENCY_KEY
from functions.gateway.stage import Stage
from shared.core.errors import RateLimited, Unavailable
from shared.core.shared_pool import SharedPool, Shortage
from shared.settings import Settings
from shared.web.asgi import Message

SMALL_BYTES = 64 * 1024
"""Bodies that are not counted: there are no more of them than requests."""


class BoundBodies(Stage):
    def __init__(self, settings: Settings) -> None:
        self._most_bytes = settings.max_body_bytes
        self._pool = SharedPool(
            settings.max_bodies_bytes,
            max(settings.max_bodies_bytes // 2, min(self._most_bytes, settings.max_bodies_bytes)),
        )

    def enter(self, exchange: Exchange) -> None:
        declared = exchange.declared_length.strip(b" \t")
        size = min(int(declared), self._most_bytes) if declared.isdigit() else 0
        is_small = size <= SMALL_BYTES and b"transfer-encoding" not in exchange.headers
        if exchange.caller is None or is_small or _passes_through(exchange):
            return
        exchange.held_body = HeldBody(self._pool, exchange, exchange.caller.tenant)
        exchange.held_body.take(size)

    def leave(self, exchange: Exchange) -> None:
        if exchange.held_body:
            exchange.held_body.give_back()


class HeldBody:
    """Counts a body by its announced length, or as it comes."""

    def __init__(self, pool: SharedPool, exchange: Exchange, tenant: str) -> None:
        self._pool = pool
        self._tenant = tenant
        self._taken = self._received = 0
        self._receive = exchange.receive
        exchange.receive = self._counted

    def take(self, size: int) -> None:
        """RateLimited when the tenant holds too much, Unavailable when all together do."""
        shortage = self._pool.take(self._tenant, size)
        if shortage is Shortage.OF_SHARE:
            text = "Too many large bodies of this tenant are under way."
            raise RateLimited(text, code="too_many_large_bodies", retry_after_s=1)
        if shortage:
            raise Unavailable("Too many large bodies are under way.", code="too_many_large_bodies", retry_after_s=1)
        self._taken += size

    def give_back(self) -> None:
        self._pool.give_back(self._tenant, self._taken)
        self._taken = 0

    async def _counted(self) -> Message:
        message = await self._receive()
        self._received += len(message.get("body", b""))
        if self._received > self._taken:
            self.take(self._received - self._taken)
        return message


def _passes_through(exchange: Exchange) -> bool:
    """An upload is held whole only for the sake of its idempotency key."""
    return bool(exchange.route and exchange.route.upload) and IDEMPOTENCY_KEY not in exchange.headers
