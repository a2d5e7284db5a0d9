"""An upstream's answer on its way to the caller: whole, or part by part as it arrives."""

from collections.abc import Sequence

import msgspec

from functions.gateway.exchange import Exchange
from functions.gateway.keep_alive import KeepAlive
from shared import telemetry
from shared.ports.clock import Clock
from shared.ports.upstream import Response
from shared.telemetry import series

PASSED_BACK = (
    "content-type",
    "location",
    "retry-after",
    "allow",
    "etag",
    "cache-control",
    "preference-applied",
)


class Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class WithUsage(msgspec.Struct):
    usage: Usage | None = None


_decode_usage = msgspec.json.Decoder(WithUsage).decode


async def relay_whole(exchange: Exchange, response: Response) -> bytes:
    """Sends the answer in one piece, with its length."""
    content = await response.read()
    await exchange.begin(response.status, [*passed_back(response), ("content-length", str(len(content)))])
    await exchange.write(content, more=False)
    return content


async def relay_stream(exchange: Exchange, response: Response, clock: Clock, keep_alive: KeepAlive | None) -> None:
    """Sends each part the moment it comes, and reads the token counts as they pass."""
    if not exchange.status:
        await exchange.begin(response.status, passed_back(response))
    first = True
    async for chunk in response.chunks():
        if first:
            series(telemetry.FIRST_TOKEN, exchange.model).observe(clock.monotonic() - exchange.started)
            if keep_alive:
                keep_alive.stop()
            first = False
        await exchange.write(chunk, more=True)
        exchange.events_sent += chunk.count(b"\n\n")
        if b'"usage"' in chunk:
            _note_stream_usage(exchange, chunk)
    await exchange.write(b"", more=False)


def passed_back(response: Response, names: Sequence[str] = PASSED_BACK) -> list[tuple[str, str]]:
    return [(name, value) for name in names if (value := response.header(name))]


def note_usage(exchange: Exchange, content: bytes) -> None:
    """Remembers the token counts of an answer; one without them, or that is no JSON, counts nothing."""
    try:
        usage = _decode_usage(content).usage
    except msgspec.DecodeError:
        return
    if usage:
        exchange.tokens_in, exchange.tokens_out = usage.prompt_tokens, usage.completion_tokens


def _note_stream_usage(exchange: Exchange, chunk: bytes) -> None:
    for line in chunk.split(b"\n"):
        if line.startswith(b"data: {") and b'"usage"' in line:
            note_usage(exchange, line[6:])
