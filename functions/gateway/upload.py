"""A body that is passed on while it arrives."""

import asyncio
from collections.abc import AsyncIterator

from functions.gateway.exchange import Exchange
from shared.core.errors import BodyTimeout, OmniError
from shared.settings import Settings
from shared.web.asgi import CallerLeft, Message, require_at_most, require_size


class Upload:
    """A body on its way to a function, part by part, within the route's bounds of size and time."""

    def __init__(self, exchange: Exchange, settings: Settings, most: int, most_s: float) -> None:
        """PayloadTooLarge when the caller announces more than `most` bytes."""
        require_size(exchange.declared_length, most)
        self.refusal: OmniError | CallerLeft | None = None
        """Why the body ended early; whoever sends it on sees only that it did."""
        self._exchange = exchange
        self._most = most
        self._most_s = most_s
        self._silence_s = settings.body_timeout_s

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size, more = 0, True
        end = asyncio.get_running_loop().time() + self._most_s
        while more:
            try:
                message = await self._message(end)
                part = message.get("body", b"")
                size += len(part)
                require_at_most(size, self._most)
            except (OmniError, CallerLeft) as error:
                self.refusal = error
                raise
            more = message.get("more_body", False)
            if part:
                yield part

    async def _message(self, end: float) -> Message:
        left_s = end - asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(min(self._silence_s, left_s)):
                message = await self._exchange.receive()
        except TimeoutError:
            if left_s < self._silence_s:
                raise BodyTimeout(f"The body did not arrive within {self._most_s:g} s.") from None
            raise BodyTimeout(f"No part of the body came for {self._silence_s:g} s.") from None
        if message["type"] == "http.disconnect":
            raise CallerLeft
        return message
