"""The hot path's HTTP client on aiohttp.

The session is made on first use: it belongs to the running event loop, and the functions' server forks after the
application is built.
"""

from collections.abc import AsyncIterator
from types import TracebackType

import aiohttp
from yarl import URL

from shared.ports.upstream import BrokenOff, ConnectFailed, OutgoingRequest, TimedOut, UpstreamError

CONNECT_TIMEOUT_S = 5
PART_BYTES = 64 * 1024


class AiohttpResponse:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status: int = response.status

    def header(self, name: str) -> str:
        return self._response.headers.get(name, "")

    async def read(self) -> bytes:
        try:
            return await self._response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _translated(error) from error

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _translated(error) from error


class AiohttpExchange:
    """A request under way. Entering waits for the response's head; leaving before its end closes the connection."""

    def __init__(self, session: aiohttp.ClientSession, request: OutgoingRequest) -> None:
        self._session = session
        self._request = request
        self._response: aiohttp.ClientResponse | None = None

    async def __aenter__(self) -> AiohttpResponse:
        request = self._request
        try:
            self._response = await self._session.request(
                request.method,
                URL(request.url, encoded=True),  # as it stands: normalising `..` would lead elsewhere
                headers=request.headers,
                data=request.body or None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_TIMEOUT_S, sock_read=request.timeout_s),
            )
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _translated(error) from error
        return AiohttpResponse(self._response)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._response:
            self._response.close()


class AiohttpUpstream:
    def __init__(self, idle_s: float) -> None:
        self._idle_s = idle_s
        self._session: aiohttp.ClientSession | None = None

    def send(self, request: OutgoingRequest) -> AiohttpExchange:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=self._idle_s),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=("accept-encoding", "user-agent"),
                max_line_size=16 * 1024,
                max_field_size=16 * 1024,
            )
        return AiohttpExchange(self._session, request)

    async def close(self) -> None:
        if self._session:
            await self._session.close()
            self._session = None


def _translated(error: Exception) -> UpstreamError:
    """The client's error by the port's name."""
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return ConnectFailed(str(error))
    if isinstance(error, TimeoutError):
        return TimedOut(str(error) or "no answer in time")
    return BrokenOff(str(error) or type(error).__name__)
