"""Who acts on keys: the caller's own key as its record stands now, and what that lets it do to others."""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.core.delegation import EffectiveKey, excess
from shared.core.errors import NotFound, PermissionDenied, Unauthenticated
from shared.core.keys import Caller, Scope, is_static
from shared.core.limits import Limits
from shared.core.managed_keys import ManagedKey, credential, from_document
from shared.keys.authentication import require_scope
from shared.limits.policy import LimitPolicy
from shared.money.policy import NO_BUDGET, BudgetPolicy
from shared.ports.store import Store

NO_LIMITS = Limits()


def acts_everywhere(caller: Caller) -> bool:
    """Whether it may name a tenant other than its own."""
    return Scope.PLATFORM_ADMIN in caller.scopes


def named_tenant(caller: Caller, query: Mapping[str, str]) -> str | None:
    """Which tenant a list or a report is narrowed to: the one that `tenant` names, else the caller's; None, every
    tenant, for a platform admin who names none. PermissionDenied when it may not name that one."""
    tenant = query.get("tenant") or None
    if acts_everywhere(caller):
        return tenant
    if tenant not in (None, caller.tenant):
        raise PermissionDenied(
            f"Only a key with the scope '{Scope.PLATFORM_ADMIN}' may name another tenant than its own.", param="tenant"
        )
    return caller.tenant


def require_in_reach(caller: Caller, key: ManagedKey) -> None:
    """NotFound for another tenant's key, as for none."""
    if key.tenant != caller.tenant and not acts_everywhere(caller):
        raise NotFound(f"There is no key '{key.id}'.", param="id")


@dataclass(frozen=True, slots=True)
class Delegation:
    """What the key behind a request may hand on."""

    maker: EffectiveKey
    limits: LimitPolicy
    budgets: BudgetPolicy

    @classmethod
    def by(cls, caller: Caller, store: Store, limits: LimitPolicy, budgets: BudgetPolicy, now: float) -> "Delegation":
        """Unauthenticated, or PermissionDenied, when the caller's key may not do anything to keys any more."""
        return cls(effective(_record(caller, store, now), limits, budgets), limits, budgets)

    def require_within(self, key: ManagedKey) -> None:
        """PermissionDenied (code `exceeds_own_key`) naming the field in which the key has more than its maker."""
        if field := excess(self.maker, effective(key, self.limits, self.budgets)):
            raise PermissionDenied(
                f"A key may not create or change a key that has more rights than itself: '{field}' has more. "
                "Request less, or use a key that has as much.",
                param=field,
                code="exceeds_own_key",
            )


def effective(key: ManagedKey, limits: LimitPolicy, budgets: BudgetPolicy) -> EffectiveKey:
    caller, tenant = credential(key).caller, budgets.tenants.get(key.tenant)
    return EffectiveKey(
        key,
        limits.of_key(caller),
        budgets.of_key(caller),
        limits.tenants.get(key.tenant, NO_LIMITS),
        tenant.budget if tenant else NO_BUDGET,
    )


def _record(caller: Caller, store: Store, now: float) -> ManagedKey:
    """A managed key's record in the store; a static key has none and is what its text says."""
    if is_static(caller.key_id):
        return ManagedKey(caller.key_id, "", caller.tenant, caller.tier, caller.scopes, (), 0.0, "")
    document = store.get("keys", caller.key_id)
    key = from_document(document) if document else None
    if key is None or key.has_ended(now):
        raise Unauthenticated
    require_scope(credential(key).caller, Scope.ADMIN)
    return key
