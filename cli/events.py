"""Server-sent events from the bytes of an answer."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from shared.web import sse


def data_lines(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The `data` of each event, one line each, as OpenAI's streams have it."""
    rest = b""
    for part in parts:
        lines, _, rest = (rest + part).rpartition(b"\n")
        yield from sse.payloads(lines)


@dataclass(frozen=True, slots=True)
class Event:
    id: str
    name: str
    data: bytes


def whole_events(parts: Iterable[bytes]) -> Iterator[Event]:
    """Each event that has data, with its name and its id; of a broken one at the end nothing."""
    rest = b""
    for part in parts:
        *blocks, rest = (rest + part).split(b"\n\n")
        for block in blocks:
            lines = (line.partition(b": ") for line in block.split(b"\n") if not line.startswith(b":"))
            fields = {name: value for name, _, value in lines}
            if b"data" in fields:
                yield Event(fields.get(b"id", b"").decode(), fields.get(b"event", b"").decode(), fields[b"data"])
