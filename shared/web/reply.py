"""An HTTP answer that no framework owns: what handlers return and each edge sends in its own way."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from shared.core import problem
from shared.core.errors import OmniError

JSON = ("content-type", "application/json")
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes = b""
    headers: list[tuple[str, str]] = field(default_factory=list)
    parts: Iterator[bytes] | None = None
    """Sent as they come, in place of `body`."""

    @classmethod
    def json(cls, value: Any, status: int = 200, headers: list[tuple[str, str]] | None = None) -> "Reply":
        return cls(status, _encode(value), [JSON, *(headers or [])])

    @classmethod
    def problem(cls, error: OmniError, request_id: str) -> "Reply":
        return cls(error.status, problem.body(error, request_id), problem.headers(error))
