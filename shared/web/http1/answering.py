"""One request while it is answered: an application's `receive` and `send`, or the same step by step without waiting."""

import asyncio
import logging
from collections.abc import Callable
from http import HTTPStatus
from itertools import chain
from typing import TYPE_CHECKING

from shared.core.errors import OmniError
from shared.web.asgi import Message, RawHeaders
from shared.web.http1.bounds import MOST_UNSENT_BYTES
from shared.web.incoming import request_id
from shared.web.reply import Reply
from shared.web.request_head import RequestHead

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

    from shared.web.http1.connection import HttpConnection

PAUSE_ABOVE_BYTES = 64 * 1024
"""So much of a body may wait for the application; then the caller is not read from."""
STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
HEADER_LINE = b"%b: %b\r\n"
WITHOUT_BODY = frozenset({204, 304})
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
DISCONNECT: Message = {"type": "http.disconnect"}

log = logging.getLogger("omni.http")


class Answering:
    """Only as much of the head is written ahead as must be: an answer of known length leaves in one piece."""

    __slots__ = (
        "_announced",
        "_connection",
        "_expects_continue",
        "_has_body",
        "_has_told_all",
        "_held_head",
        "_in_chunks",
        "_news",
        "_parts",
        "_size",
        "has_begun",
        "has_left",
        "head",
        "http_version",
        "is_complete",
        "is_short",
        "is_whole",
        "keep_alive",
        "on_leave",
        "raw_path",
    )

    def __init__(
        self,
        connection: "HttpConnection",
        head: RequestHead,
        raw_path: bytes,
        http_version: str,
        *,
        keep_alive: bool,
        expects_continue: bool,
        is_short: bool,
    ) -> None:
        self._connection = connection
        self.head = head
        self.raw_path = raw_path
        self.http_version = http_version
        self.keep_alive = keep_alive
        """Whether the connection may carry another request after this one."""
        self._expects_continue = expects_continue
        self.is_short = is_short
        """Whether little of a body is to come, and the caller sends it without being asked."""
        self._parts: list[bytes] = []
        self._size = 0
        self._news: asyncio.Event | None = None
        self._has_told_all = False
        self._held_head = b""
        self._announced: int | None = None
        """Bytes of the answer's body that are still to come, if its head told how many."""
        self._in_chunks = False
        self._has_body = True
        self.is_whole = False
        """Whether the request has arrived to its end."""
        self.has_left = False
        """Whether the caller has left."""
        self.on_leave: Callable[[], None] | None = None
        """Called when it does before the answer is complete."""
        self.has_begun = False
        """Whether the answer has begun, ..."""
        self.is_complete = False
        """... and come to its end."""

    # The request

    def feed(self, part: bytes) -> None:
        if self.is_complete:
            return  # it was answered early; nobody asks for the rest
        self._parts.append(part)
        self._size += len(part)
        if self._size > PAUSE_ABOVE_BYTES:
            self._connection.pause_reading()
        self._wake()

    def end(self) -> None:
        """The request is whole."""
        self.is_whole = True
        self._wake()

    def leave(self) -> None:
        """The caller is not there any more."""
        self.has_left = True
        self._wake()
        if self.on_leave:
            self.on_leave()

    def take_body(self) -> bytes | None:
        """The whole body, if it is there to its end and nothing of it was received; once."""
        if not self.is_whole or self._has_told_all or self.has_left:
            return None
        self._has_told_all = True
        return self._taken()

    async def receive(self) -> Message:
        if self._expects_continue and not self.has_begun:
            self._connection.write(CONTINUE)
        self._expects_continue = False
        while not (self._parts or self.has_left or self.is_complete or (self.is_whole and not self._has_told_all)):
            self._connection.resume_reading()
            self._news = self._news or asyncio.Event()
            await self._news.wait()
            self._news.clear()
        if self.has_left or self.is_complete:
            return DISCONNECT
        self._has_told_all = self.is_whole
        return {"type": "http.request", "body": self._taken(), "more_body": not self.is_whole}

    def _taken(self) -> bytes:
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts, self._size = [], 0
        return body

    def _wake(self) -> None:
        if self._news:
            self._news.set()

    # The answer

    async def run(self, application: "ASGI3Application") -> None:
        try:
            await application(self._connection.scope(self), self.receive, self.send)  # type: ignore[arg-type]
        except Exception as error:  # The edge: what it was goes to the log, and the caller is told that it was.
            log.error("an application failed", exc_info=error)
        finally:
            self.break_off()

    async def send(self, message: Message) -> None:
        if not self.has_begun:
            await self._drained(0)
            if not self.has_left:
                self.begin(message["status"], message["headers"])
        elif message["type"] != "http.response.body":
            raise RuntimeError(f"no {message['type']} can follow")
        else:
            await self.write_as_read(message.get("body", b""), more=message.get("more_body", False))

    @property
    def takes_more(self) -> bool:
        """Whether the caller has read so much of what was sent that it may be sent more."""
        return self._connection.drained is None

    async def write_as_read(self, part: bytes, *, more: bool) -> None:
        """As `write`, as fast as the caller reads: what it has not read is not copied."""
        if self._connection.drained:
            await self._drained(len(part))
        if len(part) <= MOST_UNSENT_BYTES:
            self.write(part, more=more)
            return
        rest = memoryview(part)
        while rest and not self.has_left:
            piece, rest = rest[:MOST_UNSENT_BYTES], rest[MOST_UNSENT_BYTES:]
            self.write(piece, more=more or len(rest) > 0)
            if rest:
                await self._drained(len(rest))

    async def _drained(self, size: int) -> None:
        """Waits until the caller has read what was sent; meanwhile so much waits here."""
        connection = self._connection
        while (drained := connection.drained) and not self.has_left:
            connection.unread.wait(connection, size)
            try:
                await drained.wait()
            finally:
                connection.unread.go_on(connection)

    def begin(self, status: int, headers: RawHeaders) -> None:
        """RuntimeError when a header would break out of its line."""
        if self.has_left:
            return
        self.has_begun = True
        head = self._head(status, headers)
        if self._announced is None:
            self._connection.write(head)  # a stream: the caller is to know at once that it has begun
        else:
            self._held_head = head

    def _head(self, status: int, headers: RawHeaders) -> bytes:
        """RuntimeError when a header would break out of its line."""
        says_close, added = False, b""
        headers = [*self._connection.default_headers, *headers]
        for name, value in headers:
            if name == b"content-length":
                self._announced = int(value)
            elif name == b"connection":
                says_close = value.lower() == b"close"
        if self.head.method == "HEAD" or status in WITHOUT_BODY:
            self._has_body, self._announced = False, 0
        elif self._announced is None and self.http_version == "1.1":
            self._in_chunks = True
            added = b"transfer-encoding: chunked\r\n"
        elif self._announced is None:
            self.keep_alive = False  # its end is the connection's
        self.keep_alive = self.keep_alive and not says_close
        if not (self.keep_alive or says_close):
            added += b"connection: close\r\n"
        lines = HEADER_LINE * len(headers) % tuple(chain.from_iterable(headers))
        if not (lines.count(b"\r") == lines.count(b"\n") == len(headers)) or b"\0" in lines:
            raise RuntimeError("a header has a line break or a null in it")
        return b"".join((STATUS_LINES[status], lines, added, b"\r\n"))

    def write(self, part: bytes | memoryview, *, more: bool) -> None:
        """A part of the body, the last with `more=False`. RuntimeError when it is not what the head announced."""
        if self.has_left:
            return
        if self.is_complete:
            raise RuntimeError("the answer has ended")
        if not self._has_body:
            part = b""
        elif self._in_chunks:
            part = b"".join((b"%x\r\n" % len(part), part, b"\r\n")) if part else b""
            part += b"" if more else b"0\r\n\r\n"
        elif self._announced is not None:
            self._announced -= len(part)
            if self._announced < 0 or (self._announced and not more):
                raise RuntimeError("the answer has not the length that its head told")
        if self._held_head:
            part, self._held_head = b"".join((self._held_head, part)), b""
        if part:
            self._connection.write(part)
        if not more:
            self._complete()

    def _complete(self) -> None:
        self.is_complete = True
        self.on_leave = None
        self._wake()
        self._connection.answered(self)

    def break_off(self) -> None:
        """No more comes of an answer that is not complete: only a connection that ends there tells that."""
        if self.has_left or self.is_complete:
            return
        self.keep_alive = False
        if not self.has_begun or self._held_head:
            self._connection.write(refusal(OmniError()))
        self._complete()


def refusal(error: OmniError) -> bytes:
    """A whole answer in the one error shape, after which the connection is closed."""
    new_id = request_id("")
    reply = Reply.problem(error, new_id)
    headers = [*reply.headers, ("x-request-id", new_id), ("content-length", str(len(reply.body)))]
    lines = "".join(f"{name}: {value}\r\n" for name, value in (*headers, ("connection", "close")))
    return STATUS_LINES[error.status] + lines.encode("latin-1") + b"\r\n" + reply.body
