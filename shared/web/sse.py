"""Server-sent events (WHATWG HTML, section 9.2) as model servers send them: `data: <JSON>`, a blank line, and at the
end `data: [DONE]`."""

import re
from collections.abc import AsyncIterator, Iterator

from shared.core.errors import UpstreamFailed

DONE = b"[DONE]"
LAST = b"data: [DONE]\n\n"
BLANK_LINE = b"\n\n"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
MOST_EVENT_BYTES = 16 * 1024 * 1024
"""A picture in a delta has some ten million."""

_ENDS = re.compile(rb"^data:[ \t]*\[DONE\]", re.MULTILINE)
_EVENT = re.compile(rb".+?\n\n", re.DOTALL)


class EventReader:
    """Cuts a stream into blocks of whole events, however it comes: each block as soon as it is whole, in the stream's
    own bytes but for its line ends. CRLF and a bare CR become LF, a byte order mark at the beginning is left out."""

    __slots__ = ("_ended_in_cr", "_is_new", "_most_bytes", "_rest")

    def __init__(self, most_event_bytes: int = MOST_EVENT_BYTES) -> None:
        self._most_bytes = most_event_bytes
        self._rest = bytearray()
        self._is_new = True
        self._ended_in_cr = False
        """An LF that follows belongs to it."""

    def is_whole(self, chunk: bytes) -> bool:
        """Whether a chunk begins and ends between events, and needs no change."""
        if self._rest or self._is_new or self._ended_in_cr:
            return False
        return chunk.endswith(BLANK_LINE) and b"\r" not in chunk

    def feed(self, chunk: bytes) -> bytes:
        """The events that are whole with this chunk and were not before. UpstreamFailed for one without an end."""
        if self._is_new or self._ended_in_cr or b"\r" in chunk:
            chunk = self._plain(chunk)
        rest = self._rest
        if not rest and chunk.endswith(BLANK_LINE):
            return chunk
        searched = max(0, len(rest) - 1)
        rest += chunk
        end = rest.rfind(BLANK_LINE, searched) + len(BLANK_LINE) if rest.find(BLANK_LINE, searched) >= 0 else 0
        if len(rest) - end > self._most_bytes:
            raise UpstreamFailed(
                "The model's server sent an event that is too large.", detail=f"more than {self._most_bytes} bytes"
            )
        block = bytes(rest[:end])
        del rest[:end]
        return block

    def close(self) -> bytes:
        """The stream has ended: a last `[DONE]` that lacks its blank line. What else is cut off is left out."""
        return LAST if _ENDS.fullmatch(self._rest.strip()) else b""

    def _plain(self, chunk: bytes) -> bytes:
        if self._ended_in_cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._ended_in_cr = False
        if self._is_new:
            chunk = self._begun(chunk)
        if b"\r" not in chunk:
            return chunk
        self._ended_in_cr = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _begun(self, chunk: bytes) -> bytes:
        """The beginning without its byte order mark, which may come byte by byte."""
        chunk = bytes(self._rest) + chunk
        self._rest.clear()
        if len(chunk) < len(BYTE_ORDER_MARK) and BYTE_ORDER_MARK.startswith(chunk):
            self._rest += chunk
            return b""
        self._is_new = False
        return chunk.removeprefix(BYTE_ORDER_MARK)


async def blocks(chunks: AsyncIterator[bytes], most_event_bytes: int = MOST_EVENT_BYTES) -> AsyncIterator[bytes]:
    """The stream in blocks of whole events, as an EventReader cuts it."""
    reader = EventReader(most_event_bytes)
    async for chunk in chunks:
        if block := reader.feed(chunk):
            yield block
    if last := reader.close():
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
    """What each event carries in its `data` lines; comments and other fields are dropped.

    Lines end at LF or CRLF: the line ends of text, such as U+2028, may stand unescaped inside JSON.
    """
    carried: list[bytes] = []
    for line in block.split(b"\n"):
        if line.startswith(b"data:"):
            carried.append(line[5:].strip())
        elif carried and not line.rstrip(b"\r"):
            yield b"\n".join(carried)
            carried.clear()
    if carried:
        yield b"\n".join(carried)


def event(payload: bytes) -> bytes:
    return b"data: %b\n\n" % payload
