"""Server-sent events from the bytes of an answer."""

from collections.abc import Iterable, Iterator

from shared.web import sse


def data_lines(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The `data` of each event, one line each, as OpenAI's streams have it."""
    rest = b""
    for part in parts:
        lines, _, rest = (rest + part).rpartition(b"\n")
        yield from sse.payloads(lines)
