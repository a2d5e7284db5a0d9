"""Reads the token counts that a model's server reports, field by field, in every spelling in use.

A count that is no whole number from 0 to a billion, or that stands in an unknown place, is not reported; it takes
nothing away from the counts beside it.
"""

import math
from collections.abc import Iterable
from typing import Annotated, NamedTuple

import msgspec

MARK = b'"usage'
"""Stands in every payload that reports usage."""
MOST_TOKENS = 10**9
NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

INPUT = ("prompt_tokens", "input_tokens", "promptTokenCount", "prompt_eval_count")
OUTPUT = ("completion_tokens", "output_tokens", "candidatesTokenCount", "eval_count")
TOTAL = ("total_tokens", "totalTokenCount")
CACHED = ("cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens", "cachedContentTokenCount")
INPUT_DETAILS = ("prompt_tokens_details", "input_tokens_details")
OUTPUT_DETAILS = ("completion_tokens_details", "output_tokens_details")
BESIDE_INPUT = ("cache_read_input_tokens", "cache_creation_input_tokens")
"""Anthropic counts these beside `input_tokens`, all others among them."""

Fields = dict[str, msgspec.Raw]
NONE: Fields = {}


class Usage(NamedTuple):
    """Tokens; None: not reported."""

    input: int | None = None
    output: int | None = None
    cached: int | None = None
    """Of the input, those in the server's own cache."""
    by_choice: tuple[tuple[int, int], ...] = ()
    """The output by the index of its choice, where it is reported with each choice."""

    def then(self, later: "Usage") -> "Usage":
        """With a later report: what that one leaves out, or counts as 0, stays as it was."""
        by_choice = dict(self.by_choice) | dict(later.by_choice)
        output = sum(by_choice.values()) if later.by_choice else later.output
        return Usage(
            _later(self.input, later.input),
            _later(self.output, output),
            _later(self.cached, later.cached),
            tuple(by_choice.items()),
        )


NOTHING = Usage()
Tokens = Annotated[int, msgspec.Meta(ge=0, le=MOST_TOKENS)]


class PlainDetails(msgspec.Struct):
    cached_tokens: Tokens | None = None


class PlainUsage(msgspec.Struct):
    """Usage as OpenAI reports it, which needs no second look."""

    prompt_tokens: Tokens
    completion_tokens: Tokens
    total_tokens: Tokens
    prompt_tokens_details: PlainDetails | None = None
    cached_tokens: msgspec.Raw = msgspec.Raw()
    prompt_cache_hit_tokens: msgspec.Raw = msgspec.Raw()
    cache_read_input_tokens: msgspec.Raw = msgspec.Raw()

    @property
    def is_plain(self) -> bool:
        is_whole = self.total_tokens == self.prompt_tokens + self.completion_tokens
        return is_whole and not (self.cached_tokens or self.prompt_cache_hit_tokens or self.cache_read_input_tokens)


class Plain(msgspec.Struct):
    usage: PlainUsage


class Payload(msgspec.Struct):
    """Where usage stands: as OpenAI, Gemini, Groq, Anthropic, the Responses API and Moonshot have it, in this order."""

    usage: msgspec.Raw = msgspec.Raw()
    usage_metadata: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="usageMetadata")
    x_groq: msgspec.Raw = msgspec.Raw()
    message: msgspec.Raw = msgspec.Raw()
    response: msgspec.Raw = msgspec.Raw()
    choices: msgspec.Raw = msgspec.Raw()


_plain = msgspec.json.Decoder(Plain).decode
_payload = msgspec.json.Decoder(Payload).decode
_fields = msgspec.json.Decoder(Fields).decode
_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_number = msgspec.json.Decoder(int | float | str).decode


