"""What the gateway's calls to functions and worker carry: the caller, signed, and proof that it is the gateway."""

import asyncio
import secrets
from urllib.parse import urlsplit

from cachetools import TTLCache

from shared.core.keys import Caller
from shared.keys.caller_keys import CallerSigningKey
from shared.keys.caller_token import HEADER, LIFETIME_S, WORKER, Call, Signer
from shared.ports.clock import Clock
from shared.ports.identity import Identity

MOST_REMEMBERED = 10_000


class CallerSigner:
    """A call of a function is signed for itself alone. For the worker, whose calls change nothing, a signature is used
    again for half its life by the same caller and path: making one costs more than all else the gateway does."""

    def __init__(self, key: CallerSigningKey, clock: Clock, identity: Identity | None) -> None:
        """`identity` proves to Cloud Run that the call is the gateway's; None where that is not asked for."""
        self._key = key
        self._clock = clock
        self._identity = identity
        self._signed: TTLCache[tuple[Caller, str], str] = TTLCache(MOST_REMEMBERED, LIFETIME_S / 2, clock.monotonic)

    async def for_function(self, caller: Caller, call: Call, url: str, body: bytes | None) -> list[tuple[str, str]]:
        """For a call of a function at `url`; `body` is None where it is passed on while it arrives."""
        signer, once = await self._signer(), secrets.token_urlsafe(16)
        return await self._headers(signer.sign(caller, call, self._clock.now(), body=body, once=once), url)

    async def for_worker(self, caller: Caller, path: str, url: str) -> list[tuple[str, str]]:
        """For a POST to the worker at `url`."""
        token = self._signed.get((caller, path))
        if token is None:
            signer = await self._signer()
            token = self._signed[caller, path] = signer.sign(caller, Call(WORKER, "POST", path), self._clock.now())
        return await self._headers(token, url)

    async def _signer(self) -> Signer:
        return self._key.signer() if self._key.is_at_hand else await asyncio.to_thread(self._key.signer)

    async def _headers(self, token: str, url: str) -> list[tuple[str, str]]:
        return [(HEADER, token), *(await self._proof(self._identity, url) if self._identity else [])]

    @staticmethod
    async def _proof(identity: Identity, url: str) -> list[tuple[str, str]]:
        parts = urlsplit(url)
        audience = f"{parts.scheme}://{parts.netloc}"
        at_hand = identity.is_at_hand(audience)
        token = identity.token(audience) if at_hand else await asyncio.to_thread(identity.token, audience)
        return [("authorization", f"Bearer {token}")]
