"""Parameters of engines' own, beside OpenAI's: which values an engine may get of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from shared.core.errors import InvalidRequest

CONSTRAINING = frozenset(
    {"grammar", "json_schema", "structured_outputs", "guided_json", "guided_regex", "guided_choice", "guided_grammar"}
    | {"guided_decoding_backend", "guided_whitespace_pattern", "structural_tag", "regex", "ebnf", "format"}
)
"""Fields that constrain the answer: were one left out in silence, the answer would not keep to it."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """A number or a whole number, both ends included."""

    least: float
    most: float
    is_whole: bool = False

    def __call__(self, value: Any) -> bool:
        kinds = int if self.is_whole else int | float
        return isinstance(value, kinds) and not isinstance(value, bool) and self.least <= value <= self.most

    def __str__(self) -> str:
        return f"a {'whole ' if self.is_whole else ''}number from {self.least:.10g} to {self.most:.10g}"


@dataclass(frozen=True, slots=True)
class TrueOrFalse:
    def __call__(self, value: Any) -> bool:
        return isinstance(value, bool)

    def __str__(self) -> str:
        return "true or false"


TAKEN: Mapping[str, Callable[[Any], bool]] = MappingProxyType(
    {
        "top_k": Bounds(-1, 1_000_000, is_whole=True),
        "min_p": Bounds(0, 1),
        "typical_p": Bounds(0, 1),
        "repeat_penalty": Bounds(0.1, 10),
        "repetition_penalty": Bounds(0.1, 10),
        "repeat_last_n": Bounds(-1, 2**31 - 1, is_whole=True),
        "min_tokens": Bounds(0, 2**31 - 1, is_whole=True),
        "ignore_eos": TrueOrFalse(),
    }
)
NAMES = CONSTRAINING | TAKEN.keys()


def taken(given: Mapping[str, Any], known: frozenset[str], context: int, max_tokens: int) -> dict[str, Any]:
    """Those of a request that are an engine's own. InvalidRequest for one that this engine does not know, for a value
    out of bounds, and for a field that would constrain the answer."""
    for name in sorted(CONSTRAINING & given.keys()):
        raise InvalidRequest(
            f"'{name}' is not supported; use 'response_format'.", param=name, code="unsupported_parameter"
        )
    for name in sorted(TAKEN.keys() & given.keys()):
        if not TAKEN[name](given[name]):
            raise InvalidRequest(f"'{name}' should be {TAKEN[name]}.", param=name, code="invalid_value")
        if name not in known:
            raise InvalidRequest(
                f"'{name}' is not supported by this model's engine.", param=name, code="unsupported_parameter"
            )
    found = {name: given[name] for name in TAKEN.keys() & given.keys()}
    if "repeat_last_n" in found:  # the engine makes room for so many at once
        found["repeat_last_n"] = min(found["repeat_last_n"], context)
    if "min_tokens" in found:
        found["min_tokens"] = min(found["min_tokens"], max_tokens)
    return found
