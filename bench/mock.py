"""The mock upstream: an OpenAI-compatible server that answers every request with the same completion at once.

It is nginx where there is one, because it must never be what limits; else a small server in this file, which is
fast enough for every contender that is left then. `python -m bench.mock PORT` runs that one.
"""

import asyncio
import sys
from pathlib import Path
from typing import cast

import uvloop

from bench import nginx
from bench.load import HEAD_END, is_whole
from bench.processes import Program, free_port

MODEL = "mock"
PATH = "/v1/chat/completions"
TEXT = "Hello there, how can I help you today?"
REQUEST = b'{"model":"mock","messages":[{"role":"user","content":"Hello"}],"max_tokens":16}'
COMPLETION = (
    '{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"mock","choices":[{"index":0,"message":'
    f'{{"role":"assistant","content":"{TEXT}"}},"finish_reason":"stop"}}],'
    '"usage":{"prompt_tokens":10,"completion_tokens":9,"total_tokens":19}}'
)
NGINX = "server {{ listen 127.0.0.1:{port}; location / {{ default_type application/json; return 200 '{answer}'; }} }}"


def name() -> str:
    return f"nginx {nginx.version()}" if nginx.found() else "python -m bench.mock"


def program(folder: Path) -> Program:
    """The mock upstream to start, with its files in the folder."""
    port = free_port()
    if nginx.found():
        return nginx.program(folder / "upstream", port, NGINX.format(port=port, answer=COMPLETION))
    return Program((sys.executable, "-m", "bench.mock", str(port)), port)


class Mock(asyncio.Protocol):
    """Answers each request once it is whole."""

    def __init__(self) -> None:
        body = COMPLETION.encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
        self._answer = head.encode() + HEAD_END + body
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write = cast(asyncio.WriteTransport, transport).write

    def data_received(self, data: bytes) -> None:
        self._received += data
        if is_whole(self._received):
            self._received = b""
            self._write(self._answer)


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Mock, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
