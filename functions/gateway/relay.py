"""An upstream's answer on its way to the caller: whole, or part by part as it arrives."""

from typing import Annotated, Any

import msgspec

from functions.gateway.body import NOT_JSON
from functions.gateway.charge import comment
from functions.gateway.completion import tells_error
from functions.gateway.exchange import Exchange
from functions.gateway.keep_alive import KeepAlive
from shared import telemetry
from shared.core import tokens
from shared.core.errors import UpstreamFailed
from shared.ports.clock import Clock
from shared.ports.upstream import Response, UpstreamError
from shared.web import sse
from shared.web.asgi import RawHeaders

PASSED_BACK = (
    b"content-type",
    b"content-disposition",
    b"location",
    b"retry-after",
    b"allow",
    b"etag",
    b"cache-control",
    b"preference-applied",
)


MOST_WHOLE_BYTES = 1024 * 1024
Tokens = Annotated[int, msgspec.Meta(ge=0, le=10**9)]


class CutOff(Exception):
    """The answer ended in its middle. Only a connection that ends as abruptly tells the caller."""


class PromptDetails(msgspec.Struct):
    cached_tokens: Tokens | None = None


class Usage(msgspec.Struct):
    prompt_tokens: Tokens = 0
    completion_tokens: Tokens = 0
    prompt_tokens_details: PromptDetails | None = None


class WithUsage(msgspec.Struct):
    usage: Usage | None = None
    choices: list[msgspec.Raw] | None = None


_decode_usage = msgspec.json.Decoder(WithUsage).decode
_decode_event = msgspec.json.Decoder(dict[str, Any]).decode


async def send_whole(exchange: Exchange, response: Response, content: bytes) -> None:
    """Sends the answer, whose body has been read, in one piece and with its length."""
    await exchange.begin(response.status, [*passed_back(response), (b"content-length", b"%d" % len(content))])
    await exchange.write(content, more=False)


async def send_on(exchange: Exchange, response: Response) -> None:
    """Sends a function's answer: a short one in one piece, any other part by part, never held whole."""
    length = response.header(b"content-length")
    if length.isdigit() and int(length) <= MOST_WHOLE_BYTES:
        await send_whole(exchange, response, await response.read())
        return
    headers = passed_back(response)
    await exchange.begin(response.status, [*headers, (b"content-length", length)] if length else headers)
    try:
        async for chunk in response.chunks():
            await exchange.write(chunk, more=True)
    except UpstreamError as error:
        if is_stream(response):
            raise
        raise CutOff(str(error)) from error
    await exchange.write(b"", more=False)


async def relay_stream(exchange: Exchange, response: Response, clock: Clock, keep_alive: KeepAlive | None) -> None:
    """Sends each event the moment it is complete, and reads the token counts as they pass.

    The event that tells them goes on only to a caller who has asked for it. UpstreamFailed when the stream ends
    without `[DONE]` or an error: a caller could not tell that something is missing.
    """
    if not exchange.status:
        await exchange.begin(response.status, passed_back(response))
    first, done, told = True, False, False
    async for block in sse.blocks(response.chunks()):
        if first:
            telemetry.FIRST_TOKEN.labels(exchange.model).observe(clock.monotonic() - exchange.started)
            if keep_alive:
                keep_alive.stop()
            first = False
        if not done and sse.ends(block):
            done = True
            last, end = sse.parted(block)
            await _pass_on(exchange, last)
            await _tell_cost(exchange)
            await exchange.write(end, more=True)
        else:
            await _pass_on(exchange, block)
            told = told or _is_refusal(block)
    if not done and not told:
        raise UpstreamFailed("The model's server ended the stream early.")
    await exchange.write(b"", more=False)


def _is_refusal(block: bytes) -> bool:
    """Whether the upstream says in this block what went wrong."""
    return b'"error"' in block and any(map(tells_error, sse.payloads(block)))


def passed_back(response: Response) -> RawHeaders:
    """The headers that concern the caller; what cannot stand in a header is dropped."""
    return [(name, value) for name in PASSED_BACK if (value := response.header(name)) and value.isascii()]


def is_stream(response: Response) -> bool:
    return response.header(b"content-type").startswith(b"text/event-stream")


def note_usage(exchange: Exchange, content: bytes) -> WithUsage | None:
    """Remembers the token counts of an answer or of a part of one, and gives what it was read from, if it has any."""
    try:
        told = _decode_usage(content)
    except NOT_JSON:
        return None
    if told.usage is None:
        return None
    exchange.tokens_in, exchange.tokens_out = told.usage.prompt_tokens, told.usage.completion_tokens
    if details := told.usage.prompt_tokens_details:
        exchange.tokens_cached = details.cached_tokens or 0
    return told


def estimate_usage(exchange: Exchange, answer_bytes: int = 0) -> None:
    """The tokens of an answer whose server told no count, from what came of it before it ended or broke off."""
    if not exchange.tokens_in and not exchange.tokens_out:
        exchange.tokens_in = exchange.estimated_input
        exchange.tokens_out = tokens.unreported_output(answer_bytes, exchange.events_sent)
        exchange.usage_is_estimated = True


async def _pass_on(exchange: Exchange, block: bytes) -> None:
    passed = recorded = block
    if b'"usage"' in block:
        passed, recorded = _noted(exchange, block)
    if passed:
        exchange.events_sent += max(1, sum(map(passed.count, sse.BLANK_LINES)))
        await exchange.write(passed, more=True, recorded=None if recorded is passed else recorded)


async def _tell_cost(exchange: Exchange) -> None:
    """In a comment, which clients pass over: the headers have gone out long ago."""
    estimate_usage(exchange)
    if exchange.charge and (told := exchange.charge.note_answer()):
        await exchange.write(comment(told), more=True, recorded=b"")


def _noted(exchange: Exchange, block: bytes) -> tuple[bytes, bytes]:
    """The block's events for the caller, once their usage has been read, and for whoever is given them later."""
    passed, recorded = [], []
    for event in sse.events(block):
        if not _tells_only_usage(exchange, event):
            passed.append(event)
            recorded.append(event)
        elif exchange.asked and exchange.asked.wants_usage:
            passed.append(_with_cost(exchange, event))
            recorded.append(event)
    return b"".join(passed), b"".join(recorded)


def _with_cost(exchange: Exchange, event: bytes) -> bytes:
    if exchange.charge is None or exchange.charge.note_answer() is None:
        return event
    told = _decode_event(b"".join(sse.payloads(event)))
    told["usage"]["cost_usd"] = exchange.cost_usd
    return sse.event(msgspec.json.encode(told))


def _tells_only_usage(exchange: Exchange, event: bytes) -> bool:
    told = [note_usage(exchange, payload) for payload in sse.payloads(event)]
    return any(each and not each.choices for each in told)
