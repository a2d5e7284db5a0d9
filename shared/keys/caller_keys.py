"""The keys of signed callers: a private one that signs, and the public ones by which that is verified.

Both are PEM, as `openssl genpkey -algorithm ed25519` and `openssl pkey -pubout` write them. The secret of the public
keys holds several while the private one is replaced; one that is not known yet is looked for. The package that does
the arithmetic is imported at first use: it is not on the start path.
"""

import logging
import re
import threading
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from cachetools import TTLCache

from shared.core.errors import Unavailable
from shared.keys.caller_token import LIFETIME_S, Call, Signer, Verified, protected_header, verify
from shared.ports.clock import Clock
from shared.ports.secrets import Secrets
from shared.secret import Secret
from shared.settings import SettingsError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    PublicKeys = Mapping[str, Ed25519PublicKey]

PRIVATE, PUBLIC = "OMNI_CALLER_PRIVATE_KEY", "OMNI_CALLER_PUBLIC_KEYS"
PEM = re.compile(r"-----BEGIN (?P<kind>[A-Z ]+)-----[^-]+-----END (?P=kind)-----")
LOOK_AGAIN_S = 1.0
"""How old the public keys may be when a token fits none: the gateway may have learnt of a new key first."""
MOST_REMEMBERED = 50_000

log = logging.getLogger("omni.keys")

T = TypeVar("T")


class CallerSigningKey:
    """Who has it is the gateway. SettingsError when there is none."""

    def __init__(self, secrets: Secrets) -> None:
        self._secret = Secret(secrets, PRIVATE, _first_block)
        self._made: tuple[str, Signer] | None = None
        _require(self._secret, PRIVATE, "the gateway signs callers with it")

    @property
    def is_at_hand(self) -> bool:
        """Whether `signer` answers at once, so that an event loop may call it."""
        return self._secret.is_at_hand and self._made is not None and self._made[0] == self._secret.value()

    def signer(self) -> Signer:
        """Unavailable when the key was taken away, or is none."""
        pem = self._secret.value()
        if not pem:
            raise Unavailable(detail=f"{PRIVATE} is missing")
        made = self._made
        if made is None or made[0] != pem:
            made = self._made = pem, signer_of(pem)
        return made[1]


class CallerVerifier:
    """Verifies tokens for one receiver, and refuses the second use of one that is good once. SettingsError without any
    public key, since no caller could be believed then."""

    def __init__(self, secrets: Secrets, clock: Clock) -> None:
        self._secret = Secret(secrets, PUBLIC, PublicKeyRing)
        self._clock = clock
        self._verified: TTLCache[tuple[str, Call], Verified] = TTLCache(MOST_REMEMBERED, LIFETIME_S, clock.monotonic)
        """Tokens that are good for many calls are verified once."""
        self._used: TTLCache[str, None] = TTLCache(MOST_REMEMBERED, 2 * LIFETIME_S, clock.monotonic)
        self._lock = threading.Lock()
        _require(self._secret, PUBLIC, "callers that the gateway signs are verified by them")

    def remembered(self, token: str, call: Call) -> Verified | None:
        """As `verify`, by the keys that are at hand."""
        return self._verify(token, call, self._secret.value()) if token and self._secret.is_at_hand else None

    def verify(self, token: str, call: Call) -> Verified | None:
        """What the token says; None when it is not to be believed for this call."""
        known = self._secret.value()
        if found := self._verify(token, call, known):
            return found
        newer = self._secret.value(LOOK_AGAIN_S)
        return None if newer is known else self._verify(token, call, newer)

    def _verify(self, token: str, call: Call, ring: "PublicKeyRing") -> Verified | None:
        keys, now = ring.by_header, self._clock.now()
        with self._lock:
            kept = self._verified.get((token, call))
        if kept and now <= kept.expires_at and token.partition(".")[0] in keys:
            return kept
        found = verify(token, keys, call, now)
        if found is None:
            return None
        with self._lock:
            if found.once is None:
                self._verified[token, call] = found
            elif found.once in self._used:
                return None
            else:
                self._used[found.once] = None
        return found


class PublicKeyRing:
    """The public keys in a secret's text."""

    def __init__(self, text: str | None) -> None:
        self._blocks = _blocks(text)

    def __bool__(self) -> bool:
        return bool(self._blocks)

    @cached_property
    def by_header(self) -> "PublicKeys":
        """By the protected header of what each verifies."""
        return _public_keys(self._blocks)


def _blocks(text: str | None) -> list[str]:
    return [found[0] for found in PEM.finditer(text or "")]


def _first_block(text: str | None) -> str:
    return next(iter(_blocks(text)), "")


def signer_of(pem: str) -> Signer:
    """Unavailable when it is no Ed25519 private key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise Unavailable(detail=f"{PRIVATE} is not an Ed25519 private key in PEM")
    return Signer(key)


def _public_keys(blocks: list[str]) -> "PublicKeys":
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    keys = {}
    for block in blocks:
        try:
            key = load_pem_public_key(block.encode())
        except ValueError:
            key = None
        if isinstance(key, Ed25519PublicKey):
            keys[protected_header(key)] = key
        else:
            log.error(
                "a key is passed over: it is not an Ed25519 public key in PEM", extra={"fields": {"secret": PUBLIC}}
            )
    return keys


def _require(secret: Secret[T], name: str, why: str) -> None:
    try:
        if not secret.value():
            raise SettingsError(f"{name} is missing, or not in PEM: {why}")
    except Unavailable as error:  # it may be back soon: until then every request is answered with 503
        log.error("secrets cannot be read yet: %s", error.message, extra={"fields": {"detail": error.detail}})
