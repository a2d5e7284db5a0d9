"""Which budgets apply to whom: a key's own, else its tier's; and its tenant's beside it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation

from shared.catalogue import Catalogue
from shared.core.budgets import Budget
from shared.core.keys import Caller, Tier
from shared.core.pricing import BadPrice, nano
from shared.settings import Settings, SettingsError

NO_BUDGET = Budget()
FIELDS = {"daily_usd": "daily", "monthly_usd": "monthly"}


@dataclass(frozen=True, slots=True)
class Applies:
    """A budget, and to whom."""

    subject: str
    """`key:<id>` or `tenant:<name>`."""
    budget: Budget
    strict: bool = False
    """Whether nothing may be spent, not even what was leased, while the ledger cannot be reached."""


@dataclass(frozen=True, slots=True)
class BudgetPolicy:
    tiers: Mapping[Tier, Budget] = field(default_factory=dict)
    tenants: Mapping[str, Applies] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings, catalogue: Catalogue) -> "BudgetPolicy":
        limits = catalogue.tenant_limits
        tenants = {
            name: Applies(f"tenant:{name}", budget, limits[name].strict)
            for name, budget in catalogue.tenant_budgets.items()
            if budget
        }
        return cls(tier_budgets(settings.tier_budgets), tenants)

    def of_key(self, caller: Caller) -> Budget:
        return self.tiers.get(caller.tier, NO_BUDGET) if caller.budget is None else caller.budget

    def applying_to(self, caller: Caller) -> tuple[Applies, ...]:
        """All that a request of the caller counts against."""
        budget, tenant = self.of_key(caller), self.tenants.get(caller.tenant)
        key = (Applies(f"key:{caller.key_id}", budget, caller.strict),) if budget else ()
        return (*key, tenant) if tenant else key

    def subjects_of(self, key_id: str, tenant: str, tier: Tier | None, own: Budget | None) -> tuple[str, ...]:
        """Whose budgets apply to a key of that tier with that budget of its own."""
        budget = (self.tiers.get(tier, NO_BUDGET) if tier else NO_BUDGET) if own is None else own
        key = (f"key:{key_id}",) if budget else ()
        return (*key, f"tenant:{tenant}") if tenant in self.tenants else key


def tier_budgets(text: str) -> dict[Tier, Budget]:
    """`free.daily_usd=0.5,basic.monthly_usd=20` as budgets; SettingsError names what is wrong."""
    budgets: dict[Tier, Budget] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        place, _, amount = part.partition("=")
        tier, _, name = place.partition(".")
        try:
            changed = {FIELDS[name]: nano(Decimal(amount))}
            budgets[Tier(tier)] = replace(budgets.get(Tier(tier), NO_BUDGET), **changed)
        except (KeyError, ValueError, InvalidOperation) as error:
            told = f": {error}" if isinstance(error, BadPrice) else ""
            raise SettingsError(f"OMNI_TIER_BUDGETS: {part!r} is not like 'free.daily_usd=0.5'{told}") from None
    return budgets
