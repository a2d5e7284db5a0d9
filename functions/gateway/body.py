"""Reads a request's body within its bounds of size and time, and decodes what the gateway must know of it."""

from collections.abc import Mapping

import msgspec

from functions.gateway.exchange import Exchange
from shared.core.errors import InvalidRequest
from shared.settings import Settings
from shared.web.asgi import look_into, read_body
from shared.web.structure import check_structure

MOST_CANONICAL_BYTES = 1024 * 1024


NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding may raise, whatever the bytes are."""


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


OPERATORS_CHOICE = frozenset({"models", "fallbacks", "base_url", "api_base", "api_key"})
"""Fields by which routers upstream (OpenRouter, LiteLLM) let a caller choose another model, server or account."""
FIELDS = frozenset(Inference.__struct_fields__)
_decode_inference = msgspec.json.Decoder(Inference).decode
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


async def read(exchange: Exchange, settings: Settings) -> bytes:
    """The whole body. PayloadTooLarge, BodyTimeout, or CallerLeft when the caller hangs up half-way."""
    if exchange.content is None:
        most = (exchange.route and exchange.route.max_body_bytes) or settings.max_body_bytes
        if exchange.route and exchange.route.upload:  # held whole only for the sake of its idempotency key
            most = min(most, settings.max_body_bytes)
        exchange.content = await read_body(exchange.receive, exchange.declared_length, most, settings.body_timeout_s)
    return exchange.content


async def asked(exchange: Exchange, settings: Settings) -> Inference:
    """What an inference request asks for; InvalidRequest names the field that is wrong."""
    if exchange.asked is None:
        content = await read(exchange, settings)
        exchange.asked = await look_into(content, inference, content, settings.max_json_depth)
    return exchange.asked


def inference(body: bytes, max_depth: int) -> Inference:
    """The fields the gateway needs; InvalidRequest names the one that is wrong."""
    check_text(body)
    check_structure(body, max_depth)
    try:
        asked = _decode_inference(body)
        _require_plain_names(_decode_fields(body))
    except msgspec.ValidationError as error:
        raise _invalid_field(str(error)) from None
    except msgspec.DecodeError as error:
        raise InvalidRequest(f"The body is not valid JSON: {error}", code="invalid_json") from None
    return asked


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


def may_name_two_models(content: bytes) -> bool:
    """Whether the field might stand there twice, in which case another server may read the other one."""
    return content.count(b'"model"') > 1 or b"\\u006" in content  # with which every letter of it can be written


def changed(content: bytes, model: str, *, ask_for_usage: bool) -> bytes:
    """The same request under another name of the model; every other field stays as it came, or with the wish to be told
    the token counts of a stream."""
    fields = _decode_fields(content)
    fields["model"] = msgspec.Raw(msgspec.json.encode(model))
    if ask_for_usage:
        options = msgspec.json.decode(fields.get(STREAM_OPTIONS, b"null"), type=dict[str, msgspec.Raw] | None)
        options = (options or {}) | {"include_usage": msgspec.Raw(b"true")}
        fields[STREAM_OPTIONS] = msgspec.Raw(msgspec.json.encode(options))
    return msgspec.json.encode(fields)


def _require_plain_names(fields: Mapping[str, msgspec.Raw]) -> None:
    """InvalidRequest when an upstream might be told more than the gateway was: some read names whatever their case."""
    for name, value in fields.items():
        folded = name.casefold()
        if folded in OPERATORS_CHOICE and bytes(value) != b"null":
            text = f"'{name}' is not taken: who answers, and by whose key, is for the operator to say."
            raise InvalidRequest(text, param=name, code="unsupported_parameter")
        if folded in FIELDS and name not in FIELDS:
            raise InvalidRequest(f"'{name}' is not taken: write '{folded}'.", param=name, code="unsupported_parameter")


def _invalid_field(text: str) -> InvalidRequest:
    """msgspec's `Expected `str`, got `int` - at `$.model`` as our error, with the field in `param`."""
    problem, _, place = text.partition(" - at `$")
    if missing := problem.removeprefix("Object missing required field `").rstrip("`") if "missing" in problem else "":
        return InvalidRequest(f"'{missing}' is required.", param=missing, code="missing_field")
    param = place.rstrip("`").lstrip(".") or None
    where = f"'{param}'" if param else "The body"
    return InvalidRequest(f"{where} is not valid: {problem.replace('`', '')}.", param=param)
