"""Server-sent events as engines send them: `data: <JSON>`, a blank line, and `data: [DONE]` at the end."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec

from shared.core.errors import UpstreamFailed

DONE = b"data: [DONE]\n\n"
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


async def whole_events(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in blocks of one or more whole events. What is cut off at the end is left out."""
    rest = b""
    async for chunk in chunks:
        block = rest + chunk if rest else chunk
        end = block.rfind(b"\n\n") + 2
        rest = block[end:] if end > 1 else block
        if end > 1:
            yield block[:end]


def decoded(block: bytes) -> Iterator[dict[str, Any]]:
    """The JSON objects in a block of events; comments and `[DONE]` are left out. UpstreamFailed for what is no JSON."""
    for line in block.split(b"\n"):
        if line.startswith(b"data: {"):
            try:
                yield _decode(line[6:])
            except msgspec.DecodeError as error:
                raise UpstreamFailed(detail=f"an event of the engine is not JSON: {error}") from error


def event(value: dict[str, Any]) -> bytes:
    return b"data: " + _encode(value) + b"\n\n"
