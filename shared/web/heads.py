"""Bounds on a request's head while it arrives: uvicorn itself would wait for ever, and for a head of any size.

A connection that does not get its head across in time is closed, so that thousands that never mean to cannot use up
what the process may open.
"""

from asyncio import BaseTransport, TimerHandle, Transport
from http import HTTPStatus
from typing import cast

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
        super().data_received(data)
        if self._head_since is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
                self._refuse(HeadersTooLarge(f"The request head may have {MOST_HEAD_BYTES} bytes at most."))

    def on_message_begin(self) -> None:
        self._head_since, self._head_bytes = self.loop.time(), 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head_since = None
        super().on_headers_complete()

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
        if self._head_since is not None and self.loop.time() - self._head_since >= self.head_s:
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
