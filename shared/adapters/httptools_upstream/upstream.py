"""Connections that are kept, and the exchanges that use them.

All are made on first use: they belong to the running event loop, and the functions' server forks after the
application is built.
"""

import asyncio
import ssl
from collections import defaultdict
from functools import cached_property
from types import TracebackType

from shared.adapters.httptools_upstream.connection import Connection
from shared.adapters.httptools_upstream.wire import Origin, encoded, framed, place
from shared.ports.upstream import BrokenOff, ConnectFailed, OutgoingRequest

CONNECT_TIMEOUT_S = 5.0
MOST_ANSWER_BYTES = 32 * 1024 * 1024


class HttptoolsUpstream:
    def __init__(
        self, idle_s: float, tls: ssl.SSLContext | None = None, most_answer_bytes: int = MOST_ANSWER_BYTES
    ) -> None:
        """A connection that nobody used for `idle_s` is closed. `tls`: other certificates than the system's.
        `most_answer_bytes` bounds what is read whole."""
        self._idle_s = idle_s
        self._most_answer_bytes = most_answer_bytes
        self._given_tls = tls
        self._idle: defaultdict[Origin, list[Connection]] = defaultdict(list)
        """Of each origin, the one used last at the end."""
        self._sweep: asyncio.TimerHandle | None = None
        self._draining: set[asyncio.Task[None]] = set()

    def send(self, request: OutgoingRequest) -> "Exchange":
        return Exchange(self, request)

    async def close(self) -> None:
        if self._sweep:
            self._sweep.cancel()
            self._sweep = None
        for task in self._draining:
            task.cancel()
        await asyncio.gather(*self._draining, return_exceptions=True)
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()

    def kept(self, origin: Origin) -> Connection | None:
        """A connection that stands already."""
        connections = self._idle[origin]
        while connections:
            connection = connections.pop()
            if connection.is_open:
                return connection
        return None

    async def connect(self, origin: Origin) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, connection = await loop.create_connection(
                    lambda: Connection(loop, self._most_answer_bytes),
                    origin.host,
                    origin.port,
                    ssl=self._tls if origin.tls else None,
                )
        except (OSError, UnicodeError) as error:  # among them TimeoutError and what TLS finds wrong
            raise ConnectFailed(f"{origin.host}:{origin.port}: {str(error) or type(error).__name__}") from error
        return connection

    def keep(self, origin: Origin, connection: Connection) -> None:
        self._idle[origin].append(connection)
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(self._idle_s, self._close_old)

    def drain(self, origin: Origin, connection: Connection) -> None:
        """Keeps a connection whose response was left before its end, if the rest comes soon."""

        async def drain() -> None:
            try:
                await connection.drained()
            finally:
                if connection.finish():
                    self.keep(origin, connection)

        task = asyncio.get_running_loop().create_task(drain())
        self._draining.add(task)
        task.add_done_callback(self._draining.discard)

    def _close_old(self) -> None:
        """Closes what nobody used for a while; looks again as long as something is kept."""
        loop = asyncio.get_running_loop()
        oldest = loop.time() - self._idle_s
        for origin, connections in list(self._idle.items()):
            for connection in connections:
                if connection.idle_since <= oldest:
                    connection.close()
            self._idle[origin] = [connection for connection in connections if connection.is_open]
            if not self._idle[origin]:
                del self._idle[origin]
        self._sweep = loop.call_later(self._idle_s / 2, self._close_old) if self._idle else None

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return self._given_tls or ssl.create_default_context()


class Exchange:
    """A request under way. Entering waits for the response's head; leaving before its end closes the connection."""

    def __init__(self, upstream: HttptoolsUpstream, request: OutgoingRequest) -> None:
        self._upstream = upstream
        self._request = request

    async def __aenter__(self) -> Connection:
        request = self._request
        try:
            asked = place(request.url)
            wire = encoded(request, asked)
        except ValueError as error:
            raise ConnectFailed(str(error)) from error
        self._origin = asked.origin
        if request.parts is None:  # they come once only, and a kept connection may turn out to be closed
            kept = self._upstream.kept(asked.origin)
            if kept and await self._is_answered(kept, wire):
                return kept
        fresh = await self._upstream.connect(asked.origin)
        await self._ask(fresh, wire)
        return fresh

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._connection.may_drain:
            self._upstream.drain(self._origin, self._connection)
        elif self._connection.finish():
            self._upstream.keep(self._origin, self._connection)

    async def _is_answered(self, kept: Connection, wire: bytes) -> bool:
        """False when the upstream closed the kept connection meanwhile, or asking once more changes nothing there."""
        try:
            await self._ask(kept, wire)
        except BrokenOff:
            if self._request.method not in ("GET", "HEAD") and not kept.was_stale:
                raise
            return False
        return True

    async def _ask(self, connection: Connection, wire: bytes) -> None:
        self._connection = connection
        try:
            request = self._request
            await connection.ask(wire, request.timeout_s, head_only=request.method == "HEAD", parts=framed(request))
        except BaseException:  # also when the caller leaves: the upstream must not go on for nobody
            connection.finish()
            raise