def read(payload: bytes) -> Usage | None:
    """The usage in an answer or an event; None when it reports none, or is no JSON object."""
    try:
        reported = _plain(payload).usage
        if reported.is_plain:
            details = reported.prompt_tokens_details
            cached = details.cached_tokens if details else None
            return Usage(reported.prompt_tokens, reported.completion_tokens, _part(cached, reported.prompt_tokens))
    except NOT_JSON:
        pass
    return _read_with_care(payload)


def _read_with_care(payload: bytes) -> Usage | None:
    try:
        found = _payload(payload)
    except NOT_JSON:
        return None
    for place in (found.usage, found.usage_metadata):
        if fields := _object(place):
            return _usage(fields)
    for place in (found.x_groq, found.message, found.response):
        if fields := _object(_object(place).get("usage")):
            return _usage(fields)
    return _of_choices(found.choices)


def _usage(fields: Fields) -> Usage | None:
    tokens_in, tokens_out = _first(fields, INPUT), _first(fields, OUTPUT)
    if tokens_in is not None and "prompt_tokens" not in fields and "input_tokens" in fields:
        tokens_in += sum(_count(fields.get(name)) or 0 for name in BESIDE_INPUT)
    details = _details(fields, INPUT_DETAILS)
    cached = _first(fields, CACHED) or _first(details, CACHED)
    tokens_out = _with_thoughts(fields, tokens_in, tokens_out)
    total = _first(fields, TOTAL)
    if total is not None and tokens_in is not None and tokens_out is None:
        tokens_out = max(0, total - tokens_in)
    elif total is not None and tokens_out is not None and tokens_in is None:
        tokens_in = max(0, total - tokens_out)
    if tokens_in is None and tokens_out is None and cached is None:
        return None
    return Usage(tokens_in, tokens_out, _part(cached, tokens_in))


def _part(cached: int | None, tokens_in: int | None) -> int | None:
    """No more of the input than there is."""
    return cached if cached is None or tokens_in is None else min(cached, tokens_in)


def _with_thoughts(fields: Fields, tokens_in: int | None, tokens_out: int | None) -> int | None:
    """The output with the tokens of the model's thoughts, which some servers count beside it: then all three add up to
    the total."""
    if tokens_in is None or tokens_out is None:
        return tokens_out
    thoughts = _count(fields.get("thoughtsTokenCount"))
    if thoughts is None:
        thoughts = _count(_details(fields, OUTPUT_DETAILS).get("reasoning_tokens"))
    if thoughts and _first(fields, TOTAL) == tokens_in + tokens_out + thoughts:
        return tokens_out + thoughts
    return tokens_out


def _of_choices(choices: msgspec.Raw) -> Usage | None:
    """Of an answer that reports it with each choice: they share the prompt."""
    if MARK not in bytes(choices):
        return None
    found = NOTHING
    for place, fields in enumerate(map(_object, _items(choices))):
        if usage := _usage(_object(fields.get("usage"))):
            index = _count(fields.get("index"))
            found = found.then(usage._replace(by_choice=((place if index is None else index, usage.output or 0),)))
    return None if found is NOTHING else found


def _later(before: int | None, later: int | None) -> int | None:
    return later if later or before is None else before


def _details(fields: Fields, names: Iterable[str]) -> Fields:
    return next((details for name in names if (details := _object(fields.get(name)))), NONE)


def _first(fields: Fields, names: Iterable[str]) -> int | None:
    return next((count for name in names if (count := _count(fields.get(name))) is not None), None)


def _count(raw: msgspec.Raw | None) -> int | None:
    if raw is None:
        return None
    try:
        value = _number(raw)
        number = float(value) if isinstance(value, str) else value
    except (*NOT_JSON, ValueError):
        return None
    return math.ceil(number) if 0 <= number <= MOST_TOKENS else None


def _object(raw: msgspec.Raw | None) -> Fields:
    """Empty for what is no object."""
    try:
        return _fields(raw) if raw else NONE
    except NOT_JSON:
        return NONE


def _items(raw: msgspec.Raw) -> list[msgspec.Raw]:
    try:
        return _list(raw)
    except NOT_JSON:
        return []
