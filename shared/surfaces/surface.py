"""An inference endpoint family, as one value."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from shared.surfaces.usage import NOT_JSON

NULL = msgspec.Raw(b"null")


@dataclass(frozen=True, slots=True)
class Surface:
    route: str
    """The row of the manifest."""
    kind: str
    """What a model must be able to do."""
    prompt_field: str
    """The request's field that a model reads."""
    is_answer: Callable[[bytes], bool]
    """Whether the body of a 2xx is an answer, and not a failure that says so in another way."""


class WithChoices(msgspec.Struct):
    choices: list[msgspec.Raw]
    error: msgspec.Raw = NULL


_with_choices = msgspec.json.Decoder(WithChoices).decode


def has_choices(body: bytes) -> bool:
    try:
        return bytes(_with_choices(body).error) == b"null"
    except NOT_JSON:
        return False
