"""Bounds on a request's head while it arrives: uvicorn itself would wait for ever, and for a head of any size.

A connection that does not get its head across in time is closed, so that thousands that never mean to cannot use up
what the process may open. The answer to a large head is short, as nothing has been read that it could be about.
"""

from asyncio import BaseTransport, TimerHandle, Transport
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD_BYTES = 256 * 1024
"""More than the gateway lets pass: those between are answered by it, in the one error shape."""
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


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
                self.transport.write(TOO_LARGE)
                self.transport.close()

    def on_message_begin(self) -> None:
        self._head_since, self._head_bytes = self.loop.time(), 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head_since = None
        super().on_headers_complete()

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
