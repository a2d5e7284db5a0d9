"""A caller's connection: requests are read from it, and answered one after the other in their order.

A single timer looks after it, so that thousands that never mean to get a request across cannot use up what the process
may open; a request costs no timer. Trailers are dropped: nobody has looked at them. Other protocols are declined, and
the request is answered.
"""

import asyncio
from collections import deque
from math import inf
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl
from uvicorn.server import ServerState

from shared.core.errors import HeadersTooLarge, InvalidRequest, OmniError
from shared.web.asgi import Message, RawHeaders
from shared.web.http1.answering import Answering, refusal
from shared.web.http1.bounds import LINGER_S, BoundedConnection, too_many_connections
from shared.web.http1.reading import Place, RequestReader
from shared.web.request_head import RequestHead

MOST_HEAD_BYTES = 256 * 1024
"""More than the gateway lets pass: those between are answered by it, in the one error shape. So much may also come of a
body without a byte of it: trailers, and what stands beside the sizes of chunks."""
MOST_WAITING = 1
"""Requests that came before the answer to an earlier one. Who sends more is not read from, so is not seen to leave."""
ASGI = {"version": "3.0", "spec_version": "2.3"}
HELD_S = 0.1
"""A short body is waited for so long before its request is handled; then whoever handles it waits, within bounds."""


