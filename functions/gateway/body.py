"""Reads a request's body within its bounds of size and time, and decodes what the gateway must know of it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from functions.gateway.exchange import Exchange, Message
from shared.core.errors import BodyTimeout, InvalidRequest, OmniError, PayloadTooLarge
from shared.settings import Settings
from shared.web.validation import check_depth

MOST_CANONICAL_BYTES = 1024 * 1024


NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding may raise, whatever the bytes are."""


class CallerLeft(Exception):
    """The caller closed the connection."""


class Upload:
    """A body on its way to a function, part by part, within the route's bounds of size and time."""

    def __init__(self, exchange: Exchange, settings: Settings, most: int, most_s: float) -> None:
        """PayloadTooLarge when the caller announces more than `most` bytes."""
        _require_size(exchange, most)
        self.refusal: OmniError | CallerLeft | None = None
        """Why the body ended early; whoever sends it on sees only that it did."""
        self._exchange = exchange
        self._most = most
        self._most_s = most_s
        self._silence_s = settings.body_timeout_s

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size, more = 0, True
        end = asyncio.get_running_loop().time() + self._most_s
        while more:
            try:
                message = await self._message(end)
                part = message.get("body", b"")
                size += len(part)
                _require_at_most(size, self._most)
            except (OmniError, CallerLeft) as error:
                self.refusal = error
                raise
            more = message.get("more_body", False)
            if part:
                yield part

    async def _message(self, end: float) -> Message:
        left_s = end - asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(min(self._silence_s, left_s)):
                message = await self._exchange.receive()
        except TimeoutError:
            if left_s < self._silence_s:
                raise BodyTimeout(f"The body did not arrive within {self._most_s:g} s.") from None
            raise BodyTimeout(f"No part of the body came for {self._silence_s:g} s.") from None
        if message["type"] == "http.disconnect":
            raise CallerLeft
        return message


class StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


STREAM_OPTIONS = "stream_options"


class Inference(msgspec.Struct):
    """What the gateway reads of an inference request; the rest passes through as it came."""

    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: float | None = None
    max_tokens: float | None = None
    max_completion_tokens: float | None = None
    n: float | None = None
    best_of: float | None = None
    prompt: msgspec.Raw = msgspec.Raw()

    @property
    def wants_usage(self) -> bool:
        """Whether the caller of a stream has asked for its token counts."""
        return bool(self.stream_options and self.stream_options.include_usage)


_decode_inference = msgspec.json.Decoder(Inference).decode


async def read(exchange: Exchange, settings: Settings) -> bytes:
    """The whole body. PayloadTooLarge, BodyTimeout, or CallerLeft when the caller hangs up half-way."""
    if exchange.content is None:
        exchange.content = await _receive(exchange, settings)
    return exchange.content


async def _receive(exchange: Exchange, settings: Settings) -> bytes:
    most = (exchange.route and exchange.route.max_body_bytes) or settings.max_body_bytes
    if exchange.route and exchange.route.upload:  # held whole only for the sake of its idempotency key
        most = min(most, settings.max_body_bytes)
    _require_size(exchange, most)
    try:
        async with asyncio.timeout(settings.body_timeout_s):
            return await _collect(exchange, most)
    except TimeoutError:
        raise BodyTimeout(f"The body did not arrive within {settings.body_timeout_s:g} s.") from None


async def _collect(exchange: Exchange, most: int) -> bytes:
    parts, size = [], 0
    while True:
        message = await exchange.receive()
        if message["type"] == "http.disconnect":
            raise CallerLeft
        part = message.get("body", b"")
        size += len(part)
        _require_at_most(size, most)
        parts.append(part)
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _require_size(exchange: Exchange, most: int) -> None:
    """PayloadTooLarge when the announced length is more than that, or no length."""
    declared = exchange.headers.get(b"content-length", b"0")
    _require_at_most(int(declared) if declared.isdigit() else most + 1, most)


def _require_at_most(size: int, most: int) -> None:
    if size > most:
        raise PayloadTooLarge(f"The body may have {most} bytes at most.")


async def asked(exchange: Exchange, settings: Settings) -> Inference:
    """What an inference request asks for; InvalidRequest names the field that is wrong."""
    if exchange.asked is None:
        exchange.asked = inference(await read(exchange, settings), settings.max_json_depth)
    return exchange.asked


def inference(body: bytes, max_depth: int) -> Inference:
    """The fields the gateway needs; InvalidRequest names the one that is wrong."""
    check_text(body)
    check_depth(body, max_depth)
    try:
        return _decode_inference(body)
    except msgspec.ValidationError as error:
        raise _invalid_field(str(error)) from None
    except msgspec.DecodeError as error:
        raise InvalidRequest(f"The body is not valid JSON: {error}", code="invalid_json") from None


def check_text(body: bytes) -> None:
    """InvalidRequest unless the body is UTF-8."""
    try:
        body.isascii() or body.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"The body is not UTF-8: byte {error.start}.", code="invalid_json") from None


def canonical(content: bytes, leave_out: frozenset[str] = frozenset()) -> bytes:
    """The same JSON always as the same bytes, without some of its fields. What is large or no JSON stays as it is."""
    if len(content) > MOST_CANONICAL_BYTES:  # decoded it would take many times the memory
        return content
    try:
        value = msgspec.json.decode(content)
        if isinstance(value, dict):
            value = {name: field for name, field in value.items() if name not in leave_out}
        return msgspec.json.encode(value, order="deterministic")
    except NOT_JSON:
        return content


def changed(content: bytes, model: str, *, ask_for_usage: bool) -> bytes:
    """The same request under another name of the model; every other field stays as it came, or with the wish to be told
    the token counts of a stream."""
    fields = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
    fields["model"] = msgspec.Raw(msgspec.json.encode(model))
    if ask_for_usage:
        options = msgspec.json.decode(fields.get(STREAM_OPTIONS, b"null"), type=dict[str, Any] | None)
        fields[STREAM_OPTIONS] = msgspec.Raw(msgspec.json.encode((options or {}) | {"include_usage": True}))
    return msgspec.json.encode(fields)


def _invalid_field(text: str) -> InvalidRequest:
    """msgspec's `Expected `str`, got `int` - at `$.model`` as our error, with the field in `param`."""
    problem, _, place = text.partition(" - at `$")
    if missing := problem.removeprefix("Object missing required field `").rstrip("`") if "missing" in problem else "":
        return InvalidRequest(f"'{missing}' is required.", param=missing, code="missing_field")
    param = place.rstrip("`").lstrip(".") or None
    where = f"'{param}'" if param else "The body"
    return InvalidRequest(f"{where} is not valid: {problem.replace('`', '')}.", param=param)
