"""Limits within one process: exact for a single instance, and the embedded default."""

import threading
from collections.abc import Sequence

from cachetools import LRUCache

from shared.core.limits import Answer, Ask, Claim, Limit
from shared.core.ring import Ring
from shared.core.slots import SlotBook
from shared.ports.clock import Clock

MOST_SUBJECTS = 100_000


class MemoryLimiter:
    """Keeps one ring or book a limit, the most recently used 100,000 of each."""

    blocks = False
    degraded = False
    instances = 1

    def __init__(self, clock: Clock) -> None:
        self._now = clock.monotonic
        self._rings: LRUCache[str, tuple[Limit, Ring]] = LRUCache(MOST_SUBJECTS)
        self._books: LRUCache[str, SlotBook] = LRUCache(MOST_SUBJECTS)
        self._lock = threading.Lock()

    def exchange(self, asks: Sequence[Ask], claims: Sequence[Claim]) -> Answer:
        return self.exchange_as("", asks, claims)

    def exchange_as(self, instance: str, asks: Sequence[Ask], claims: Sequence[Claim]) -> Answer:
        """The same for one of several instances, which only their slots tell apart."""
        now = self._now()
        with self._lock:
            grants = tuple([self._ring(ask.limit).take(ask, now) for ask in asks])
            held = tuple([self._book(claim.limit).claim(instance, claim, now) for claim in claims])
        return Answer(now, grants, held)

    def give_up(self, reason: str) -> None:
        """Nothing is shared."""

    def counted(self) -> list[Ask]:
        """All that counts now, as asks that make another limiter count it, too."""
        now = self._now()
        with self._lock:
            return [Ask(limit, charged=ring.units()) for limit, ring in self._rings.values() if not ring.is_idle(now)]

    def _ring(self, limit: Limit) -> Ring:
        found = self._rings.get(limit.name)
        if found is None:
            found = self._rings[limit.name] = limit, Ring(limit.window)
        return found[1]

    def _book(self, limit: Limit) -> SlotBook:
        book = self._books.get(limit.name)
        if book is None:
            book = self._books[limit.name] = SlotBook()
        return book
