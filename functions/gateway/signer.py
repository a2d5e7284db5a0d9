"""Signs callers for the functions and the worker."""

from cachetools import TTLCache

from shared.core import signing
from shared.core.keys import Caller
from shared.ports.clock import Clock

MOST_REMEMBERED = 10_000


class CallerSigner:
    """A signature is used again for half its life: making one costs more than all else the gateway does for a call."""

    def __init__(self, key: bytes, clock: Clock) -> None:
        self._key = key
        self._clock = clock
        self._signed: TTLCache[Caller, str] = TTLCache(MOST_REMEMBERED, signing.LIFETIME_S / 2, clock.monotonic)

    def header(self, caller: Caller) -> tuple[str, str]:
        value = self._signed.get(caller)
        if value is None:
            value = self._signed[caller] = signing.sign(caller, self._key, self._clock.now())
        return signing.HEADER, value
