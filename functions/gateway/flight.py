"""An answer being made for one request, and given to every other request that asks the same meanwhile.

The first request's own run makes it. When its caller leaves, the run goes on for as long as somebody else waits.
"""

import asyncio
from collections.abc import Callable

from functions.gateway.exchange import Exchange
from functions.gateway.recording import Recording
from functions.gateway.watch import CallerWatch
from shared.core import problem
from shared.core.errors import OmniError, UpstreamFailed
from shared.web.asgi import Message

PATIENCE_S = 10.0
"""How long those who wait are held up by a first caller who does not read what it asked for."""


class Flight:
    """Stands between the first request's exchange and its connection, from its making until `end`."""

    def __init__(self, exchange: Exchange, close: Callable[["Flight"], None], patience_s: float = PATIENCE_S) -> None:
        self.recording = Recording()
        self.age_s = 0.0
        """How old the answer was when the flight found it."""
        self._exchange = exchange
        self._send, self._receive = exchange.send, exchange.receive
        exchange.send, exchange.receive, exchange.stop = self._share, self._hear, self._stop
        self._close = close
        self._patience_s = patience_s
        self._caller_left = False
        self._followers = 0
        self._left_alone = asyncio.Event()
        self._news = asyncio.Event()
        self._ended = False
        self._ending: asyncio.Task[None] | None = None
        self._error: OmniError | None = None

    async def follow(self, exchange: Exchange, note_hit: Callable[[Exchange, float], None]) -> bool:
        """Gives the answer to another caller, parts of a stream as they come; raises what it failed with.

        False, with nothing sent, when there is no answer to wait for any more.
        """
        self._followers += 1
        try:
            with CallerWatch(exchange):
                return await self._relay(exchange, note_hit)
        finally:
            self._followers -= 1
            if not self._followers:
                self._left_alone.set()

    def fail(self, error: OmniError) -> None:
        self._error = error

    def end(self) -> None:
        """Lets go of the first request's connection. May be called again."""
        if not self._ended:
            self._exchange.send, self._exchange.receive = self._send, self._receive
            self._exchange.stop = None
            self._ended = True
            self._tell()

    async def _share(self, message: Message) -> None:
        self.recording.take(message)
        if self.recording.is_too_large:
            self._close(self)
        self._tell()
        if self._caller_left:
            return
        if self.recording.is_stream:
            await self._send_unless_stuck(message)
        else:
            await self._send(message)

    async def _send_unless_stuck(self, message: Message) -> None:
        """The caller may read as slowly as it likes, unless others wait for the answer."""
        sending = asyncio.ensure_future(self._send(message))
        try:
            while not (await asyncio.wait({sending}, timeout=self._patience_s))[0]:
                if self._followers:
                    self._caller_left = True
                    return
            sending.result()
        finally:
            sending.cancel()

    async def _hear(self) -> Message:
        """The caller's next message; that it has left only once nobody else waits for the answer."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._caller_left = True
            while self._followers:
                self._left_alone.clear()
                await self._left_alone.wait()
            self._close(self)
        return message

    def _stop(self, refusal: OmniError) -> bool:
        """Lets the run go on for others when its own caller may have no more of it; False when there are none."""
        exchange = self._exchange
        if not self._followers or (exchange.status and not exchange.answers_with_events):
            return False
        if not self._caller_left:
            self._caller_left = True
            self._ending = asyncio.create_task(self._send_last(refusal))
        return True

    async def _send_last(self, refusal: OmniError) -> None:
        """Ends the first caller's answer, as errors end answers."""
        exchange = self._exchange
        body = problem.body(refusal, exchange.request_id)
        if exchange.status:
            body = b"data: " + body + b"\n\n"
        else:
            headers = [(b"content-type", b"application/json"), *exchange.reply_headers]
            await self._send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

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
