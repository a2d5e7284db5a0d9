"""Server-sent events as model servers send them: `data: <JSON>`, a blank line, and at the end `data: [DONE]`."""

import re
from collections.abc import AsyncIterator, Iterator

from shared.core.errors import UpstreamFailed

DONE = b"[DONE]"
LAST = b"data: [DONE]\n\n"
BLANK_LINES = (b"\n\n", b"\r\n\r\n")
LONGEST_BLANK = max(map(len, BLANK_LINES))
MOST_EVENT_BYTES = 4 * 1024 * 1024

_ENDS = re.compile(rb"^data: ?\[DONE\]", re.MULTILINE)
_EVENT = re.compile(rb".+?(?:\r?\n){2}", re.DOTALL)


class BlockReader:
    """Takes a stream apart at the ends of its events."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def is_whole(self, chunk: bytes) -> bool:
        """Whether a chunk begins and ends between events."""
        return not self._rest and chunk.endswith(BLANK_LINES)

    def feed(self, chunk: bytes) -> bytes:
        """The events that have come to their end, possibly none. UpstreamFailed for one without an end."""
        if self.is_whole(chunk):
            return chunk
        rest = self._rest
        searched = max(0, len(rest) - LONGEST_BLANK + 1)
        rest += chunk
        ends_at = (rest.rfind(blank, searched) + len(blank) for blank in BLANK_LINES if rest.find(blank, searched) >= 0)
        end = max(ends_at, default=0)
        if len(rest) - end > MOST_EVENT_BYTES:
            raise UpstreamFailed("The model's server sent an event without an end.")
        block = bytes(rest[:end])
        del rest[:end]
        return block

    def end(self) -> bytes:
        """What is left is cut off, but for a `[DONE]` without its blank line."""
        return LAST if self._rest.strip() == LAST.strip() else b""


async def blocks(chunks: AsyncIterator[bytes], reader: BlockReader | None = None) -> AsyncIterator[bytes]:
    """The same bytes in blocks of one or more whole events, each as soon as it is there.

    What is cut off at the end is left out, but for a `[DONE]` without its blank line. UpstreamFailed for an event
    without an end.
    """
    reader = reader or BlockReader()
    async for chunk in chunks:
        if block := reader.feed(chunk):
            yield block
    if last := reader.end():
        yield last


def ends(block: bytes) -> bool:
    """Whether the stream says in this block that it is over."""
    return DONE in block and _ENDS.search(block) is not None


def parted(block: bytes) -> tuple[bytes, bytes]:
    """What comes before the end of the stream, and the end."""
    found = _ENDS.search(block)
    at = found.start() if found else len(block)
    return block[:at], block[at:]


def events(block: bytes) -> list[bytes]:
    """The events of a block, each with the blank line that ends it."""
    return _EVENT.findall(block)


def payloads(block: bytes) -> Iterator[bytes]:
    """What the events carry, a line each; comments and other fields are dropped.

    The lines are split at line ends of bytes: those of text, such as U+2028, may stand unescaped inside JSON.
    """
    for line in block.splitlines():
        if line.startswith(b"data:"):
            yield line[5:].strip()


def event(payload: bytes) -> bytes:
    return b"data: %b\n\n" % payload
