"""The model catalogue, in OpenAI's shapes."""

from typing import Literal

from shared.web.schemas.strict import Open


class ModelCard(Open):
    id: str
    object: Literal["model"]
    created: int
    """Seconds since 1970."""
    owned_by: str
    kinds: list[str]
    """What it can do: `chat`, `completion`, `embedding`, …"""
    context: int | None
    """Tokens, input and output together; null when not known."""


class ModelList(Open):
    object: Literal["list"]
    data: list[ModelCard]
