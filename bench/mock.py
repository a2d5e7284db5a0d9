"""The mock upstream: an OpenAI-compatible server that answers every request with the same completion at once.

It is nginx where there is one, because it must never be what limits; else a small server in this file, which is
fast enough for every contender that is left then. `python -m bench.mock PORT` runs that one. Both count what they are
asked, so that a contender that answers from a cache of its own is found out.
"""

import asyncio
import http.client
import re
import sys
from pathlib import Path
from typing import cast

import uvloop

from bench import nginx
from bench.load import HEAD_END, is_whole
from bench.processes import BenchError, Program, free_port

PATIENCE_S = 30.0
MODEL = "mock"
PATH = "/v1/chat/completions"
TEXT = "Hello there, how can I help you today?"
COMPLETION = (
    '{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"mock","choices":[{"index":0,"message":'
    f'{{"role":"assistant","content":"{TEXT}"}},"finish_reason":"stop"}}],'
    '"usage":{"prompt_tokens":10,"completion_tokens":9,"total_tokens":19}}'
)
COUNT_PATH = "/count"
COUNT_REQUEST = f"GET {COUNT_PATH} ".encode()
COUNT = re.compile(r"requests\s+\d+ \d+ (\d+)")
"""nginx's `stub_status`, whose format the other server speaks, too."""
NGINX = """
    server {{
        listen 127.0.0.1:{port};
        location / {{ default_type application/json; return 200 '{answer}'; }}
        location = {count_path} {{ stub_status; }}
    }}
"""


def request(model: str = MODEL) -> bytes:
    return b'{"model":"%b","messages":[{"role":"user","content":"Hello"}],"max_tokens":16}' % model.encode()


def streamed_request(events: int, model: str = MODEL) -> bytes:
    return request(model).replace(
        b'"max_tokens":16', b'"max_tokens":%d,"stream":true,"stream_options":{"include_usage":true}' % events
    )


def name() -> str:
    return f"nginx {nginx.version()}" if nginx.found() else "python -m bench.mock"


def program(folder: Path) -> Program:
    """The mock upstream to start, with its files in the folder."""
    port = free_port()
    if nginx.found():
        return nginx.program(
            folder / "upstream", port, NGINX.format(port=port, answer=COMPLETION, count_path=COUNT_PATH)
        )
    return Program((sys.executable, "-m", "bench.mock", str(port)), port)


def asked(port: int) -> int:
    """How many requests the upstream has had so far, this one included."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request("GET", COUNT_PATH)
        told = connection.getresponse().read().decode()
    finally:
        connection.close()
    if not (found := COUNT.search(told)):
        raise BenchError(f"the upstream does not tell how often it was asked: {told[:200]!r}")
    return int(found[1])


class Mock:
    """The server for machines without nginx."""

    def __init__(self) -> None:
        self._asked = 0
        self._completion = _ok("application/json", COMPLETION)

    def answer(self, received: bytes) -> bytes:
        self._asked += 1
        if received.startswith(COUNT_REQUEST):
            return _ok("text/plain", f"server accepts handled requests\n 0 0 {self._asked}")
        return self._completion


class MockConnection(asyncio.Protocol):
    """Answers each request once it is whole."""

    def __init__(self, mock: Mock) -> None:
        self._mock = mock
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write = cast(asyncio.WriteTransport, transport).write

    def data_received(self, data: bytes) -> None:
        self._received += data
        if is_whole(self._received) or self._received.startswith(COUNT_REQUEST):
            self._write(self._mock.answer(self._received))
            self._received = b""


def _ok(content_type: str, body: str) -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}"
    return head.encode() + HEAD_END + body.encode()


async def serve(port: int) -> None:
    mock = Mock()
    server = await asyncio.get_running_loop().create_server(lambda: MockConnection(mock), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
