"""An answer being made for one request, and given to every other request that asks the same meanwhile.

The first request's own run makes it. When its caller leaves, the run goes on for as long as somebody else waits.
"""

import asyncio
from collections.abc import Callable, Coroutine

from functions.gateway.exchange import Exchange
from functions.gateway.kept_answers import Question
from functions.gateway.recording import Recording
from shared.core.errors import OmniError, UpstreamFailed
from shared.web.asgi import RawHeaders

PATIENCE_S = 10.0
"""How long those who wait are held up by a first caller who does not read what it asked for."""


class Flight:
    """Taps the answer to the first request, from its making until `end`."""

    def __init__(
        self,
        exchange: Exchange,
        question: Question,
        close: Callable[["Flight"], None],
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.question = question
        self.has_claim = False
        """Whether other instances wait for the answer too."""
        self.recording = Recording()
        self.age_s = 0.0
        """How old the answer was when the flight found it."""
        self._exchange = exchange
        exchange.taps.insert(0, self)
        exchange.reasons_to_go_on.append(self._goes_on)
        self._close = close
        self._patience_s = patience_s
        self._followers = 0
        self._news = asyncio.Event()
        self._ended = False
        self._error: OmniError | None = None

    async def follow(self, exchange: Exchange, note_hit: Callable[[Exchange, float], None]) -> bool:
        """Gives the answer to another caller, parts of a stream as they come; raises what it failed with.

        False, with nothing sent, when there is no answer to wait for any more.
        """
        self._followers += 1
        try:
            return await self._relay(exchange, note_hit)
        finally:
            self._followers -= 1
            if not self._followers and self._exchange.writer.has_left and self._exchange.running:
                self._exchange.running.caller_left()

    def close(self) -> None:
        """No other request can join any more."""
        self._close(self)

    def fail(self, error: OmniError) -> None:
        self._error = error

    def end(self) -> None:
        """Lets go of the first request's connection. May be called again."""
        if not self._ended:
            self._exchange.taps.remove(self)
            self._ended = True
            self._tell()

    def begin(self, status: int, headers: RawHeaders) -> None:
        self.recording.begin(status, headers)
        self._tell()

    async def take(self, part: bytes, *, more: bool) -> None:
        self.recording.take(part, more=more)
        if self.recording.is_too_large:
            self.close()
        self._tell()

    async def was_read(self, sending: Coroutine[None, None, None]) -> bool:
        """Whether the first caller has read what it is sent: as slowly as it likes, unless others wait meanwhile."""
        task = asyncio.ensure_future(sending)
        try:
            while not (await asyncio.wait({task}, timeout=self._patience_s))[0]:
                if self._followers:
                    return False
            task.result()
            return True
        finally:
            task.cancel()

    @property
    def has_followers(self) -> bool:
        return self._followers > 0

    def _goes_on(self) -> bool:
        """Whether the answer is still to be made when the first caller has left; else no caller can join any more."""
        if not self._followers:
            self.close()
        return self._followers > 0

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _relay(self, exchange: Exchange, note_hit: Callable[[Exchange, float], None]) -> bool:
        sent = 0
        while True:
            news, ended = self._news, self._ended or self.recording.complete or self.recording.is_too_large
            parts = self.recording.parts[sent:] if self.recording.is_stream else []
            if parts and not exchange.status:
                note_hit(exchange, self.age_s)
                await exchange.begin(self.recording.status, self.recording.headers)
            for part in parts:
                await exchange.write(part, more=True)
            sent += len(parts)
            if ended:
                return await self._finish(exchange, note_hit)
            await news.wait()

    async def _finish(self, exchange: Exchange, note_hit: Callable[[Exchange, float], None]) -> bool:
        if self._error:
            raise self._error
        reply = self.recording.reply()
        if exchange.status:
            if reply is None:
                raise UpstreamFailed("The answer that was being shared broke off.")
            await exchange.write(b"", more=False)
        elif reply is not None:
            note_hit(exchange, self.age_s)
            await exchange.reply(reply)
        return reply is not None
