"""A managed key's life: made, changed, rotated, revoked, expired. Values in, values out, as for jobs.

A key has one id for life and, one after the other, several texts. A rotation gives it a new text, and lets the older
ones go on working for a while.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from hmac import compare_digest
from ipaddress import ip_network
from typing import Any

from shared.core.budgets import Budget
from shared.core.errors import Conflict
from shared.core.keys import Caller, Scope, Tier, peppered

LONGEST_OVERLAP_S = 30 * 24 * 3600.0
MOST_TEXTS = 10
"""How many texts of a key may work at the same time."""


@dataclass(frozen=True, slots=True)
class TextHash:
    """What is kept of one text of a key."""

    hash: str
    until: float | None = None
    """When the text stops working; None for the newest."""

    def holds(self, now: float) -> bool:
        return self.until is None or now < self.until


@dataclass(frozen=True, slots=True)
class ManagedKey:
    """A managed key as its document holds it. Times are seconds since 1970."""

    id: str
    name: str
    tenant: str
    tier: Tier
    scopes: frozenset[Scope]
    texts: tuple[TextHash, ...]
    """Newest first."""
    created_at: float
    created_by: str
    """The id of the key that made it."""
    requests_per_minute: int | None = None
    """0 means no limit, None the tier's; so in all limits."""
    tokens_per_minute: int | None = None
    concurrent_requests: int | None = None
    requests_per_day: int | None = None
    strict: bool = False
    budget: Budget | None = None
    """None: the tier's."""
    models: frozenset[str] | None = None
    """None: every model."""
    ips: tuple[str, ...] = ()
    """Networks it may be used from; empty: from anywhere."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    expires_at: float | None = None
    changed_at: float | None = None
    changed_by: str | None = None
    revoked_at: float | None = None
    change: int | None = None
    """Counts the changes of all keys: the number of this key's last one."""

    def has_ended(self, now: float) -> bool:
        return self.revoked_at is not None or (self.expires_at is not None and now >= self.expires_at)

    def older_texts_until(self, now: float) -> float | None:
        """When the last of its older texts stops working; None when none works any more."""
        return max((text.until for text in self.texts if text.until and text.holds(now)), default=None)


@dataclass(frozen=True, slots=True)
class Credential:
    """What authentication must know of a managed key."""

    caller: Caller
    texts: tuple[TextHash, ...]
    ends_at: float | None
    """When none of them works any more; None: never."""

    def has(self, text: str, peppers: tuple[bytes, ...], now: float) -> bool:
        """Whether this is one of the key's texts, and still one."""
        found = self.text_hash(text, peppers)
        return found is not None and found.holds(now)

    def text_hash(self, text: str, peppers: tuple[bytes, ...]) -> TextHash | None:
        """What is kept of this text, whether it still works or not; None when it is none of the key's."""
        for pepper in peppers:
            hashed = peppered(text, pepper)
            for each in self.texts:
                if compare_digest(each.hash, hashed):
                    return each
        return None

    def has_ended(self, now: float) -> bool:
        return self.ends_at is not None and now >= self.ends_at


NOBODY = Credential(Caller("", "", Tier.FREE, frozenset(), 0), (), 0.0)
"""For the id of no key: it has no text."""


def credential(key: ManagedKey) -> Credential:
    caller = Caller(
        key.id,
        key.tenant,
        key.tier,
        key.scopes,
        key.requests_per_minute,
        models=key.models,
        networks=tuple(ip_network(text) for text in key.ips),
        tokens_per_minute=key.tokens_per_minute,
        concurrent_requests=key.concurrent_requests,
        requests_per_day=key.requests_per_day,
        strict=key.strict,
        budget=key.budget,
    )
    return Credential(caller, key.texts, key.expires_at if key.revoked_at is None else 0.0)


def rotate(key: ManagedKey, new_hash: str, overlap_s: float, now: float) -> ManagedKey:
    """The key with a new text; each older one stops working `overlap_s` from now, unless it stops earlier."""
    _require_alive(key, now)
    end = now + overlap_s
    older = [replace(text, until=min(text.until or end, end)) for text in key.texts]
    texts = (TextHash(new_hash), *(text for text in older if text.holds(now)))
    if len(texts) > MOST_TEXTS:
        raise Conflict(f"{MOST_TEXTS} texts of this key still work; wait, or rotate with a shorter overlap.")
    return replace(key, texts=texts)


def change(key: ManagedKey, terms: Mapping[str, Any]) -> ManagedKey:
    """The key with other values in the named fields."""
    _require_not_revoked(key)
    return replace(key, **terms)


def revoke(key: ManagedKey, now: float) -> ManagedKey:
    """The key revoked, for good; the first time counts."""
    return key if key.revoked_at is not None else replace(key, revoked_at=now)


def to_document(key: ManagedKey) -> dict[str, Any]:
    document = {name: getattr(key, name) for name in ManagedKey.__slots__}
    return document | {
        "scopes": sorted(key.scopes),
        "texts": [asdict(text) for text in key.texts],
        "models": None if key.models is None else sorted(key.models),
        "ips": list(key.ips),
        "budget": None if key.budget is None else asdict(key.budget),
        "metadata": dict(key.metadata),
    }


def from_document(document: Mapping[str, Any]) -> ManagedKey:
    """The key in a document. Fields that came after it was written have their defaults."""
    values = {name: document[name] for name in ManagedKey.__slots__ if name in document}
    values["tier"] = Tier(values["tier"])
    values["scopes"] = frozenset(Scope(scope) for scope in values["scopes"])
    values["texts"] = tuple(TextHash(**text) for text in values["texts"])
    values["models"] = None if values.get("models") is None else frozenset(values["models"])
    values["budget"] = None if values.get("budget") is None else Budget(**values["budget"])
    values["ips"] = tuple(values.get("ips", ()))
    return ManagedKey(**values)


def _require_not_revoked(key: ManagedKey) -> None:
    if key.revoked_at is not None:
        raise Conflict("This key is revoked.", code="key_revoked")


def _require_alive(key: ManagedKey, now: float) -> None:
    _require_not_revoked(key)
    if key.has_ended(now):
        raise Conflict("This key has expired: set another 'expires_at' first.", code="key_expired")
