"""Bytes that may be forgotten at any time, shared by all instances where there is a server for them."""

from typing import Protocol


class Cache(Protocol):
    """Every method raises Unavailable, within 0.1 s, when the cache cannot be reached. Keys are short ASCII texts."""

    @property
    def is_shared(self) -> bool:
        """Whether other instances see what is kept, so that asking waits for the network. Else memory answers."""
        ...

    def get(self, key: str) -> bytes | None: ...

    def put(self, key: str, value: bytes, ttl_s: float) -> None:
        """Keeps `value` for at most `ttl_s` seconds (> 0), replacing what was there."""
        ...

    def add(self, key: str, value: bytes, ttl_s: float) -> bool:
        """Keeps `value` unless the key holds something; True when it did. Of many that try at once one succeeds."""
        ...

    def drop(self, key: str) -> None: ...
