"""Bodies too large for a document."""

from collections.abc import Iterable, Iterator
from typing import Protocol

PART_BYTES = 1024 * 1024
INLINE_BYTES = 64 * 1024
"""What is larger is kept here, and not in the document it belongs to."""


class Blobs(Protocol):
    def put(self, path: str, body: bytes | Iterable[bytes]) -> str:
        """Stores the body whole or not at all, replacing what was there; returns the URI that the others take.

        A body in parts is never held whole; what its iteration raises is raised on.
        """
        ...

    def get(self, uri: str) -> bytes:
        """The body at `uri`; FileNotFoundError when there is none."""
        ...

    def read(self, uri: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The body from byte `start`, at most `length` bytes of it, in parts of PART_BYTES or less.

        FileNotFoundError, with the first part, when there is none. A start beyond the end gives nothing.
        """
        ...

    def delete(self, uri: str) -> None:
        """Removes the body; that there is none is fine."""
        ...

    def list(self, folder: str) -> list[str]:
        """The URIs of all that stands below the path `folder` (empty: of everything), sorted by path."""
        ...
