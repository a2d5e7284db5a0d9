"""What the connections of a process may take of it, before their callers are known."""

import asyncio
import resource
import socket
from collections import Counter, OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Protocol

from shared.core.addresses import subscriber
from shared.core.errors import RateLimited
from shared.settings import Settings

LINGER_S = 2.0
"""How long a connection still reads what it has refused already."""
READ_BYTES = 16 * 1024
MOST_HEADERS = 256
"""Lines of a head or of trailers."""
MOST_UNSENT_BYTES = 32 * 1024
"""So much of an answer may wait in a connection for its caller to read, and as much in the kernel."""


@dataclass(frozen=True, slots=True)
class ConnectionBounds:
    head_s: float = 15.0
    """The longest a head may take, and the rest of a body that was answered early."""
    unread_s: float = 30.0
    """The longest a caller may read nothing of its answer."""
    unread_bytes: int = 64 * 1024 * 1024
    """Of answers that wait for callers to read, all connections together."""
    per_address: int = 0
    """Connections; 0: any number."""

    @classmethod
    def of(cls, settings: Settings, *, per_address: bool = True, open_files: int | None = None) -> "ConnectionBounds":
        """Behind proxies every connection is a proxy's. No address uses up more than half of the files that the process
        may have open."""
        most = 0 if settings.trusted_proxies or not per_address else settings.connections_per_address
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if open_files is None else open_files
        if most and files != resource.RLIM_INFINITY:
            most = max(1, min(most, files // 2))
        return cls(settings.head_timeout_s, settings.unread_timeout_s, settings.max_unread_bytes, most)


class Closing(Protocol):
    def abort(self) -> None:
        """Closes at once; what was not read is dropped."""
        ...


def too_many_connections() -> RateLimited:
    return RateLimited(
        "Too many connections stand open from this address.", code="too_many_connections", retry_after_s=1
    )


class UnreadAnswers:
    """Answers that wait for their callers. When they are too much, the one that has waited longest gives way."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._sizes: OrderedDict[Closing, int] = OrderedDict()
        self.bytes = 0

    def wait(self, connection: Closing, size: int) -> None:
        """The connection's caller has so much to read before it goes on."""
        self.go_on(connection)
        self._sizes[connection] = size
        self.bytes += size
        while self.bytes > self._most_bytes:
            slowest = next(iter(self._sizes))
            self.go_on(slowest)
            slowest.abort()

    def go_on(self, connection: Closing) -> None:
        self.bytes -= self._sizes.pop(connection, 0)


class PeerConnections:
    """How many connections stand to each address; an IPv6 network of 64 bits counts as one."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._counts: Counter[str] = Counter()

    def enter(self, peer: tuple[str, int] | None) -> bool:
        """Whether one more may stand; `leave` must follow if so."""
        of = _subscriber(peer)
        if self._most and self._counts[of] >= self._most:
            return False
        self._counts[of] += 1
        return True

    def leave(self, peer: tuple[str, int] | None) -> None:
        of = _subscriber(peer)
        self._counts[of] -= 1
        if not self._counts[of]:
            del self._counts[of]


def _subscriber(peer: tuple[str, int] | None) -> str:
    try:
        return subscriber(ip_address(peer[0]) if peer else None)
    except ValueError:  # the path of a Unix socket
        return "unknown"


class BoundedConnection(asyncio.BufferedProtocol):
    """What arrives is taken in small portions: of small chunks, headers or requests one portion can hold thousands,
    and meanwhile nothing else goes on."""

    bounds: ConnectionBounds
    received: bytearray
    """Of all connections together, like the next two: a portion is taken before the next one is read."""
    unread: UnreadAnswers
    peers: PeerConnections

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002
        return self.received

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(bytes(memoryview(self.received)[:nbytes]))

    def data_received(self, data: bytes) -> None:
        raise NotImplementedError

    def take_place(self, transport: asyncio.Transport, peer: tuple[str, int] | None) -> bool:
        """Whether the connection may stand; `peers.leave` must follow if so."""
        self._bound_unsent(transport)
        return self.peers.enter(peer)

    @staticmethod
    def _bound_unsent(transport: asyncio.Transport) -> None:
        """The kernel would buffer megabytes of an unread answer."""
        transport.set_write_buffer_limits(high=MOST_UNSENT_BYTES)
        connection = transport.get_extra_info("socket")
        if hasattr(socket, "TCP_NOTSENT_LOWAT") and connection and connection.family != socket.AF_UNIX:
            with suppress(OSError):  # a sandbox may not know it
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MOST_UNSENT_BYTES)
