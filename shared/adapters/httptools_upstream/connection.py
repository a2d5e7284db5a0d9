"""One connection to an upstream, and the response that arrives on it."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from typing import cast

import httptools

from shared.adapters.httptools_upstream.coding import decoder_of
from shared.ports.upstream import AnswerTooLarge, BrokenOff, Take, TimedOut, UpstreamError

MOST_HEAD_BYTES = 64 * 1024
"""So much may also come of a body without a byte of it: trailers, and what stands beside the sizes of chunks."""
PAUSE_ABOVE_BYTES = 64 * 1024
"""So much of a stream may wait for its reader; then the upstream is not read from."""
SWITCHING_PROTOCOLS = 101
STALE_WITHIN_S = 1.0
DRAIN_WITHIN_S = 1.0
MOST_DRAINED_BYTES = 64 * 1024


class Connection(asyncio.Protocol):
    """Carries one exchange at a time, and is its response. As httptools' delegate it is told the response's parts."""

    def __init__(self, loop: asyncio.AbstractEventLoop, most_bytes: int) -> None:
        """`most_bytes` is the largest body that `read` holds."""
        self._loop = loop
        self._most_bytes = most_bytes
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        """Goes on from one exchange to the next, so that most cost none."""
        self._timer_due = 0.0
        self._is_busy = self._is_paused = False
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._sending: asyncio.Task[None] | None = None
        self.is_open = True
        self.idle_since = 0.0
        """By the event loop's clock."""
        self._expect_response()

    def _expect_response(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._head_bytes = self._unread_bytes = 0
        self._headers: dict[bytes, bytes] = {}
        self._parts: list[bytes] = []
        self._take: Take | None = None
        self._error: UpstreamError | None = None
        self._is_complete = self._may_stay = self._has_heard = False
        self.status = 0
        """0 until the response's head is complete."""

    # The exchange

    async def ask(
        self, request: bytes, timeout_s: float, *, head_only: bool = False, parts: AsyncIterable[bytes] | None = None
    ) -> None:
        """Sends a request and waits for the head of its response. `timeout_s` is the longest silence allowed.

        `parts` go after `request`, as fast as they come and the upstream takes them.
        """
        self._is_busy = True
        self._head_only = head_only
        self._timeout_s = timeout_s
        self._heard_at = self._asked_at = self._loop.time()
        if self._timer is None or self._timer_due > self._heard_at + timeout_s:
            self._set_timer(timeout_s)
        self._transport.write(request)
        if parts is not None:
            self._sending = self._loop.create_task(self._send(parts))
            self._sending.add_done_callback(self._sent)
        while not self.status:
            await self._news()

    @property
    def was_stale(self) -> bool:
        """Whether it broke at once and before a byte of a response: the upstream had closed it, and saw no request
        (RFC 9112, 9.3.1)."""
        return not self._has_heard and self._loop.time() - self._asked_at < STALE_WITHIN_S

    async def drained(self) -> bool:
        """Whether the rest of a body that nobody reads any more comes soon, so that the connection can be kept."""
        rest = 0
        try:
            async with asyncio.timeout(DRAIN_WITHIN_S):
                async for part in self.chunks():
                    rest += len(part)
                    if rest > MOST_DRAINED_BYTES:
                        break
        except (TimeoutError, UpstreamError):
            return False
        return self._is_complete

    @property
    def may_drain(self) -> bool:
        """Whether its reader took all that has come, and left before the end."""
        return self.is_open and self.status != 0 and not (self._is_complete or self._parts)

    def header(self, name: bytes) -> bytes:
        return self._headers.get(name, b"")

    async def read(self) -> bytes:
        if self._is_coded:
            return await self._read_decoded()
        announced = self.header(b"content-length")
        while not self._is_complete:
            self._require_at_most(int(announced) if announced.isdigit() else self._unread_bytes)
            self._resume()
            await self._news()
        return self._joined()

    def _joined(self) -> bytes:
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    def _forget_parts(self) -> None:
        self._parts.clear()
        self._unread_bytes = 0

    def _is_taken(self) -> bool:
        """Whether what came was taken in place of its reader, who waits."""
        if not (self._take and self._waiter and self._parts) or self._waiter.done() or self._is_complete or self._error:
            return False
        if taken := self._take(self._joined()):
            self._forget_parts()
        return taken

    def _require_at_most(self, size: int) -> None:
        if size > self._most_bytes:
            self._fail(error := AnswerTooLarge(f"more than {self._most_bytes} bytes"))
            raise error

    @property
    def _is_coded(self) -> bool:
        return self.header(b"content-encoding") not in (b"", b"identity")

    async def _read_decoded(self) -> bytes:
        pieces, size = [], 0
        async for piece in self.chunks():
            pieces.append(piece)
            size += len(piece)
            self._require_at_most(size)
        return b"".join(pieces)

    async def chunks(self, take: Take | None = None) -> AsyncIterator[bytes]:
        decoder = decoder_of(self.header(b"content-encoding")) if self._is_coded else None
        self._take = None if decoder else take
        while True:
            if self._parts:
                part = self._joined()
                self._forget_parts()
                if decoder is None:
                    yield part
                    continue
                for piece in decoder.pieces(part):
                    yield piece
                continue
            if self._is_complete:
                return
            self._resume()
            await self._news()

    def finish(self) -> bool:
        """Ends the exchange, wherever it stands; whether the connection can carry another one."""
        self._is_busy = False
        self._resume()
        if not (self.is_open and self._is_complete and self._may_stay and self._has_sent_all):
            if self._sending:
                self._sending.cancel()
            self.close()
            self._parts.clear()  # the parser and this know each other: the memory would wait for the collector
            return False
        self._expect_response()
        self.idle_since = self._loop.time()
        return True

    def close(self) -> None:
        self.is_open = False
        self._transport.abort()

    # The request's body, when it comes in parts

    async def _send(self, parts: AsyncIterable[bytes]) -> None:
        async for part in parts:
            await self._may_write.wait()
            self._heard_at = self._loop.time()
            self._transport.write(part)

    def _sent(self, sending: asyncio.Task[None]) -> None:
        if not sending.cancelled() and (error := sending.exception()):
            self._fail(BrokenOff(f"the request's body broke off: {error!r}"))

    @property
    def _has_sent_all(self) -> bool:
        return self._sending is None or self._sending.done()

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    # What the event loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if not self._is_busy or self._is_complete:
            self.close()  # nobody asked for this: whatever it is, it must not become the next answer
            return
        self._heard_at = self._loop.time()
        self._has_heard = True
        self._head_bytes += len(data)
        known = len(self._parts)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(BrokenOff(f"no HTTP response: {error!r}"))
        if len(self._parts) > known + 1:  # chunks of a few bytes take many times their size
            self._parts[known:] = [b"".join(self._parts[known:])]
        if self._head_bytes > MOST_HEAD_BYTES and not self._is_complete:
            self._fail(BrokenOff(f"the response's head or trailers are larger than {MOST_HEAD_BYTES} bytes"))
        if not self._is_taken():
            self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        if self._timer:
            self._timer.cancel()
        if self._ends_with_connection and not error:
            self._is_complete = True
        elif not self._is_complete:
            self._fail(BrokenOff(str(error or "the connection was closed")))
        self._wake()

    # What the parser tells

    def on_message_begin(self) -> None:
        if self._is_complete:
            raise ValueError("a second response")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.status:  # else a trailer
            self._headers.setdefault(name.lower(), value)

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status == SWITCHING_PROTOCOLS:
            raise ValueError("the upstream switches to another protocol")
        if status >= 200:  # else only the first of several heads: 100 Continue, 103 Early Hints
            self.status = status
            self._is_complete = self._head_only

    def on_body(self, part: bytes) -> None:
        self._head_bytes = 0
        self._parts.append(part)
        self._unread_bytes += len(part)
        if self._unread_bytes > PAUSE_ABOVE_BYTES and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        if self.status:
            self._is_complete = True
            self._may_stay = self._parser.should_keep_alive()
        else:
            self._headers.clear()

    @property
    def _ends_with_connection(self) -> bool:
        return bool(self.status) and not self._headers.keys() & {b"content-length", b"transfer-encoding"}

    # Waiting

    async def _news(self) -> None:
        """Waits until there is something to look at; raises what went wrong."""
        if self._error:
            raise self._error
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, error: UpstreamError) -> None:
        self._error = self._error or error
        self.close()
        self._wake()

    def _resume(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self._heard_at = self._loop.time()
            self._transport.resume_reading()

    def _set_timer(self, seconds: float) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self._look_at_the_clock)
        self._timer_due = self._loop.time() + seconds

    def _look_at_the_clock(self) -> None:
        self._timer = None
        if not self._is_busy:
            return
        silent_s = self._loop.time() - self._heard_at
        if self._is_paused:
            silent_s = 0.0  # it is the reader who keeps it waiting
        if silent_s >= self._timeout_s:
            self._fail(TimedOut(f"silent for {self._timeout_s:g} s"))
        else:
            self._set_timer(self._timeout_s - silent_s)
