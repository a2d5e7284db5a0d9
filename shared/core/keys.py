"""API keys: who a key is, where its text comes from and how it is kept.

Static keys come from `API_KEYS`; their prefix gives the tier (`prod-key-acme-2025` is tier premium, tenant acme).
Managed keys read `omni_<id>_<secret><seal><checksum>`. By the checksum a scanner finds leaked ones, and a malformed key
is refused. The seal can only be made with the pepper, so a guessed key is refused without asking the store, whoever
guesses and however often. Only the HMAC of a managed key is ever kept.
"""

import hashlib
import hmac
import re
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from shared.core.addresses import Network
from shared.core.budgets import Budget
from shared.core.limits import Limits

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ID_LENGTH, SECRET_LENGTH, SEAL_LENGTH, CHECKSUM_LENGTH = 12, 22, 10, 6
"""22 characters are 131 bits that nobody knows; a guess at 10 is right once in 8e17 times."""
ID_AT = len("omni_")
MANAGED = re.compile(
    rf"omni_([0-9A-Za-z]{{{ID_LENGTH}}})_[0-9A-Za-z]{{{SECRET_LENGTH + SEAL_LENGTH}}}"
    rf"([0-9A-Za-z]{{{CHECKSUM_LENGTH}}})"
)
STATIC_ID = "env-"
STATIC = re.compile(r"(?P<prefix>[a-z]+)-(?:key-(?P<tenant>[A-Za-z0-9_]+)-)?.+")


class Tier(StrEnum):
    """How much a key may use; the values are what a key's record holds."""

    FREE = "free"
    BASIC = "basic"
    PREMIUM = "premium"
    MASTER = "master"


TIER_LIMITS = {
    Tier.FREE: Limits(requests_per_minute=10, tokens_per_minute=40_000, concurrent_requests=4, requests_per_day=1_000),
    Tier.BASIC: Limits(requests_per_minute=100, tokens_per_minute=400_000, concurrent_requests=40),
    Tier.PREMIUM: Limits(requests_per_minute=1_000, tokens_per_minute=4_000_000, concurrent_requests=1_000),
    Tier.MASTER: Limits(),
}
"""Tier defaults. The tokens are those of requests that use 4,000 each; with the slots of a premium key every request of
a minute can be under way at once."""

PREFIXES = {
    "free": Tier.FREE,
    "basic": Tier.BASIC,
    "premium": Tier.PREMIUM,
    "prod": Tier.PREMIUM,
    "master": Tier.MASTER,
}


class Scope(StrEnum):
    """What a key may do. `admin` administers its own tenant, `platform_admin` every tenant, and it includes `admin`.
    `system` is for the platform's own schedules and tasks and is never given to a key."""

    INFERENCE = "inference"
    JOBS = "jobs"
    ADMIN = "admin"
    PLATFORM_ADMIN = "platform_admin"
    SYSTEM = "system"


USER_SCOPES = frozenset({Scope.INFERENCE, Scope.JOBS})
GRANTABLE_SCOPES = USER_SCOPES | {Scope.ADMIN, Scope.PLATFORM_ADMIN}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking: the result of authentication, and all that later stages know of the key."""

    key_id: str
    tenant: str
    tier: Tier
    scopes: frozenset[Scope]
    requests_per_minute: int | None
    """0 means no limit, None the tier's; so in all limits."""
    models: frozenset[str] | None = None
    """Ids of the models it may use; None: every model."""
    networks: tuple[Network, ...] = ()
    """Where it may come from; empty: from anywhere. Checked at the entrance, and not carried by the signed caller."""
    tokens_per_minute: int | None = None
    concurrent_requests: int | None = None
    requests_per_day: int | None = None
    strict: bool = False
    """Whether its requests are refused while no limiter is shared, rather than limited by each instance for itself."""
    budget: Budget | None = None
    """None: the tier's."""

    def may_use(self, model_id: str) -> bool:
        return self.models is None or model_id in self.models

    def has_scope(self, scope: Scope) -> bool:
        return scope in granted(self.scopes)


def granted(scopes: frozenset[Scope]) -> frozenset[Scope]:
    """The scopes, with those that one of them includes."""
    return scopes | {Scope.ADMIN} if Scope.PLATFORM_ADMIN in scopes else scopes


SYSTEM = Caller("system", "system", Tier.MASTER, frozenset({Scope.SYSTEM}), 0)


def digest(key: str) -> bytes:
    """What a key is looked up by in memory, so that the text itself is not held."""
    return hashlib.sha256(key.encode()).digest()


def peppered(key: str, pepper: bytes) -> str:
    """What the store keeps of a managed key: HMAC-SHA256 in hex."""
    return hmac.digest(pepper, key.encode(), "sha256").hex()


def static_keys(text: str) -> dict[bytes, Caller]:
    """`API_KEYS` (comma-separated) as callers, by digest. An unknown prefix gets the lowest tier."""
    return {digest(key): _static_caller(key) for key in (part.strip() for part in text.split(",")) if key}


def is_static(key_id: str) -> bool:
    """Whether it is the id of a key of `API_KEYS`. No managed key's id has a hyphen."""
    return key_id.startswith(STATIC_ID)


def _static_caller(key: str) -> Caller:
    found = STATIC.fullmatch(key)
    tier = PREFIXES.get(found["prefix"], Tier.FREE) if found else Tier.FREE
    key_id = STATIC_ID + hashlib.sha256(key.encode()).hexdigest()[:12]
    tenant = (found["tenant"] if found else None) or key_id
    scopes = GRANTABLE_SCOPES if tier is Tier.MASTER else USER_SCOPES
    return Caller(key_id, tenant, tier, scopes, requests_per_minute=None)


def new_id(choose: Callable[[str], str]) -> str:
    """An id for a managed key. `choose` picks one character of a string, as `secrets.choice` does."""
    return "".join(choose(ALPHABET) for _ in range(ID_LENGTH))


def mint(key_id: str, pepper: bytes, choose: Callable[[str], str]) -> str:
    """A new text for the managed key of that id; `choose` as above."""
    secret = "".join(choose(ALPHABET) for _ in range(SECRET_LENGTH))
    body = f"omni_{key_id}_{secret}"
    sealed = body + _seal(body, pepper)
    return sealed + _checksum(sealed)


def claimed_id(key: str) -> str:
    """The id that stands in a managed key, if it is one."""
    return key[ID_AT : ID_AT + ID_LENGTH]


def managed_id(key: str) -> str | None:
    """The id inside a well-formed managed key, or None when it is malformed or its checksum is wrong."""
    found = MANAGED.fullmatch(key)
    if not found or _checksum(key[:-CHECKSUM_LENGTH]) != found[2]:
        return None
    return found[1]


def is_genuine(key: str, peppers: Iterable[bytes]) -> bool:
    """Whether a well-formed managed key was minted with one of the peppers. It may have been revoked since."""
    body, seal = key[: -SEAL_LENGTH - CHECKSUM_LENGTH], key[-SEAL_LENGTH - CHECKSUM_LENGTH : -CHECKSUM_LENGTH]
    return any(hmac.compare_digest(_seal(body, pepper), seal) for pepper in peppers)


def _seal(body: str, pepper: bytes) -> str:
    return _digits(int.from_bytes(hmac.digest(pepper, body.encode(), "sha256")[:8]), SEAL_LENGTH)


def _checksum(body: str) -> str:
    return _digits(zlib.crc32(body.encode()), CHECKSUM_LENGTH)


def _digits(value: int, length: int) -> str:
    """The last digits of a number, in base 62."""
    digits = ""
    for _ in range(length):
        value, digit = divmod(value, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits
