"""A caller's connection: requests are read from it, and answered one after the other in their order.

A single timer looks after it, so that thousands that never mean to get a request across cannot use up what the process
may open; a request costs no timer. Trailers are dropped: nobody has looked at them. Other protocols are declined, and
the request is answered.
"""

import asyncio
from collections import deque
from math import inf
from typing import Any, cast
from urllib.parse import unquote

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser, parse_url
from uvicorn.config import Config
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl
from uvicorn.server import ServerState

from shared.core.errors import HeadersTooLarge, InvalidRequest, OmniError
from shared.web.asgi import Message, RawHeaders, require_host
from shared.web.http1.answering import Answering, refusal
from shared.web.http1.bounds import LINGER_S, MOST_HEADERS, BoundedConnection, too_many_connections

MOST_HEAD_BYTES = 256 * 1024
"""More than the gateway lets pass: those between are answered by it, in the one error shape. So much may also come of a
body without a byte of it: trailers, and what stands beside the sizes of chunks."""
MOST_WAITING = 1
"""Requests that came before the answer to an earlier one. Who sends more is not read from, so is not seen to leave."""
ASGI = {"version": "3.0", "spec_version": "2.3"}


class HttpConnection(BoundedConnection):
    """As httptools' delegate it is told the parts of requests; uvicorn's server makes it, and shuts it down."""

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
        self._parser = self._new_parser()
        self._url = b""
        self._headers: RawHeaders = []
        self._in_head = True
        self._head_bytes = self._read_bytes = self._header_lines = 0
        self._reading: Answering | None = None
        """The request that is arriving, once its head is there."""
        self._current: Answering | None = None
        """The one that is being answered, ..."""
        self._waiting: deque[Answering] = deque()
        """... and those that came meanwhile."""
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
        self._client = get_remote_addr(self._transport)
        self._common = {
            "type": "http",
            "asgi": ASGI,
            "root_path": "",
            "server": get_local_addr(self._transport),
            "client": self._client,
            "scheme": "https" if is_ssl(self._transport) else "http",
        }
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
        if self._is_counted:
            self.peers.leave(self._client)
        if self._current:
            self._current.leave()
        self.resume_writing()

    def data_received(self, data: bytes) -> None:
        self._read_bytes = len(data)
        self._head_bytes += self._read_bytes
        while data and not self._last_words:
            data = self._fed(data)
        if self._last_words and self._head_bytes > 4 * MOST_HEAD_BYTES:
            self._close()
        if self._head_bytes > MOST_HEAD_BYTES and (self._in_head or self._reading):
            self._refuse(HeadersTooLarge(f"Head and trailers may have {MOST_HEAD_BYTES} bytes each at most."))

    def pause_writing(self) -> None:
        self.drained = self.drained or asyncio.Event()
        self._unread_due = self._loop.time() + self.bounds.unread_s

    def resume_writing(self) -> None:
        self._unread_due = inf
        if self.drained:
            self.drained.set()
            self.drained = None

    def shutdown(self) -> None:
        """The server is about to stop: what is under way is answered, and nothing after it."""
        if self._current:
            self._current.keep_alive = False
        else:
            self._close()

    # What the parser tells

    def on_message_begin(self) -> None:
        self._url, self._headers = b"", []
        self._in_head, self._head_bytes, self._header_lines = True, self._read_bytes, 0
        self._due = inf if self._current else self._loop.time() + self.bounds.head_s

    def on_url(self, part: bytes) -> None:
        self._url += part

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_lines += 1
        if self._header_lines > MOST_HEADERS:
            raise HeadersTooLarge(f"A head or trailers may have {MOST_HEADERS} lines at most.")
        if self._in_head:  # else a trailer
            self._headers.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        if self._parser.should_upgrade():
            return
        version = self._parser.get_http_version()
        require_host(self._headers, version)
        scope = self._scope()
        expects_continue = version == "1.1" and any(
            name == b"expect" and value.lower() == b"100-continue" for name, value in self._headers
        )
        keep_alive = version == "1.1" and self._parser.should_keep_alive()
        self._in_head, self._due = False, inf
        self._reading = Answering(self, scope, keep_alive=keep_alive, expects_continue=expects_continue)
        if self._current:
            self._waiting.append(self._reading)
            if len(self._waiting) > MOST_WAITING:
                self.pause_reading()
        else:
            self._answer(self._reading)

    def on_body(self, part: bytes) -> None:
        self._head_bytes = 0
        if self._reading:
            self._reading.feed(part)

    def on_message_complete(self) -> None:
        if self._reading:
            self._reading.end()
            self._reading = None
            if self._current is None:
                self._due = self._loop.time() + self._idle_s

    def _scope(self) -> Message:
        url = parse_url(self._url)
        path = url.path.decode("ascii")
        return self._common | {
            "http_version": self._parser.get_http_version(),
            "method": self._parser.get_method().decode("ascii"),
            "path": unquote(path) if "%" in path else path,
            "raw_path": url.path,
            "query_string": url.query or b"",
            "headers": self._headers,
            "state": self._state.copy(),
        }

    def _fed(self, data: bytes) -> bytes:
        """What is still to be fed to the parser."""
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as offer:
            if self._parser.get_method() != b"CONNECT":
                return self._without_upgrade() + data[offer.args[0] :]
            self._refuse(InvalidRequest("There are no tunnels here.", code="invalid_http"))
        except HttpParserError as error:
            found = error.__context__  # what a method above raised, if one did
            invalid = InvalidRequest("Invalid HTTP request received.", code="invalid_http")
            self._refuse(found if isinstance(found, InvalidRequest) else invalid)
        return b""

    def _without_upgrade(self) -> bytes:
        """The head that has just been read, for a new parser: it may not ask this one for another protocol, and
        httptools would lose its body."""
        method, version = self._parser.get_method(), self._parser.get_http_version().encode()
        self._parser = self._new_parser()
        lines = [b"%b: %b\r\n" % header for header in self._headers if header[0] != b"upgrade"]
        return b"%b %b HTTP/%b\r\n%b\r\n" % (method, self._url, version, b"".join(lines))

    def _new_parser(self) -> HttpRequestParser:
        parser = HttpRequestParser(self)
        parser.set_dangerous_leniencies(lenient_data_after_close=True)  # what comes then is not answered, but no error
        return parser

    # The answers

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
            is_idle = answering.is_whole and not self._in_head
            self._due = self._loop.time() + (self._idle_s if is_idle else self.bounds.head_s)
            self.resume_reading()

    def _answer(self, answering: Answering) -> None:
        self._current = answering
        task = self._loop.create_task(answering.run(self._application))
        self._server.tasks.add(task)
        task.add_done_callback(self._server.tasks.discard)

    def _refuse(self, error: OmniError) -> None:
        """What came is no request. The answers to those before it come to their end first."""
        broken, self._reading = self._reading, None
        self._in_head, self._last_words = False, refusal(error)
        if broken and broken in self._waiting:
            self._waiting.remove(broken)
        elif broken and broken is self._current:
            if broken.has_begun:
                broken.keep_alive = False
                return
            broken.leave()
            self._current = None
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
