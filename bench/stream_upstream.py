"""An upstream that streams: `max_tokens` events, a fixed time apart, then usage and `[DONE]`.

`python -m bench.stream_upstream PORT INTERVAL_S`. Each stream keeps its own time, so that a late event shows.
"""

import asyncio
import re
import sys
from typing import cast

import uvloop

from bench import mock
from bench.load import HEAD_END, is_whole
from bench.processes import Program, free_port

STREAM = b'"stream":true'
MOST_TOKENS = re.compile(rb'"max_(?:completion_)?tokens": ?(\d+)')
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
NOTHING = WHOLE % (2, b"{}")
"""What a GET is answered with: whoever asks for its health or its models."""
COMPLETION = WHOLE % (len(mock.COMPLETION), mock.COMPLETION.encode())
EVENT = '{{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"mock","choices":[{choice}]{usage}}}'
CHOICE = '{{"index":0,"delta":{{"role":"assistant","content":"word {number} "}},"finish_reason":null}}'
LAST_CHOICE = '{"index":0,"delta":{},"finish_reason":"stop"}'
USAGE = ',"usage":{{"prompt_tokens":10,"completion_tokens":{tokens},"total_tokens":{total}}}'


def program(interval_s: float) -> Program:
    port = free_port()
    return Program((sys.executable, "-m", "bench.stream_upstream", str(port), str(interval_s)), port)


class Stream(asyncio.Protocol):
    """Answers each request on a connection with a stream."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._received = b""
        self._left = 0
        self._next_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self._loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._received.startswith(b"GET ") and self._received.endswith(HEAD_END):
            self._received = b""
            self._transport.write(NOTHING)
        elif is_whole(self._received):
            asked, self._received = self._received, b""
            if STREAM in asked.replace(b" ", b""):
                self._stream(asked)
            else:
                self._transport.write(COMPLETION)

    def _stream(self, asked: bytes) -> None:
        found = MOST_TOKENS.search(asked)
        self._tokens = self._left = int(found[1]) if found else 1
        self._next_at = self._loop.time()
        self._transport.write(HEAD)
        self._say()

    def _say(self) -> None:
        if self._transport.is_closing():
            return
        if self._left:
            self._transport.write(WORDS[self._left % len(WORDS)])
            self._left -= 1
            self._next_at += self._interval_s
            self._loop.call_at(self._next_at, self._say)
            return
        usage = USAGE.format(tokens=self._tokens, total=self._tokens + 10)
        self._transport.write(_chunk(_event(LAST_CHOICE) + _event("", usage) + "data: [DONE]\n\n") + b"0\r\n\r\n")


def _event(choice: str, usage: str = "") -> str:
    return f"data: {EVENT.format(choice=choice, usage=usage)}\n\n"


def _chunk(text: str) -> bytes:
    return b"%x\r\n%b\r\n" % (len(text), text.encode())


WORDS = [_chunk(_event(CHOICE.format(number=number))) for number in range(100)]
"""Not twice the same: some gateways take repeated events for a model that hangs."""


async def serve(port: int, interval_s: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Stream(interval_s), "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), float(sys.argv[2])))
