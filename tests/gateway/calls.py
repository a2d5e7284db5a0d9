"""Requests that run at the same time, whose callers may leave, and upstreams that answer when the test says so."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from functions.gateway.exchange import Exchange, Writer
from shared.ports.upstream import OutgoingRequest, Response, Take
from shared.web.asgi import RawHeaders
from shared.web.request_head import RequestHead
from tests.fakes import FakeResponse, FakeUpstream
from tests.gateway.conftest import CHAT, World

EMPTY: dict[str, str] = {}


class Call:
    """One request to the gateway, on a connection that can be closed."""

    def __init__(
        self,
        world: World,
        fields: dict[str, Any] | None = None,
        headers: dict[str, str] = EMPTY,
        key: str = "prod-key-acme-1",
        path: str = "/v1/chat/completions",
        method: str = "POST",
    ) -> None:
        self._body = json.dumps(CHAT | (fields or {})).encode() if method == "POST" else b""
        self._scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": b"",
            "headers": [(b"authorization", b"Bearer " + key.encode())]
            + [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
        }
        self._left = asyncio.Event()
        self._has_asked = False
        self.status = 0
        self.headers: dict[str, str] = {}
        self.parts: list[bytes] = []
        self.task = asyncio.create_task(self._run(world.gateway))

    @property
    def body(self) -> bytes:
        return b"".join(self.parts)

    def leave(self) -> None:
        self._left.set()

    async def done(self) -> "Call":
        async with asyncio.timeout(30):
            await self.task
        return self

    async def _run(self, gateway: Callable[..., Awaitable[None]]) -> None:
        await gateway(self._scope, self._receive, self._send)

    async def _receive(self) -> dict[str, Any]:
        if not self._has_asked:
            self._has_asked = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if self._left.is_set():
            return
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode("latin-1") for name, value in message["headers"]}
        elif message["body"]:
            self.parts.append(message["body"])


class GatedUpstream(FakeUpstream):
    """Waits before each part of an answer until the gate lets it through."""

    def __init__(self, answer: Callable[[OutgoingRequest], FakeResponse]) -> None:
        super().__init__(answer)
        self.gate = asyncio.Semaphore(0)
        self.left_alone = asyncio.Event()

    def open(self) -> None:
        for _ in range(1000):
            self.gate.release()

    @asynccontextmanager
    async def send(self, request: OutgoingRequest) -> AsyncIterator[Response]:
        try:
            async with super().send(request) as response:
                yield GatedResponse(response, self.gate)
        except asyncio.CancelledError:
            self.left_alone.set()
            raise


class GatedResponse:
    def __init__(self, response: Response, gate: asyncio.Semaphore) -> None:
        self._response = response
        self._gate = gate
        self.status = response.status

    def header(self, name: bytes) -> bytes:
        return self._response.header(name)

    async def read(self) -> bytes:
        return b"".join([part async for part in self.chunks()])

    async def chunks(self, take: Take | None = None) -> AsyncIterator[bytes]:
        async for part in self._response.chunks():
            await self._gate.acquire()
            if not (take and take(part)):
                yield part


async def never(*_: object) -> Any:
    """A connection that takes nothing and tells nothing."""
    await asyncio.get_running_loop().create_future()


class WrittenDown:
    """A caller's connection that writes down what it is sent; one that does not read is stuck after its first part."""

    def __init__(self, *, reads: bool = True) -> None:
        self.status = 0
        self.parts: list[bytes] = []
        self.has_left = self.is_broken_off = False
        self._reads = reads

    @property
    def takes_more(self) -> bool:
        return self._reads or not self.parts

    def begin(self, status: int, headers: RawHeaders) -> None:
        self.status = status

    def write(self, part: bytes, *, more: bool) -> None:
        self.parts.append(part)

    async def write_as_read(self, part: bytes, *, more: bool) -> None:
        if not self.takes_more:
            await never()
        self.write(part, more=more)

    def break_off(self) -> None:
        self.is_broken_off = True


def bare_exchange(writer: Writer | None = None) -> Exchange:
    """A request of no caller in particular, for a stage alone."""
    return Exchange(RequestHead("POST", "/", b"", [], ""), never, writer or WrittenDown(), 0.0)


async def until(condition: Callable[[], object], description: str) -> None:
    """Lets other tasks run until the condition holds."""
    try:
        async with asyncio.timeout(30):
            while not condition():  # noqa: ASYNC110 (nothing tells when it does)
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"{description}: not within 30 s") from None
