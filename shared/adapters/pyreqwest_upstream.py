"""The hot path's HTTP client on reqwest (Rust).

The client is made on first use: the functions' server forks after the application is built, and the client's
runtime threads would not survive that.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from pyreqwest import exceptions as reqwest
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.response import Response as ReqwestResponse

from shared.ports.upstream import BrokenOff, ConnectFailed, OutgoingRequest, Response, TimedOut

CONNECT_TIMEOUT = timedelta(seconds=5)
POOL_IDLE_TIMEOUT = timedelta(seconds=60)


class PyreqwestResponse:
    def __init__(self, response: ReqwestResponse, timeout_s: float) -> None:
        self._response = response
        self._timeout_s = timeout_s
        self.status: int = response.status
        self.headers: list[tuple[str, str]] = [(name.lower(), value) for name, value in response.headers.items()]

    async def read(self) -> bytes:
        async with _bounded(self._timeout_s):
            return bytes(await self._response.bytes())

    async def chunks(self) -> AsyncIterator[bytes]:
        reader = self._response.body_reader
        while True:
            async with _bounded(self._timeout_s):
                chunk = await reader.read_chunk()
            if chunk is None:
                return
            if chunk:
                yield bytes(chunk)


class PyreqwestUpstream:
    def __init__(self) -> None:
        self._client: Client | None = None

    @asynccontextmanager
    async def send(self, request: OutgoingRequest) -> AsyncIterator[Response]:
        if self._client is None:
            self._client = _build()
        builder = self._client.request(request.method, request.url).headers(list(request.headers))
        if request.body:
            builder = builder.body_bytes(request.body)
        exchange = builder.build_streamed()
        async with _bounded(request.timeout_s):
            response = await exchange.__aenter__()
        try:
            yield PyreqwestResponse(response, request.timeout_s)
        finally:
            await exchange.__aexit__(None, None, None)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None


def _build() -> Client:
    return (
        ClientBuilder()
        .no_proxy()
        .follow_redirects(enable=False)
        .gzip(enable=False)
        .brotli(enable=False)
        .zstd(enable=False)
        .deflate(enable=False)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .build()
    )


@asynccontextmanager
async def _bounded(timeout_s: float) -> AsyncIterator[None]:
    """Ends what runs inside after `timeout_s`, and gives the client's errors the port's names."""
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except (reqwest.ConnectError, reqwest.ConnectTimeoutError) as error:
        raise ConnectFailed(str(error)) from error
    except TimeoutError as error:
        raise TimedOut(f"no answer within {timeout_s:g} s") from error
    except reqwest.PyreqwestError as error:
        raise BrokenOff(str(error)) from error
