"""Authentication: an API key's text → the caller it belongs to.

Static keys come from the secret `API_KEYS`. A managed key is known to be genuine or guessed before anything is asked of
the store; what the store says of a genuine one is remembered (shared/keys/memory.py).
"""

import logging
from collections.abc import Callable

from shared.core.addresses import Address, is_within
from shared.core.errors import PermissionDenied, Unauthenticated, Unavailable
from shared.core.keys import Caller, Scope, claimed_id, digest, is_genuine, managed_id, static_keys
from shared.core.managed_keys import Credential, TextHash
from shared.keys.memory import KeyMemory, in_thread, remember
from shared.ports.clock import Clock
from shared.ports.secrets import Secrets
from shared.ports.store import Store
from shared.secret import Secret, newest_first
from shared.settings import Settings, SettingsError

log = logging.getLogger("omni.keys")


class Authenticator:
    def __init__(self, secrets: Secrets, memory: KeyMemory, clock: Clock) -> None:
        self._static = Secret(secrets, "API_KEYS", _static_keys)
        self._peppers = Secret(secrets, "OMNI_KEY_PEPPER", newest_first)
        self._memory = memory
        self._now = clock.now
        self._proven: dict[bytes, tuple[Credential, tuple[bytes, ...], TextHash]] = {}
        """By a text's digest: whose it was found to be, by which peppers. So the HMAC is not made for each request."""

    @classmethod
    def from_settings(cls, settings: Settings, secrets: Secrets, store: Store, clock: Clock) -> "Authenticator":
        """SettingsError when neither kind of key can ever be valid, which would leave nobody in; behind the gateway
        no key is needed."""
        if not settings.run_as_internal:
            _require_some_key(secrets)
        memory = KeyMemory(store, clock, settings.key_cache_s, settings.key_grace_s, in_thread)
        return cls(secrets, memory, clock)

    def remembered(self, key: str) -> Caller | None:
        """The caller if memory alone can tell; Unauthenticated if it can tell that there is none."""
        if not (self._static.is_at_hand and self._peppers.is_at_hand):
            return None
        hashed = digest(key)
        if caller := self._static.value().get(hashed):
            return caller
        found, peppers, now = self._memory.recall(claimed_id(key)), self._peppers.value(), self._now()
        if found and (text := self._text_hash(found, key, hashed, peppers)) and text.holds(now):
            return _unless_ended(found, now) if self._memory.is_current() else None
        if managed_id(key) is None or not is_genuine(key, peppers) or self._memory.has_refused(hashed):
            raise Unauthenticated
        return None

    def _text_hash(self, found: Credential, key: str, hashed: bytes, peppers: tuple[bytes, ...]) -> TextHash | None:
        """As `Credential.text_hash`; made anew once the key or the peppers have changed."""
        proven = self._proven.get(hashed)
        if proven and proven[0] is found and proven[1] is peppers:
            return proven[2]
        if text := found.text_hash(key, peppers):
            remember(self._proven, hashed, (found, peppers, text))
        return text

    def authenticate(self, key: str) -> Caller:
        """The caller, from the store if need be; Unauthenticated when there is none, Unavailable when none can tell."""
        static, peppers = self._static.value(), self._peppers.value()
        if caller := static.get(digest(key)):
            return caller
        if (key_id := managed_id(key)) is None or not is_genuine(key, peppers):
            raise Unauthenticated
        self._memory.refresh()
        now = self._now()
        found = self._memory.recall(key_id)
        if found is None or not found.has(key, peppers, now):  # never read, or rotated a moment ago
            found = self._memory.read(key_id)
        if not found.has(key, peppers, now):
            self._memory.refuse(digest(key))
            raise Unauthenticated
        return _unless_ended(found, now)


def presented_key(authorization: str, x_api_key: str) -> str:
    """The key in a request's headers; Unauthenticated when there is none."""
    scheme, _, credentials = authorization.partition(" ")
    key = credentials.strip() if scheme.lower() == "bearer" else x_api_key.strip()
    if not key:
        raise Unauthenticated
    return key


def require_scope(caller: Caller, scope: Scope | None) -> None:
    """PermissionDenied, naming the scope, when the caller lacks it."""
    if scope is not None and not caller.has_scope(scope):
        raise PermissionDenied(f"This key lacks the scope '{scope}'. Use a key that has it.")


def require_network(caller: Caller, address: Callable[[], Address | None]) -> None:
    """PermissionDenied when the caller may not come from that address, or when it is not known where it comes from."""
    if caller.networks and not is_within(address(), caller.networks):
        raise PermissionDenied("This key may not be used from this address.", code="address_not_allowed")


def _unless_ended(found: Credential, now: float) -> Caller:
    if found.has_ended(now):
        raise Unauthenticated
    return found.caller


def _static_keys(text: str | None) -> dict[bytes, Caller]:
    return static_keys(text or "")


def _require_some_key(secrets: Secrets) -> None:
    try:
        if not secrets.get("API_KEYS") and not secrets.get("OMNI_KEY_PEPPER"):
            raise SettingsError("no API key can ever be valid: set API_KEYS, or OMNI_KEY_PEPPER for managed keys")
    except Unavailable as error:  # it may be back soon: until then every request is answered with 503
        log.error("secrets cannot be read yet: %s", error.message, extra={"fields": {"detail": error.detail}})
