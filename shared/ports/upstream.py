"""The one outgoing HTTP client of the hot path: pooled, no redirects, no proxies from the environment."""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol


class UpstreamError(Exception):
    """The exchange with an upstream failed."""


class ConnectFailed(UpstreamError):
    """No connection was made, so the upstream saw nothing: trying another is safe."""


class TimedOut(UpstreamError):
    """The upstream stayed silent for longer than allowed."""


class BrokenOff(UpstreamError):
    """The connection ended in the middle of an exchange."""


class AnswerTooLarge(BrokenOff):
    """The answer is larger than may be read whole, so it was not read to its end."""


class OutgoingRequest(NamedTuple):
    method: str
    url: str
    headers: Sequence[tuple[str, str]]
    body: bytes
    timeout_s: float
    """The longest silence allowed: before the answer starts, and between two parts of it."""
    parts: AsyncIterable[bytes] | None = None
    """Sent as they come, in place of `body`. What they raise breaks the exchange off."""


Take = Callable[[bytes], bool]
"""Whether it has taken a part."""


class Response(Protocol):
    @property
    def status(self) -> int: ...

    def header(self, name: bytes) -> bytes:
        """A header by its lower-case name; empty when it was not sent, the first when it was sent more than once."""
        ...

    async def read(self) -> bytes:
        """The rest of the body; AnswerTooLarge when it is more than the adapter may hold."""
        ...

    def chunks(self, take: Take | None = None) -> AsyncIterator[bytes]:
        """The body in parts as they arrive, never empty ones. While their reader waits, `take` is offered each the
        moment it arrives, but for the last; what it takes is not given to the reader. It does not wait, nor raise."""
        ...


class Upstream(Protocol):
    def send(self, request: OutgoingRequest) -> AbstractAsyncContextManager[Response]:
        """Sends the request and gives the response once its status is known; leaving the context ends the exchange,
        and the response says nothing any more.

        Raises ConnectFailed, TimedOut, BrokenOff or AnswerTooLarge, here and while the body is read.
        """
        ...

    async def close(self) -> None: ...
