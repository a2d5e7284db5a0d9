"""Authentication: an API key's text → the caller it belongs to.

Static keys are known from the start. A managed key is read from the store once and then believed for `cache_s`, so
a revoked one stops working within that time everywhere. What is malformed or has a wrong checksum never reaches the
store; what the store does not know is remembered as well.
"""

import hmac

from cachetools import TTLCache

from shared.core.errors import PermissionDenied, Unauthenticated
from shared.core.keys import Caller, Scope, Tier, digest, managed_id, peppered, static_keys
from shared.ports.clock import Clock
from shared.ports.secrets import Secrets
from shared.ports.store import Document, Store
from shared.settings import SettingsError

MOST_REMEMBERED = 50_000


class Authenticator:
    def __init__(self, static: dict[bytes, Caller], store: Store, pepper: bytes, clock: Clock, cache_s: float) -> None:
        self._static = static
        self._store = store
        self._pepper = pepper
        self._clock = clock
        self._recent: TTLCache[bytes, Caller | None] = TTLCache(MOST_REMEMBERED, cache_s, clock.monotonic)

    @classmethod
    def from_secrets(cls, secrets: Secrets, store: Store, clock: Clock, cache_s: float) -> "Authenticator":
        """Reads `API_KEYS` and `OMNI_KEY_PEPPER`; SettingsError when both are missing, which would leave nobody in."""
        static = static_keys(secrets.get("API_KEYS") or "")
        pepper = secrets.get("OMNI_KEY_PEPPER") or ""
        if not static and not pepper:
            raise SettingsError("no API key can ever be valid: set API_KEYS, or OMNI_KEY_PEPPER for managed keys")
        return cls(static, store, pepper.encode(), clock, cache_s)

    def remembered(self, key: str) -> Caller | None:
        """The caller if memory alone can tell; Unauthenticated if it can tell that there is none."""
        hashed = digest(key)
        if caller := self._static.get(hashed):
            return caller
        if hashed in self._recent:
            return _known(self._recent.get(hashed))
        if not self._pepper or managed_id(key) is None:
            raise Unauthenticated
        return None

    def authenticate(self, key: str) -> Caller:
        """The caller, from the store if need be; Unauthenticated when there is none."""
        if caller := self.remembered(key):
            return caller
        key_id = managed_id(key) or ""
        document = self._store.get("keys", key_id)
        caller = self._caller(key, document) if document else None
        self._recent[digest(key)] = caller
        return _known(caller)

    def _caller(self, key: str, document: Document) -> Caller | None:
        if not hmac.compare_digest(document["hash"], peppered(key, self._pepper)):
            return None
        if document["revoked_at"] is not None:
            return None
        return Caller(
            key_id=document["id"],
            tenant=document["tenant"],
            tier=Tier(document["tier"]),
            scopes=frozenset(Scope(scope) for scope in document["scopes"]),
            requests_per_minute=document["requests_per_minute"],
        )


def _known(caller: Caller | None) -> Caller:
    if caller is None:
        raise Unauthenticated
    return caller


def presented_key(authorization: str, x_api_key: str) -> str:
    """The key in a request's headers; Unauthenticated when there is none."""
    scheme, _, credentials = authorization.partition(" ")
    key = credentials.strip() if scheme.lower() == "bearer" else x_api_key.strip()
    if not key:
        raise Unauthenticated
    return key


def require_scope(caller: Caller, scope: Scope | None) -> None:
    """PermissionDenied, naming the scope, when the caller lacks it."""
    if scope is not None and scope not in caller.scopes:
        raise PermissionDenied(f"This key lacks the scope '{scope}'.")
