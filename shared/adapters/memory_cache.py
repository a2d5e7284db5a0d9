"""A cache within one process, bounded by the bytes it holds: the embedded default."""

import threading
from dataclasses import dataclass

from cachetools import TLRUCache

from shared.ports.clock import Clock

ENTRY_OVERHEAD_BYTES = 512
"""What an entry takes beside its value: its key, its record and its places in the cache's tables."""


@dataclass(frozen=True, slots=True)
class Entry:
    value: bytes
    ttl_s: float


class MemoryCache:
    """Forgets what has expired, then what was used the longest ago. A value larger than the whole is not kept."""

    is_shared = False

    def __init__(self, most_bytes: int, clock: Clock) -> None:
        self._entries: TLRUCache[str, Entry] = TLRUCache(
            most_bytes, lambda _, entry, now: now + entry.ttl_s, clock.monotonic, _size
        )
        self._lock = threading.Lock()

    def get(self, key: str) -> bytes | None:
        with self._lock:
            entry = self._entries.get(key)
        return entry.value if entry else None

    def put(self, key: str, value: bytes, ttl_s: float) -> None:
        with self._lock:
            self._keep(key, Entry(value, ttl_s))

    def add(self, key: str, value: bytes, ttl_s: float) -> bool:
        with self._lock:
            if key in self._entries:
                return False
            self._keep(key, Entry(value, ttl_s))
            return True

    def drop(self, key: str) -> None:
        with self._lock:
            self._entries.pop(key, None)

    def _keep(self, key: str, entry: Entry) -> None:
        self._entries.pop(key, None)
        if _size(entry) <= self._entries.maxsize:
            self._entries[key] = entry


def _size(entry: Entry) -> int:
    return len(entry.value) + ENTRY_OVERHEAD_BYTES
