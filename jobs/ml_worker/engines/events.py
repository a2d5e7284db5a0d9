"""The events of an engine's stream as objects."""

from collections.abc import Iterator
from typing import Any

import msgspec

from shared.core.errors import UpstreamFailed
from shared.web import sse

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def decoded(block: bytes) -> Iterator[dict[str, Any]]:
    """The objects in a block of events, without `[DONE]`. UpstreamFailed for what is no JSON object."""
    for payload in sse.payloads(block):
        if payload == sse.DONE:
            continue
        try:
            yield _decode(payload)
        except msgspec.DecodeError as error:
            raise UpstreamFailed(detail=f"an event of the engine is not JSON: {error}") from error


def encoded(value: dict[str, Any]) -> bytes:
    return sse.event(_encode(value))
