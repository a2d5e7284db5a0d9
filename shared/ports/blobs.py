"""Bodies too large for a document."""

from typing import Protocol


class Blobs(Protocol):
    def put(self, path: str, body: bytes) -> str:
        """Stores `body` whole or not at all, replacing what was there; returns the URI that `get` takes."""
        ...

    def get(self, uri: str) -> bytes:
        """The body at `uri`; FileNotFoundError when there is none."""
        ...
