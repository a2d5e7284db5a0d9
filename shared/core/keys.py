"""API keys: who a key is, where its text comes from and how it is kept.

Static keys come from `API_KEYS`; their prefix gives the tier (`prod-key-acme-2025` is tier premium, tenant acme).
Managed keys read `omni_<id>_<secret><checksum>`: the checksum lets a malformed key be refused, and a leaked one be
found by a scanner, without asking the store. Only the HMAC of a managed key is ever kept.
"""

import hashlib
import hmac
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ID_LENGTH, SECRET_LENGTH, CHECKSUM_LENGTH = 12, 32, 6
MANAGED = re.compile(
    rf"omni_([0-9A-Za-z]{{{ID_LENGTH}}})_([0-9A-Za-z]{{{SECRET_LENGTH}}})([0-9A-Za-z]{{{CHECKSUM_LENGTH}}})"
)
STATIC = re.compile(r"(?P<prefix>[a-z]+)-(?:key-(?P<tenant>[A-Za-z0-9_]+)-)?.+")


class Tier(StrEnum):
    """How much a key may use; the values are what a key's record holds."""

    FREE = "free"
    BASIC = "basic"
    PREMIUM = "premium"
    MASTER = "master"


REQUESTS_PER_MINUTE = {Tier.FREE: 10, Tier.BASIC: 100, Tier.PREMIUM: 1000, Tier.MASTER: 0}
"""Tier defaults; 0 means no limit."""

PREFIXES = {
    "free": Tier.FREE,
    "basic": Tier.BASIC,
    "premium": Tier.PREMIUM,
    "prod": Tier.PREMIUM,
    "master": Tier.MASTER,
}


class Scope(StrEnum):
    """What a key may do. `system` is for the platform's own schedules and tasks and is never given to a key."""

    INFERENCE = "inference"
    JOBS = "jobs"
    ADMIN = "admin"
    SYSTEM = "system"


USER_SCOPES = frozenset({Scope.INFERENCE, Scope.JOBS})
GRANTABLE_SCOPES = USER_SCOPES | {Scope.ADMIN}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking: the result of authentication, and all that later stages know of the key."""

    key_id: str
    tenant: str
    tier: Tier
    scopes: frozenset[Scope]
    requests_per_minute: int
    """0 means no limit."""


SYSTEM = Caller("system", "system", Tier.MASTER, frozenset({Scope.SYSTEM}), 0)


@dataclass(frozen=True, slots=True)
class MintedKey:
    """A managed key at the only moment its text exists."""

    id: str
    text: str


def digest(key: str) -> bytes:
    """What a key is looked up by in memory, so that the text itself is not held."""
    return hashlib.sha256(key.encode()).digest()


def peppered(key: str, pepper: bytes) -> str:
    """What the store keeps of a managed key: HMAC-SHA256 in hex."""
    return hmac.new(pepper, key.encode(), hashlib.sha256).hexdigest()


def static_keys(text: str) -> dict[bytes, Caller]:
    """`API_KEYS` (comma-separated) as callers, by digest. An unknown prefix gets the lowest tier."""
    return {digest(key): _static_caller(key) for key in (part.strip() for part in text.split(",")) if key}


def _static_caller(key: str) -> Caller:
    found = STATIC.fullmatch(key)
    tier = PREFIXES.get(found["prefix"], Tier.FREE) if found else Tier.FREE
    key_id = "env-" + hashlib.sha256(key.encode()).hexdigest()[:12]
    tenant = (found["tenant"] if found else None) or key_id
    scopes = GRANTABLE_SCOPES if tier is Tier.MASTER else USER_SCOPES
    return Caller(key_id, tenant, tier, scopes, REQUESTS_PER_MINUTE[tier])


def mint(choose: Callable[[str], str]) -> MintedKey:
    """A new managed key. `choose` picks one character of a string, as `secrets.choice` does."""
    key_id = "".join(choose(ALPHABET) for _ in range(ID_LENGTH))
    secret = "".join(choose(ALPHABET) for _ in range(SECRET_LENGTH))
    body = f"omni_{key_id}_{secret}"
    return MintedKey(key_id, body + _checksum(body))


def managed_id(key: str) -> str | None:
    """The id inside a well-formed managed key, or None when it is malformed or its checksum is wrong."""
    found = MANAGED.fullmatch(key)
    if not found or not hmac.compare_digest(_checksum(key[:-CHECKSUM_LENGTH]), found[3]):
        return None
    return found[1]


def _checksum(body: str) -> str:
    value, digits = zlib.crc32(body.encode()), ""
    for _ in range(CHECKSUM_LENGTH):
        value, digit = divmod(value, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits
