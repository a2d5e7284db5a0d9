"""An answer, written down while it is sent."""

from shared.web.asgi import RawHeaders
from shared.web.reply import Reply

MOST_BYTES = 8 * 1024 * 1024
PART_OF_THE_ANSWER = frozenset({b"content-type", b"location", b"etag", b"cache-control", b"preference-applied"})
"""Headers that are the same for whoever is given the answer; the others tell of one request or one caller."""


class Recording:
    __slots__ = ("complete", "headers", "parts", "size", "status")

    def __init__(self) -> None:
        self.status = 0
        """0 until the answer has begun."""
        self.headers: RawHeaders = []
        self.parts: list[bytes] = []
        """Of the body; none once they would be more than MOST_BYTES."""
        self.size = 0
        self.complete = False

    def begin(self, status: int, headers: RawHeaders) -> None:
        self.status = status
        self.headers = [header for header in headers if header[0] in PART_OF_THE_ANSWER]

    def take(self, part: bytes, *, more: bool) -> None:
        self.size += len(part)
        if self.is_too_large:
            self.parts.clear()
        elif part:
            self.parts.append(part)
        self.complete = not more

    @property
    def is_too_large(self) -> bool:
        return self.size > MOST_BYTES

    @property
    def is_stream(self) -> bool:
        return any(name == b"content-type" and value.startswith(b"text/event-stream") for name, value in self.headers)

    def reply(self) -> Reply | None:
        """The answer, once it is there; None for ever when it was too large."""
        if not self.complete or self.is_too_large:
            return None
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self.headers]
        return Reply(self.status, b"".join(self.parts), headers)
