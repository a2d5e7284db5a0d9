"""Bounds on a request's head while it arrives: uvicorn itself would wait for ever, and for a head of any size.

A connection that does not get its head across in time is closed, so that thousands that never mean to cannot use up
what the process may open. Trailers are dropped: uvicorn takes them for headers, behind the back of whatever looked at
the headers in front. Other protocols are declined, and the request is answered: httptools would lose its body.
"""

from asyncio import BaseTransport, TimerHandle, Transport
from collections import deque
from http import HTTPStatus
from typing import Any, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from shared.core.errors import HeadersTooLarge, InvalidRequest, OmniError
from shared.web.incoming import request_id
from shared.web.reply import Reply

MOST_HEAD_BYTES = 256 * 1024
"""More than the gateway lets pass: those between are answered by it, in the one error shape."""


class BoundedHeads(HttpToolsProtocol):
    """uvicorn's own protocol, with a timer a connection: a request costs no other."""

    head_s = 15.0
    """The longest a head may take."""
    _head_since: float | None = None
    """When the head that is arriving began, or the connection; None once it is there."""
    _head_bytes = 0
    _rest_since: float | None = None
    """When bytes began to come of which no request is made: the rest of a body that was answered early, blank lines."""
    _timer: TimerHandle | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(cast(Transport, transport))
        self._head_since = self.loop.time()
        self._timer = self.loop.call_later(self.head_s, self._look_at_the_clock)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        size = len(data)
        while data:
            data = self._fed(data)
        if self._head_since is not None:
            self._head_bytes += size
            if self._head_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
                self._refuse(HeadersTooLarge(f"The request head may have {MOST_HEAD_BYTES} bytes at most."))
        elif self._rest_since is None and getattr(self.cycle, "response_complete", False):  # there may be no cycle yet
            self._rest_since = self.loop.time()

    def on_message_begin(self) -> None:
        self._head_since, self._head_bytes, self._rest_since = self.loop.time(), 0, None
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head_since = None
        if not self.parser.should_upgrade():
            super().on_headers_complete()
            trailers: Any = deque(maxlen=0)
            self.headers = trailers

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def _fed(self, data: bytes) -> bytes:
        """What is still to be fed to the parser."""
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade as offer:
            if self.parser.get_method() != b"CONNECT":
                return self._without_upgrade() + data[offer.args[0] :]
            self.send_400_response("There are no tunnels here.")
        except HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
        return b""

    def _without_upgrade(self) -> bytes:
        """The head that has just been read, for a new parser: it may not ask this one for another protocol."""
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        self.parser = HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        lines = [b"%b: %b\r\n" % header for header in self.headers if header[0] != b"upgrade"]
        return b"%b %b HTTP/%b\r\n%b\r\n" % (method, self.url, version, b"".join(lines))

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP, by uvicorn's own name for it, gets the one error shape too."""
        self._refuse(InvalidRequest(msg, code="invalid_http"))

    def _refuse(self, error: OmniError) -> None:
        new_id = request_id("")
        reply = Reply.problem(error, new_id)
        headers = [*reply.headers, ("x-request-id", new_id), ("content-length", str(len(reply.body)))]
        lines = "".join(f"{name}: {value}\r\n" for name, value in (*headers, ("connection", "close")))
        head = f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\n{lines}\r\n"
        self.transport.write(head.encode("latin-1") + reply.body)
        self.transport.close()

    def _look_at_the_clock(self) -> None:
        since = self._rest_since if self._head_since is None else self._head_since
        if since is not None and self.loop.time() - since >= self.head_s:
            self.transport.abort()
        elif self in self.connections:
            self._timer = self.loop.call_later(self.head_s, self._look_at_the_clock)


def bounded_heads(most_s: float) -> type[BoundedHeads]:
    """The protocol for heads that may take so long."""
    return type("BoundedHeads", (BoundedHeads,), {"head_s": most_s})


def bound_heads(most_s: float) -> None:
    """Has the Functions Framework's ASGI server use it. The framework takes no options for its server; the worker
    class's own table of options is the one place where they can be given."""
    from uvicorn_worker import UvicornWorker  # type: ignore[import-untyped]

    UvicornWorker.CONFIG_KWARGS = {**UvicornWorker.CONFIG_KWARGS, "http": bounded_heads(most_s)}
