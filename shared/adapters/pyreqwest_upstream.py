"""The hot path's HTTP client on reqwest (Rust).

A client is made on first use: the functions' server forks after the application is built, and the client's runtime
threads would not survive that. The longest silence allowed is a client's setting, so there is a client for each.
"""

from collections.abc import AsyncIterator
from datetime import timedelta
from types import TracebackType

from pyreqwest import exceptions as reqwest
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.request import StreamRequest
from pyreqwest.response import Response as ReqwestResponse

from shared.ports.upstream import BrokenOff, ConnectFailed, OutgoingRequest, TimedOut, UpstreamError

CONNECT_TIMEOUT = timedelta(seconds=5)
POOL_IDLE_TIMEOUT = timedelta(seconds=60)


class PyreqwestResponse:
    def __init__(self, response: ReqwestResponse) -> None:
        self._response = response
        self.status: int = response.status

    def header(self, name: str) -> str:
        return self._response.get_header(name) or ""

    async def read(self) -> bytes:
        try:
            return bytes(await self._response.bytes())
        except reqwest.PyreqwestError as error:
            raise _translated(error) from error

    async def chunks(self) -> AsyncIterator[bytes]:
        reader = self._response.body_reader
        try:
            while (chunk := await reader.read_chunk()) is not None:
                if chunk:
                    yield bytes(chunk)
        except reqwest.PyreqwestError as error:
            raise _translated(error) from error


class PyreqwestExchange:
    """A request under way; entering waits for the response's head, leaving ends the exchange."""

    def __init__(self, request: StreamRequest) -> None:
        self._request = request

    async def __aenter__(self) -> PyreqwestResponse:
        try:
            return PyreqwestResponse(await self._request.__aenter__())
        except reqwest.PyreqwestError as error:
            raise _translated(error) from error

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._request.__aexit__(kind, error, trace)


class PyreqwestUpstream:
    def __init__(self) -> None:
        self._clients: dict[float, Client] = {}

    def send(self, request: OutgoingRequest) -> PyreqwestExchange:
        client = self._clients.get(request.timeout_s)
        if client is None:
            client = self._clients[request.timeout_s] = _build(request.timeout_s)
        builder = client.request(request.method, request.url).headers(list(request.headers))
        if request.body:
            builder = builder.body_bytes(request.body)
        return PyreqwestExchange(builder.build_streamed())

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()
        self._clients.clear()


def _build(timeout_s: float) -> Client:
    return (
        ClientBuilder()
        .no_proxy()
        .follow_redirects(enable=False)
        .gzip(enable=False)
        .brotli(enable=False)
        .zstd(enable=False)
        .deflate(enable=False)
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(timedelta(seconds=timeout_s))
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .build()
    )


def _translated(error: reqwest.PyreqwestError) -> UpstreamError:
    """The client's error by the port's name."""
    if isinstance(error, reqwest.ConnectError | reqwest.ConnectTimeoutError):
        return ConnectFailed(str(error))
    if isinstance(error, reqwest.RequestTimeoutError):
        return TimedOut(str(error))
    return BrokenOff(str(error))
