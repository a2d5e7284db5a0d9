"""The most that a request can cost: what is reserved of a budget before it is sent on."""

from typing import Protocol

import msgspec

from shared.core import tokens
from shared.core.pricing import Price, Use, cost, dearest_input
from shared.core.routing import Model

NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Bounds(Protocol):
    """The fields of a request that bound its answer."""

    @property
    def max_tokens(self) -> float | None: ...
    @property
    def max_completion_tokens(self) -> float | None: ...
    @property
    def n(self) -> float | None: ...
    @property
    def best_of(self) -> float | None: ...
    @property
    def prompt(self) -> msgspec.Raw: ...


class GivenBounds(msgspec.Struct):
    """The same, read from a job's input."""

    max_tokens: float | None = None
    max_completion_tokens: float | None = None
    n: float | None = None
    best_of: float | None = None
    prompt: msgspec.Raw = msgspec.Raw()


_decode_prompts = msgspec.json.Decoder(list[msgspec.Raw]).decode


def worst_cost(price: Price, model: Model, asked: Bounds, body_bytes: int, default_output: int, most_s: int) -> int:
    """Nano-dollars."""
    made = most_output(model, asked, default_output)
    return cost(dearest_input(price), Use(tokens.most_input(body_bytes, model.context), made, 0, most_s))


def most_output(model: Model, asked: Bounds, default_output: int) -> int:
    """Tokens. `default_output` is what the platform's own worker makes at most for a request that names no number."""
    given = max(asked.max_tokens or 0, asked.max_completion_tokens or 0)
    if given <= 0:  # to some servers, that means as many as there can be
        is_own = all(target.is_worker for target in model.upstreams)
        given = default_output if is_own else 0
    answers = max(asked.n or 1, asked.best_of or 1) * _prompts(asked.prompt)
    return tokens.most_output(given or None, answers, model.max_output or model.context)


def _prompts(raw: msgspec.Raw) -> int:
    """How many there are: `prompt` may be a text, a list of texts, the tokens of one, or a list of those."""
    if bytes(memoryview(raw)[:1]) != b"[":
        return 1
    try:
        prompts = _decode_prompts(raw)
    except NOT_JSON:
        return 1
    is_tokens = bool(prompts) and bytes(memoryview(prompts[0])[:1]).isdigit()
    return 1 if is_tokens else max(1, len(prompts))
