"""How often an address may come without a valid key, be it with a wrong one or to where there is nothing.

A guess costs the store nothing, so each instance counts for itself. Who has a valid key is let in whatever was counted.
"""

import threading
from dataclasses import dataclass

from cachetools import TTLCache

from shared.core.addresses import Address, subscriber
from shared.core.errors import InvalidRequest, OmniError, RateLimited
from shared.ports.clock import Clock

WINDOW_S = 60.0
MOST_ADDRESSES = 10_000


@dataclass(slots=True)
class Count:
    ends_at: float
    refused: int = 0


class Guesses:
    def __init__(self, most_per_minute: int, clock: Clock) -> None:
        self._most = most_per_minute
        self._now = clock.monotonic
        self._lock = threading.Lock()
        self._counts: TTLCache[str, Count] = TTLCache(MOST_ADDRESSES, WINDOW_S, clock.monotonic)

    def answer(self, refusal: InvalidRequest, address: Address | None) -> OmniError:
        """What a request without a valid key is answered with: the refusal, or 429 once it was too many a minute."""
        count = self._count(subscriber(address))
        if count.refused <= self._most:
            return refusal
        return RateLimited(
            f"More than {self._most} requests a minute came from this address without a valid key.",
            code="too_many_invalid_keys",
            retry_after_s=count.ends_at - self._now(),
        )

    def _count(self, of: str) -> Count:
        with self._lock:
            count = self._counts.get(of)
            if count is None:
                count = self._counts[of] = Count(self._now() + WINDOW_S)
            count.refused += 1
            return count
