"""Limits within one process: exact for a single instance, and the embedded default."""

import threading

from cachetools import LRUCache

from shared.core.limits import Grant, Ring
from shared.ports.clock import Clock

MOST_SUBJECTS = 100_000


class MemoryLimiter:
    """Keeps one ring a subject, the most recently used 100,000 of them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rings: LRUCache[str, Ring] = LRUCache(MOST_SUBJECTS)
        self._lock = threading.Lock()

    def lease(self, subject: str, limit: int, want: int) -> Grant:
        with self._lock:
            ring = self._rings.get(subject)
            if ring is None:
                ring = self._rings[subject] = Ring(limit)
            ring.limit = limit
            return ring.take(want, self._clock.monotonic())
