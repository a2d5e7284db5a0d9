"""An upstream's answer on its way to the caller: whole, or part by part as it arrives."""

import re
from typing import Annotated

import msgspec

from functions.gateway.body import NOT_JSON
from functions.gateway.exchange import Exchange
from functions.gateway.keep_alive import KeepAlive
from shared import telemetry
from shared.core.errors import UpstreamFailed
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


DONE = re.compile(rb"^data: ?\[DONE\]", re.MULTILINE)
BLANK_LINES = (b"\n\n", b"\r\n\r\n")
MOST_EVENT_BYTES = 4 * 1024 * 1024
Tokens = Annotated[int, msgspec.Meta(ge=0, le=10**9)]


class Usage(msgspec.Struct):
    prompt_tokens: Tokens = 0
    completion_tokens: Tokens = 0


class WithUsage(msgspec.Struct):
    usage: Usage | None = None


_decode_usage = msgspec.json.Decoder(WithUsage).decode


async def send_whole(exchange: Exchange, response: Response, content: bytes) -> None:
    """Sends the answer, whose body has been read, in one piece and with its length."""
    await exchange.begin(response.status, [*passed_back(response), ("content-length", str(len(content)))])
    await exchange.write(content, more=False)


async def relay_stream(exchange: Exchange, response: Response, clock: Clock, keep_alive: KeepAlive | None) -> None:
    """Sends each event the moment it is complete, and reads the token counts as they pass.

    UpstreamFailed when the stream ends without `[DONE]`: a caller could not tell that something is missing.
    """
    if not exchange.status:
        await exchange.begin(response.status, passed_back(response))
    first, done, rest = True, False, b""
    async for chunk in response.chunks():
        if first:
            series(telemetry.FIRST_TOKEN, exchange.model).observe(clock.monotonic() - exchange.started)
            if keep_alive:
                keep_alive.stop()
            first = False
        events, rest = _whole_events(rest + chunk)
        if events:
            await exchange.write(events, more=True)
            exchange.events_sent += events.count(b"\n\n")
            done = done or DONE.search(events) is not None
            if b'"usage"' in events:
                _note_stream_usage(exchange, events)
    if not done:
        raise UpstreamFailed("The model's server ended the stream early.")
    await exchange.write(rest, more=False)


def _whole_events(received: bytes) -> tuple[bytes, bytes]:
    """The events that are complete, and the beginning of the next one."""
    end = max((received.rfind(blank) + len(blank) for blank in BLANK_LINES if blank in received), default=0)
    if len(received) - end > MOST_EVENT_BYTES:
        raise UpstreamFailed("The model's server sent an event without an end.")
    return received[:end], received[end:]


def passed_back(response: Response) -> list[tuple[str, str]]:
    """The headers that concern the caller; what cannot stand in a header is dropped."""
    found = ((name, response.header(name)) for name in PASSED_BACK)
    return [(name, value) for name, value in found if value and value.isascii()]


def note_usage(exchange: Exchange, content: bytes) -> None:
    """Remembers the token counts of an answer; one without them, or that is no JSON, counts nothing."""
    try:
        usage = _decode_usage(content).usage
    except NOT_JSON:
        return
    if usage:
        exchange.tokens_in, exchange.tokens_out = usage.prompt_tokens, usage.completion_tokens


def _note_stream_usage(exchange: Exchange, chunk: bytes) -> None:
    for line in chunk.splitlines():
        if line.startswith(b"data:") and b'"usage"' in line:
            note_usage(exchange, line[5:])
