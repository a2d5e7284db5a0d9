"""What is read of a request for an answer; the rest passes through as it came."""

import re
from collections.abc import Mapping
from typing import Annotated

import msgspec

from shared.core.errors import InvalidRequest
from shared.core.tokens import MOST_CHOICES
from shared.web.structure import pieces

TOKENS = re.compile(rb"\[\s*[-0-9]")
TokenLimit = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
Choices = Annotated[int, msgspec.Meta(ge=1, le=MOST_CHOICES)]
OPERATORS_CHOICE = frozenset({"models", "fallbacks", "base_url", "api_base", "api_key"})
"""Fields by which routers upstream (OpenRouter, LiteLLM) let a caller choose another model, server or account."""


class StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class InferenceRequest(msgspec.Struct):
    """Of fields that stand in the body twice, the last counts."""

    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: float | None = None
    max_tokens: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] | None = None
    """0 is for a text completion that echoes its prompt; to some servers it means no limit."""
    max_completion_tokens: TokenLimit | None = None
    n: Choices | None = None
    best_of: Choices | None = None
    prompt: msgspec.Raw = msgspec.Raw()
    messages: msgspec.Raw = msgspec.Raw()
    prediction: msgspec.Raw = msgspec.Raw()

    @property
    def wants_usage(self) -> bool:
        """Whether the caller of a stream has asked for its token counts."""
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def most_each(self) -> int | None:
        """Tokens that each answer may have; None: the caller names no number. Servers differ in which name counts."""
        return max(self.max_tokens or 0, self.max_completion_tokens or 0) or None

    @property
    def choices(self) -> int:
        """How many the answer has."""
        return (self.n or 1) * _prompts(self.prompt)

    @property
    def answers(self) -> int:
        """How many are generated."""
        return max(self.n or 1, self.best_of or 1) * self.prompts

    @property
    def prompts(self) -> int:
        """How many are answered, each of which may fill the model's context."""
        return _prompts(self.prompt)


FIELDS = frozenset(InferenceRequest.__struct_fields__)
Fields = dict[str, msgspec.Raw]
_decode = msgspec.json.Decoder(InferenceRequest).decode
fields = msgspec.json.Decoder(Fields).decode
"""A JSON object's fields, undecoded."""


def read(body: bytes) -> InferenceRequest:
    """InvalidRequest names the field that is wrong."""
    try:
        request = _decode(body)
        _require_plain_names(fields(body))
        _require_tokens(request)
    except msgspec.ValidationError as error:
        raise _invalid_field(str(error)) from None
    except msgspec.DecodeError as error:
        raise InvalidRequest(f"The body is not valid JSON: {error}", code="invalid_json") from None
    return request


def _require_tokens(request: InferenceRequest) -> None:
    """InvalidRequest when a conversation may have no token at all."""
    if request.max_tokens == 0 and (bytes(request.messages) or not bytes(request.prompt)):
        raise InvalidRequest("'max_tokens' is not valid: Expected int >= 1.", param="max_tokens")


def _prompts(raw: msgspec.Raw) -> int:
    """How many there are: `prompt` may be a text, a list of texts, the tokens of one, or a list of those. Counted, not
    decoded: a million tokens would take a tenth of a second."""
    if not raw or bytes(memoryview(raw)[:1]) != b"[":
        return 1
    text = bytes(raw)
    if TOKENS.match(text):
        return 1
    found = [(piece.quotes, piece.outside.count(b"[")) for piece in pieces(text)]
    return max(1, sum(quotes for quotes, _ in found) // 2 + sum(lists for _, lists in found) - 1)


def _require_plain_names(found: Mapping[str, msgspec.Raw]) -> None:
    """InvalidRequest when a server might read more than we did: some read names whatever their case."""
    for name, value in found.items():
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