class HttpConnection(BoundedConnection):
    """uvicorn's server makes it, and shuts it down."""

    holds_requests = False
    """Whether a request is handled only once it is whole, if its body is short."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        if not config.loaded:
            config.load()
        self._application = config.loaded_app
        self._idle_s = config.timeout_keep_alive
        self._server = server_state
        self._state = app_state
        self._loop = _loop or asyncio.get_running_loop()
        self._reader = RequestReader(self)
        self._reading: Answering | None = None
        """The request that is arriving, once its head is there."""
        self._current: Answering | None = None
        """The one that is being answered, ..."""
        self._waiting: deque[Answering] = deque()
        """... and those that came meanwhile."""
        self._unstarted: Answering | None = None
        """The current one while its handling has not begun, ..."""
        self._held: Answering | None = None
        """... because the rest of its body is about to come."""
        self._last_words = b""
        """Said when all before it is answered: what came then was no request."""
        self._due = inf
        """When the connection has failed to get on, by the loop's clock."""
        self._is_paused = False
        self.drained: asyncio.Event | None = None
        """While the caller reads more slowly than it is sent to, ..."""
        self._unread_due = inf
        """... and when it has read too slowly."""
        self._is_counted = False

    # What the event loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._server.connections.add(cast(Any, self))
        self._client, self._local = get_remote_addr(self._transport), get_local_addr(self._transport)
        self._peer = self._client[0] if self._client else ""
        self._due = self._loop.time() + self.bounds.head_s
        self._look_at_the_clock()
        self._is_counted = self.take_place(self._transport, self._client)
        if not self._is_counted:
            self.write(refusal(too_many_connections()))
            self._close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._server.connections.discard(cast(Any, self))
        self._timer.cancel()
        self._waiting.clear()
        self._unstarted = None
        if self._is_counted:
            self.peers.leave(self._client)
        if self._current:
            self._current.leave()
        self.resume_writing()

    def data_received(self, data: bytes) -> None:
        if self._last_words:
            self._reader.head_bytes += len(data)
            if self._reader.head_bytes > 4 * MOST_HEAD_BYTES:
                self._close()
            return
        try:
            self._reader.feed(data)
        except InvalidRequest as error:
            self._refuse(error)
        if self._unstarted:
            self._start_if_due(self._unstarted)
        too_long = self._reader.head_bytes > MOST_HEAD_BYTES and (self._reader.in_head or self._reading)
        if too_long and not self._last_words:
            self._refuse(HeadersTooLarge(f"Head and trailers may have {MOST_HEAD_BYTES} bytes each at most."))

    def pause_writing(self) -> None:
        self.drained = self.drained or asyncio.Event()
        self._unread_due = self._loop.time() + self.bounds.unread_s

    def resume_writing(self) -> None:
        self._unread_due = inf
        if self.drained:
            self.drained.set()
            self.drained = None
        if self._unstarted:
            self._start(self._unstarted)

    def shutdown(self) -> None:
        """The server is about to stop: what is under way is answered, and nothing after it."""
        if self._current:
            self._current.keep_alive = False
        else:
            self._close()

    # What the reader tells

    def request_begins(self) -> None:
        self._due = inf if self._current else self._loop.time() + self.bounds.head_s

    def head_is_read(self, place: Place, method: str, version: str, *, stays: bool) -> None:
        reader, self._due = self._reader, inf
        path, raw_path, query = place
        self._reading = Answering(
            self,
            RequestHead(method, path, query, reader.headers, self._peer),
            raw_path,
            version,
            keep_alive=stays and version == "1.1",
            expects_continue=version == "1.1" and reader.expects_continue,
            is_short=reader.has_short_body,
        )
        if self._current:
            self._waiting.append(self._reading)
            if len(self._waiting) > MOST_WAITING:
                self.pause_reading()
        else:
            self._current = self._unstarted = self._reading
            if not self.holds_requests:
                self._start(self._reading)

    def body_is_read(self, part: bytes) -> None:
        self._reader.head_bytes = 0
        if self._reading:
            self._reading.feed(part)

    def request_is_read(self) -> None:
        if self._reading:
            self._reading.end()
            self._reading = None
            if self._current is None:
                self._due = self._loop.time() + self._idle_s

    # The answers

    def scope(self, answering: Answering) -> Message:
        """The request as an ASGI application is told of it."""
        head = answering.head
        return {
            "type": "http",
            "asgi": ASGI,
            "root_path": "",
            "server": self._local,
            "client": self._client,
            "scheme": "https" if is_ssl(self._transport) else "http",
            "http_version": answering.http_version,
            "method": head.method,
            "path": head.path,
            "raw_path": answering.raw_path,
            "query_string": head.query,
            "headers": head.headers,
            "state": self._state.copy(),
        }

    @property
    def default_headers(self) -> RawHeaders:
        """The server's, with the date."""
        return self._server.default_headers

    def write(self, data: bytes | memoryview) -> None:
        self._transport.write(data)

    def answered(self, answering: Answering) -> None:
        """The current request's answer has come to its end."""
        self._server.total_requests += 1
        if self._transport.is_closing():
            return
        if not answering.keep_alive:
            self._close()
        elif self._waiting:
            self._answer(self._waiting.popleft())
        elif self._last_words:
            self._say_last_words()
        else:
            self._current = None
            is_idle = answering.is_whole and not self._reader.in_head
            self._due = self._loop.time() + (self._idle_s if is_idle else self.bounds.head_s)
            self.resume_reading()

    def _answer(self, answering: Answering) -> None:
        """One that waited. Its turn comes with the next round of the loop: there may be hundreds."""
        self._current = self._unstarted = answering
        self._loop.call_soon(self._start_if_due, answering)

    def _start_if_due(self, answering: Answering) -> None:
        """Begins to handle the current request, unless the rest of a short body is about to come, or its caller does
        not read the answers before it."""
        if answering.is_whole or not answering.is_short or not self.holds_requests:
            self._start(answering)
        elif answering is not self._held:
            self._held = answering
            self._loop.call_later(HELD_S, self._start, answering)

    def _start(self, answering: Answering) -> None:
        if self._unstarted is not answering or (self.drained and self.holds_requests):
            return  # it has begun, or its connection ended; or it begins when the caller has read
        self._unstarted = None
        self.handle(answering)

    def handle(self, answering: Answering) -> None:
        """Runs the server's ASGI application for a request."""
        self.wait_for(self._loop.create_task(answering.run(self._application)))

    def wait_for(self, task: asyncio.Task[None]) -> None:
        """A server that stops waits for the task."""
        self._server.tasks.add(task)
        task.add_done_callback(self._server.tasks.discard)

    def _refuse(self, error: OmniError) -> None:
        """What came is no request. The answers to those before it come to their end first."""
        broken, self._reading = self._reading, None
        self._last_words = refusal(error)
        if broken and broken in self._waiting:
            self._waiting.remove(broken)
        elif broken and broken is self._current:
            if broken.has_begun:
                broken.keep_alive = False
                return
            broken.leave()
            self._current = self._unstarted = None
        if self._current is None:
            self._say_last_words()

    def _say_last_words(self) -> None:
        """A connection that is closed on bytes that were not read takes the answer along: the rest is read first."""
        self.write(self._last_words)
        self._due = self._loop.time() + LINGER_S
        self._transport.write_eof()

    def _close(self) -> None:
        """Once what was written has been read, for which the caller has as long as for anything else."""
        self._waiting.clear()
        self._due = self._loop.time() + min(self._idle_s, self.bounds.unread_s)
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    # The flow

    def pause_reading(self) -> None:
        if not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._last_words or self._transport.is_closing():
            return
        if self._is_paused and len(self._waiting) <= MOST_WAITING:
            self._is_paused = False
            self._transport.resume_reading()

    def _look_at_the_clock(self) -> None:
        now, due = self._loop.time(), min(self._due, self._unread_due)
        if now < due:
            pause_s = min(self.bounds.head_s, self.bounds.unread_s, due - now)
            self._timer = self._loop.call_later(pause_s, self._look_at_the_clock)
        else:
            self._transport.abort()
