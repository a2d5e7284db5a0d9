"""An upstream's answer on its way to the caller: whole, or part by part as it arrives."""

from typing import Any, NamedTuple

import msgspec

from functions.gateway.charge import comment
from functions.gateway.completion import tells_error
from functions.gateway.exchange import Exchange
from functions.gateway.keep_alive import KeepAlive
from functions.gateway.transfer_rate import TooSlow, TransferRate
from shared import telemetry
from shared.core.errors import UpstreamFailed
from shared.ports.clock import Clock
from shared.ports.upstream import Response, UpstreamError
from shared.surfaces import usage
from shared.surfaces.surface import Surface
from shared.surfaces.usage import NOT_JSON
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


NULL_USAGE = [(b"}" + end, b',"usage":null}' + end) for end in (b"\n\n", b"\r\n\r\n")]
"""How an object at the end of an event ends, without usage and with it."""
MARKS = (usage.MARK, b'"error"', sse.DONE)
"""What stands in events that are more than parts of the answer."""
MOST_WHOLE_BYTES = 1024 * 1024
PIECE_BYTES = 8 * 1024
"""Of a file on its way to its caller: small enough to tell how fast the caller reads."""


class CutOff(Exception):
    """The answer ended in its middle. Only a connection that ends as abruptly tells the caller."""


class UsageEvent(msgspec.Struct):
    usage: dict[str, msgspec.Raw]
    choices: list[msgspec.Raw] | None = None


_decode_usage_event = msgspec.json.Decoder(UsageEvent).decode
_decode_event = msgspec.json.Decoder(dict[str, Any]).decode


async def send_whole(exchange: Exchange, response: Response, content: bytes) -> None:
    """Sends the answer, whose body has been read, in one piece and with its length."""
    await exchange.begin(response.status, [*passed_back(response), (b"content-length", b"%d" % len(content))])
    await exchange.write(content, more=False)


class ShortAnswer(NamedTuple):
    """A function's answer, read to its end: the function is free, however slowly the caller reads."""

    status: int
    headers: RawHeaders
    content: bytes

    @classmethod
    async def of(cls, response: Response) -> "ShortAnswer | None":
        """None when it is not short."""
        length = response.header(b"content-length")
        if not length.isdigit() or int(length) > MOST_WHOLE_BYTES:
            return None
        return cls(response.status, passed_back(response), await response.read())

    async def send(self, exchange: Exchange) -> None:
        await exchange.begin(self.status, [*self.headers, (b"content-length", b"%d" % len(self.content))])
        await exchange.write(self.content, more=False)


async def send_on(exchange: Exchange, response: Response, rate: TransferRate) -> None:
    """Sends a function's answer part by part, never held whole; CutOff for a caller who reads too slowly."""
    length, headers = response.header(b"content-length"), passed_back(response)
    await exchange.begin(response.status, [*headers, (b"content-length", length)] if length else headers)
    try:
        async for chunk in response.chunks():
            for start in range(0, len(chunk), PIECE_BYTES):
                piece = chunk[start : start + PIECE_BYTES]
                await rate.wait_for(exchange.write(piece, more=True))
                rate.moved(len(piece))
    except TooSlow as error:
        raise CutOff("the caller reads too slowly") from error
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
    reader = sse.BlockReader()

    def take(part: bytes) -> bool:
        """Passes on what is nothing but parts of the answer, at once."""
        if first or not reader.is_whole(part) or not exchange.takes_now(part) or any(map(part.__contains__, MARKS)):
            return False
        exchange.tally.take(part)
        exchange.write_now(_completed(exchange, part), more=True)
        return True

    async for block in sse.blocks(response.chunks(take), reader):
        if first and b"data:" in block:
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


def note_whole(exchange: Exchange, surface: Surface, content: bytes) -> None:
    """Remembers the token counts of a whole answer; estimates those that it does not report."""
    if reported := usage.read(content):
        exchange.tally.note(reported)
    if not exchange.tally.has_output and surface.is_answer(content):
        exchange.tally.take_whole(content)
    settle_usage(exchange, ended=True)


def settle_usage(exchange: Exchange, *, ended: bool) -> None:
    """The tokens of an answer that has ended, or of what came of it before it broke off or its caller left."""
    tally = exchange.tally
    if not tally.came:
        return
    reported = tally.usage
    exchange.tokens_in = exchange.estimated_input if tally.is_silent or reported.input is None else reported.input
    exchange.tokens_out = tally.final_output if ended else tally.output
    exchange.tokens_cached = reported.cached or 0
    exchange.usage_is_estimated = not (ended and tally.has_output and reported.input is not None)


async def _pass_on(exchange: Exchange, block: bytes) -> None:
    if usage.MARK in block:
        passed, recorded = _noted(exchange, block)
    else:
        exchange.tally.take(block)
        passed = recorded = _completed(exchange, block)
    if passed:
        await exchange.write(passed, more=True, recorded=None if recorded is passed else recorded)


async def _tell_cost(exchange: Exchange) -> None:
    """In a comment, which clients pass over: the headers have gone out long ago."""
    settle_usage(exchange, ended=True)
    if exchange.charge and (told := exchange.charge.note_answer()):
        await exchange.write(comment(told), more=True, recorded=b"")


def _completed(exchange: Exchange, block: bytes) -> bytes:
    """Events without usage, for a caller who has asked for it: OpenAI's say so."""
    if not (exchange.asked and exchange.asked.wants_usage) or b'"error"' in block:
        return block
    for end, with_usage in NULL_USAGE:
        if b"{" + end not in block:
            block = block.replace(end, with_usage)
    return block


def _noted(exchange: Exchange, block: bytes) -> tuple[bytes, bytes]:
    """The block's events for the caller, once their usage has been read, and for whoever is given them later."""
    passed, recorded = [], []
    for event in sse.events(block):
        if exchange.tally.take_comment(event):
            continue
        if not _tells_only_usage(exchange, event):
            passed.append(event if usage.MARK in event else _completed(exchange, event))
            recorded.append(passed[-1])
        elif exchange.asked and exchange.asked.wants_usage:
            passed.append(_with_cost(exchange, event))
            recorded.append(event)
    return b"".join(passed), b"".join(recorded)


def _with_cost(exchange: Exchange, event: bytes) -> bytes:
    settle_usage(exchange, ended=True)
    if exchange.charge is None or exchange.charge.note_answer() is None:
        return event
    try:
        told = _decode_event(b"".join(sse.payloads(event)))
        told["usage"]["cost_usd"] = exchange.cost_usd
        return sse.event(msgspec.json.encode(told))
    except NOT_JSON:  # a number that Python has none for
        return event


def _tells_only_usage(exchange: Exchange, event: bytes) -> bool:
    """Whether an event has nothing but usage in it, which is noted."""
    exchange.tally.take(event)
    is_only = False
    for payload in sse.payloads(event):
        if reported := usage.read(payload):
            exchange.tally.note(reported)
        is_only = is_only or _is_only_usage(payload)
    return is_only


def _is_only_usage(payload: bytes) -> bool:
    try:
        return not _decode_usage_event(payload).choices
    except NOT_JSON:
        return False
