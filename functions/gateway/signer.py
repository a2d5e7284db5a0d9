"""What the gateway's calls to functions and worker carry: the caller, signed, and proof that it is the gateway."""

import asyncio
from urllib.parse import urlsplit

from cachetools import TTLCache

from shared.core import signing
from shared.core.keys import Caller
from shared.keys.signing import SigningKeys
from shared.ports.clock import Clock
from shared.ports.identity import Identity

MOST_REMEMBERED = 10_000


class CallerSigner:
    """A signature is used again for half its life: making one costs more than all else the gateway does for a call."""

    def __init__(self, keys: SigningKeys, clock: Clock, identity: Identity | None) -> None:
        """`identity` proves to Cloud Run that the call is the gateway's; None where nobody asks for that."""
        self._keys = keys
        self._clock = clock
        self._identity = identity
        self._signed: TTLCache[Caller, str] = TTLCache(MOST_REMEMBERED, signing.LIFETIME_S / 2, clock.monotonic)

    async def headers(self, caller: Caller, url: str) -> list[tuple[str, str]]:
        """For a call to `url`, which is a function's or the worker's."""
        value = self._signed.get(caller)
        if value is None:
            key = self._keys.newest() if self._keys.are_at_hand else await asyncio.to_thread(self._keys.newest)
            value = self._signed[caller] = signing.sign(caller, key, self._clock.now())
        return [(signing.HEADER, value), *(await self._proof(self._identity, url) if self._identity else [])]

    @staticmethod
    async def _proof(identity: Identity, url: str) -> list[tuple[str, str]]:
        parts = urlsplit(url)
        audience = f"{parts.scheme}://{parts.netloc}"
        at_hand = identity.is_at_hand(audience)
        token = identity.token(audience) if at_hand else await asyncio.to_thread(identity.token, audience)
        return [("authorization", f"Bearer {token}")]
