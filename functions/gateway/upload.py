"""A body that is passed on while it arrives."""

import asyncio
from collections.abc import AsyncIterator

from functions.gateway.exchange import Exchange
from functions.gateway.transfer_rate import TooSlow, TransferRate
from shared.core.errors import BodyTimeout, OmniError
from shared.settings import Settings
from shared.web.asgi import CallerLeft, Message, require_at_most, require_size

RATE_WINDOW_S = 10.0


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
        self._least_rate = settings.min_transfer_rate
        self._rate = TransferRate(settings.min_transfer_rate, RATE_WINDOW_S, asyncio.get_running_loop().time)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size, more = 0, True
        end = asyncio.get_running_loop().time() + self._most_s
        while more:
            try:
                message = await self._message(end)
                part = message.get("body", b"")
                size += len(part)
                require_at_most(size, self._most)
                self._count(len(part))
            except (OmniError, CallerLeft) as error:
                self.refusal = error
                raise
            more = message.get("more_body", False)
            if part:
                yield part

    def _count(self, size: int) -> None:
        try:
            self._rate.moved(size)
        except TooSlow:
            raise self._too_slow() from None

    def _too_slow(self) -> BodyTimeout:
        return BodyTimeout(
            f"The body came more slowly than {self._least_rate} bytes a second for {RATE_WINDOW_S:g} s "
            "(OMNI_MIN_TRANSFER_RATE).",
            code="body_too_slow",
        )

    async def _message(self, end: float) -> Message:
        async def receive() -> Message:
            return await self._exchange.receive()

        left_s = end - asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(min(self._silence_s, left_s)):
                message = await self._rate.wait_for(receive())
        except TooSlow:
            raise self._too_slow() from None
        except TimeoutError:
            if left_s < self._silence_s:
                raise BodyTimeout(f"The body did not arrive within {self._most_s:g} s.") from None
            raise BodyTimeout(f"No part of the body came for {self._silence_s:g} s.") from None
        if message["type"] == "http.disconnect":
            raise CallerLeft
        return message
