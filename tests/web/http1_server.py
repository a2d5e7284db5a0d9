"""Applications behind our HTTP protocol on a real server, and what callers with plain sockets see of them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from shared.web.http1 import ConnectionBounds, http_protocol


async def nobody(scope: object, receive: object, send: object) -> None:
    """Never reached."""
    raise AssertionError


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the head and the body that came; at `/early` before the body has come."""
    parts, more = [], scope["path"] != "/early"
    while more:
        message = await receive()
        parts.append(message["body"])
        more = message["more_body"]
    headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]]
    content = json.dumps([scope["method"], scope["path"], headers, b"".join(parts).decode()]).encode()
    await send(start((b"content-length", b"%d" % len(content))))
    await send({"type": "http.response.body", "body": content})


def start(*headers: tuple[bytes, bytes], status: int = 200) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def part(content: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.response.body", "body": content, "more_body": more}


@asynccontextmanager
async def serving(
    application: Any, head_s: float = 10, idle_s: int = 5, bounds: ConnectionBounds | None = None
) -> AsyncIterator[tuple[uvicorn.Server, int]]:
    """The server and its port."""
    protocol = http_protocol(bounds or ConnectionBounds(head_s))
    config = uvicorn.Config(
        application,
        port=0,
        http=protocol,
        log_config=None,
        lifespan="off",
        timeout_keep_alive=idle_s,
        timeout_graceful_shutdown=20,
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    try:
        while not server.started:  # noqa: ASYNC110  (nothing tells when it is)
            await asyncio.sleep(0.01)
        async with asyncio.timeout(20):
            yield server, server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


def said_to(*sent: bytes, application: Any = nobody, head_s: float = 10, pause_s: float = 0.0) -> bytes:
    """All that a server answers to these bytes until it hangs up, which it must do in time."""

    async def run() -> bytes:
        async with serving(application, head_s) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for each in sent:
                writer.write(each)
                await asyncio.sleep(pause_s)
            answer = await rest_of(reader)
            writer.close()
            return answer

    return asyncio.run(run())


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the connection ends, however it does."""
    answer = b""
    try:
        while more := await reader.read(65536):
            answer += more
    except ConnectionError:
        pass
    return answer
