"""What is no HTTP, and a head without an end, over a real connection: one error in the one shape, and the end."""

import asyncio
import json

import pytest
import uvicorn

from shared.web.heads import MOST_HEAD_BYTES, bounded_heads


async def nobody(scope: object, receive: object, send: object) -> None:
    """Never reached."""
    raise AssertionError


def said_to(sent: bytes) -> bytes:
    """All that a server answers to these bytes until it hangs up."""

    async def run() -> bytes:
        server = uvicorn.Server(
            uvicorn.Config(nobody, port=0, http=bounded_heads(10), log_config=None, lifespan="off", ws="none")
        )
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110  (nothing tells when it is)
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        async with asyncio.timeout(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            answer = await reader.read()
            writer.close()
        server.should_exit = True
        await serving
        return answer

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"this is no HTTP\r\n\r\n", 400, "invalid_http"),
        (b"GET / HTTP/1.1\r\nx: " + b"a" * (MOST_HEAD_BYTES + 1), 431, "headers_too_large"),
    ],
)
def test_a_head_that_cannot_be_read_gets_the_one_error_shape(sent: bytes, status: int, code: str) -> None:
    head, _, content = said_to(sent).partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    answer = json.loads(content)
    assert lines[0].startswith(f"http/1.1 {status} ")
    assert answer["error"]["code"] == code
    assert f"x-request-id: {answer['request_id']}" in lines
    assert f"content-length: {len(content)}" in lines
    assert "connection: close" in lines
