"""What a key may hand on. A key of scope admin makes, changes, rotates and revokes keys that have no more than itself:
else the least of them could make itself a master.

Every field of a key's record is classified here: it gives no power, or a check compares it. A field that is neither is
refused, whatever its value.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from ipaddress import ip_network

from shared.core.addresses import Network
from shared.core.budgets import Budget
from shared.core.keys import Scope, Tier, granted
from shared.core.limits import Limits
from shared.core.managed_keys import ManagedKey

RANK = {tier: rank for rank, tier in enumerate((Tier.FREE, Tier.BASIC, Tier.PREMIUM, Tier.MASTER))}


@dataclass(frozen=True, slots=True)
class EffectiveKey:
    """A key's record with what applies to it."""

    key: ManagedKey
    limits: Limits
    """Its own, else its tier's; so with the budget."""
    budget: Budget
    tenant_limits: Limits
    """Those that all keys of its tenant share; they apply beside its own."""
    tenant_budget: Budget


Check = Callable[[EffectiveKey, EffectiveKey], bool]
"""Whether the second key has no more than the first one, which makes or changes it."""


def excess(maker: EffectiveKey, made: EffectiveKey) -> str:
    """The first field of the record in which a key has more than its maker; empty when there is none."""
    for field in fields(made.key):
        if field.name in POWERLESS:
            continue
        check = CHECKS.get(field.name)
        if check is None or not check(maker, made):
            return field.name
    return ""


def _limit(name: str) -> Check:
    def check(maker: EffectiveKey, made: EffectiveKey) -> bool:
        own, own_tenant = getattr(maker.limits, name), getattr(maker.tenant_limits, name)
        its, its_tenant = getattr(made.limits, name), getattr(made.tenant_limits, name)
        return _is_within(its or None, own or None) and _is_within(
            _tighter(its or None, its_tenant or None), _tighter(own or None, own_tenant or None)
        )

    return check


def _budget(maker: EffectiveKey, made: EffectiveKey) -> bool:
    for name in (field.name for field in fields(Budget)):
        own, own_tenant = getattr(maker.budget, name), getattr(maker.tenant_budget, name)
        its, its_tenant = getattr(made.budget, name), getattr(made.tenant_budget, name)
        if not _is_within(its, own) or not _is_within(_tighter(its, its_tenant), _tighter(own, own_tenant)):
            return False
    return True


def _tenant(maker: EffectiveKey, made: EffectiveKey) -> bool:
    return made.key.tenant == maker.key.tenant or Scope.PLATFORM_ADMIN in maker.key.scopes


def _models(maker: EffectiveKey, made: EffectiveKey) -> bool:
    own, its = maker.key.models, made.key.models
    return own is None or (its is not None and its <= own)


def _ips(maker: EffectiveKey, made: EffectiveKey) -> bool:
    own, its = _networks(maker.key), _networks(made.key)
    return not own or (bool(its) and all(any(_is_part(network, of) for of in own) for network in its))


def _is_within(amount: float | None, bound: float | None) -> bool:
    """None means no bound."""
    return bound is None or (amount is not None and amount <= bound)


def _tighter(first: int | None, second: int | None) -> int | None:
    return min((bound for bound in (first, second) if bound is not None), default=None)


def _networks(key: ManagedKey) -> list[Network]:
    return [ip_network(text) for text in key.ips]


def _is_part(network: Network, of: Network) -> bool:
    return network.version == of.version and network.subnet_of(of)  # type: ignore[arg-type]


POWERLESS = frozenset(
    "id name texts metadata created_at created_by changed_at changed_by revoked_at change".split()  # noqa: SIM905
)
"""Nothing is decided by them."""
CHECKS: Mapping[str, Check] = {
    "tenant": _tenant,
    "tier": lambda maker, made: RANK[made.key.tier] <= RANK[maker.key.tier],
    "scopes": lambda maker, made: made.key.scopes <= granted(maker.key.scopes),
    "requests_per_minute": _limit("requests_per_minute"),
    "tokens_per_minute": _limit("tokens_per_minute"),
    "concurrent_requests": _limit("concurrent_requests"),
    "requests_per_day": _limit("requests_per_day"),
    "strict": lambda maker, made: made.key.strict or not maker.key.strict,
    "budget": _budget,
    "models": _models,
    "ips": _ips,
    "expires_at": lambda maker, made: _is_within(made.key.expires_at, maker.key.expires_at),
}
