"""An upstream's answer on its way to the caller: whole, or part by part as it arrives."""

from typing import Annotated

import msgspec

from functions.gateway.body import NOT_JSON
from functions.gateway.exchange import Exchange
from functions.gateway.keep_alive import KeepAlive
from functions.gateway.recording import is_stream
from shared import telemetry
from shared.core import tokens
from shared.core.errors import UpstreamFailed
from shared.ports.clock import Clock
from shared.ports.upstream import Response, UpstreamError
from shared.telemetry import series
from shared.web import sse

PASSED_BACK = (
    "content-type",
    "content-disposition",
    "location",
    "retry-after",
    "allow",
    "etag",
    "cache-control",
    "preference-applied",
)


MOST_WHOLE_BYTES = 1024 * 1024
Tokens = Annotated[int, msgspec.Meta(ge=0, le=10**9)]


class CutOff(Exception):
    """The answer ended in its middle. Only a connection that ends as abruptly tells the caller."""


class Usage(msgspec.Struct):
    prompt_tokens: Tokens = 0
    completion_tokens: Tokens = 0


class WithUsage(msgspec.Struct):
    usage: Usage | None = None
    choices: list[msgspec.Raw] | None = None


_decode_usage = msgspec.json.Decoder(WithUsage).decode


async def send_whole(exchange: Exchange, response: Response, content: bytes) -> None:
    """Sends the answer, whose body has been read, in one piece and with its length."""
    await exchange.begin(response.status, [*passed_back(response), ("content-length", str(len(content)))])
    await exchange.write(content, more=False)


async def send_on(exchange: Exchange, response: Response) -> None:
    """Sends a function's answer: a short one in one piece, any other part by part, never held whole."""
    length = response.header("content-length")
    if length.isdigit() and int(length) <= MOST_WHOLE_BYTES:
        await send_whole(exchange, response, await response.read())
        return
    headers = passed_back(response)
    await exchange.begin(response.status, [*headers, ("content-length", length)] if length else headers)
    try:
        async for chunk in response.chunks():
            await exchange.write(chunk, more=True)
    except UpstreamError as error:
        if is_stream(headers):
            raise
        raise CutOff(str(error)) from error
    await exchange.write(b"", more=False)


async def relay_stream(exchange: Exchange, response: Response, clock: Clock, keep_alive: KeepAlive | None) -> None:
    """Sends each event the moment it is complete, and reads the token counts as they pass.

    The event that tells them goes on only to a caller who has asked for it. UpstreamFailed when the stream ends
    without `[DONE]`: a caller could not tell that something is missing.
    """
    if not exchange.status:
        await exchange.begin(response.status, passed_back(response))
    first, done = True, False
    async for block in sse.blocks(response.chunks()):
        if first:
            series(telemetry.FIRST_TOKEN, exchange.model).observe(clock.monotonic() - exchange.started)
            if keep_alive:
                keep_alive.stop()
            first = False
        done = done or sse.ends(block)
        if passed := _noted(exchange, block) if b'"usage"' in block else block:
            await exchange.write(passed, more=True)
            exchange.events_sent += max(1, passed.count(b"\n\n"))
    if not done:
        raise UpstreamFailed("The model's server ended the stream early.")
    await exchange.write(b"", more=False)


def passed_back(response: Response) -> list[tuple[str, str]]:
    """The headers that concern the caller; what cannot stand in a header is dropped."""
    found = ((name, response.header(name)) for name in PASSED_BACK)
    return [(name, value) for name, value in found if value and value.isascii()]


def note_usage(exchange: Exchange, content: bytes) -> WithUsage | None:
    """Remembers the token counts of an answer or of a part of one, and gives what it was read from, if it has any."""
    try:
        told = _decode_usage(content)
    except NOT_JSON:
        return None
    if told.usage is None:
        return None
    exchange.tokens_in, exchange.tokens_out = told.usage.prompt_tokens, told.usage.completion_tokens
    return told


def estimate_usage(exchange: Exchange) -> None:
    """The tokens of an answer whose server told no count, from what came of it before it ended or broke off."""
    if not exchange.tokens_in and not exchange.tokens_out:
        exchange.tokens_in = exchange.estimated_input
        exchange.tokens_out = tokens.unreported_output(exchange.body_bytes_sent, exchange.events_sent)
        exchange.usage_is_estimated = True


def _noted(exchange: Exchange, block: bytes) -> bytes:
    """The block's events for the caller, once their usage has been read."""
    asked = exchange.asked
    if asked and asked.wants_usage:
        for payload in sse.payloads(block):
            note_usage(exchange, payload)
        return block
    return b"".join(event for event in sse.events(block) if not _tells_only_usage(exchange, event))


def _tells_only_usage(exchange: Exchange, event: bytes) -> bool:
    told = [note_usage(exchange, payload) for payload in sse.payloads(event)]
    return any(each and not each.choices for each in told)
