"""Reads a request's body within its bounds of size and time, and decodes what the gateway must know of it."""

import codecs

import msgspec

from functions.gateway.exchange import Exchange
from shared.core.errors import InvalidRequest
from shared.settings import Settings
from shared.surfaces import request
from shared.surfaces.request import InferenceRequest
from shared.surfaces.usage import NOT_JSON
from shared.web.asgi import look_into, read_body
from shared.web.structure import PIECE_BYTES, check_structure
from shared.web.validation import MAX_DEPTH

MOST_CANONICAL_BYTES = 1024 * 1024


STREAM_OPTIONS = "stream_options"
MOST_VALUES_OF_MESSAGES = 50_000
"""More stand only in a prompt of tokens."""


async def read(exchange: Exchange, settings: Settings) -> bytes:
    """The whole body. PayloadTooLarge, BodyTimeout, or CallerLeft when the caller hangs up half-way."""
    if exchange.content is None:
        most = (exchange.route and exchange.route.max_body_bytes) or settings.max_body_bytes
        if exchange.route and exchange.route.upload:  # held whole only for the sake of its idempotency key
            most = min(most, settings.max_body_bytes)
        exchange.content = await read_body(exchange.receive, exchange.declared_length, most, settings.body_timeout_s)
    return exchange.content


async def asked(exchange: Exchange, settings: Settings) -> InferenceRequest:
    """What an inference request asks for; InvalidRequest names the field that is wrong."""
    if exchange.asked is None:
        content = await read(exchange, settings)
        exchange.asked = await look_into(content, inference, content, settings.max_json_depth)
    return exchange.asked


def inference(body: bytes, max_depth: int) -> InferenceRequest:
    """The fields the gateway needs; InvalidRequest names the one that is wrong."""
    check_text(body)
    check_structure(body, max_depth)
    asked = request.read(body)
    if asked.messages:
        check_structure(body, max_depth, MOST_VALUES_OF_MESSAGES)
    return asked


def check_text(body: bytes) -> None:
    """InvalidRequest unless the body is UTF-8."""
    if body.isascii():
        return
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(body), PIECE_BYTES):
        pending = len(decoder.getstate()[0])
        try:
            decoder.decode(body[start : start + PIECE_BYTES], final=start + PIECE_BYTES >= len(body))
        except UnicodeDecodeError as error:
            at = start - pending + error.start
            raise InvalidRequest(f"The body is not UTF-8: byte {at}.", code="invalid_json") from None


def canonical(content: bytes, leave_out: frozenset[str] = frozenset()) -> bytes:
    """The same JSON always as the same bytes, without some of its fields. What is large or no JSON stays as it is."""
    if len(content) > MOST_CANONICAL_BYTES:  # decoded it would take many times the memory
        return content
    try:
        check_structure(content, MAX_DEPTH)
        value = msgspec.json.decode(content)
        if isinstance(value, dict):
            value = {name: field for name, field in value.items() if name not in leave_out}
        return msgspec.json.encode(value, order="deterministic")
    except (*NOT_JSON, InvalidRequest):
        return content


def may_name_two_models(content: bytes) -> bool:
    """Whether the field might stand there twice, in which case another server may read the other one."""
    return content.count(b'"model"') > 1 or b"\\u006" in content  # with which every letter of it can be written


def changed(content: bytes, model: str, *, ask_for_usage: bool, drop_options: bool = False) -> bytes:
    """The same request under another name of the model; every other field stays as it came, or with the wish to be told
    the token counts of a stream, or without the options of a stream."""
    fields = request.fields(content)
    fields["model"] = msgspec.Raw(msgspec.json.encode(model))
    if ask_for_usage:
        options = msgspec.json.decode(fields.get(STREAM_OPTIONS, b"null"), type=dict[str, msgspec.Raw] | None)
        options = (options or {}) | {"include_usage": msgspec.Raw(b"true")}
        fields[STREAM_OPTIONS] = msgspec.Raw(msgspec.json.encode(options))
    if drop_options:
        fields.pop(STREAM_OPTIONS, None)
    return msgspec.json.encode(fields)
