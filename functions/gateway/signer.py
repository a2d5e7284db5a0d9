"""Signs callers for the functions and the worker."""

import asyncio

from cachetools import TTLCache

from shared.core import signing
from shared.core.keys import Caller
from shared.ports.clock import Clock
from shared.signing_keys import SigningKeys

MOST_REMEMBERED = 10_000


class CallerSigner:
    """A signature is used again for half its life: making one costs more than all else the gateway does for a call."""

    def __init__(self, keys: SigningKeys, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock
        self._signed: TTLCache[Caller, str] = TTLCache(MOST_REMEMBERED, signing.LIFETIME_S / 2, clock.monotonic)

    async def header(self, caller: Caller) -> tuple[str, str]:
        value = self._signed.get(caller)
        if value is None:
            key = self._keys.newest() if self._keys.are_at_hand else await asyncio.to_thread(self._keys.newest)
            value = self._signed[caller] = signing.sign(caller, key, self._clock.now())
        return signing.HEADER, value
