"""What a key may hand on. A key of scope admin makes, changes, rotates and revokes keys that have no more than itself:
else the least of them could make itself a master."""

from dataclasses import asdict

from shared.core.budgets import Budget
from shared.core.keys import Caller, Tier
from shared.core.limits import Limits
from shared.core.managed_keys import ManagedKey

RANK = {tier: rank for rank, tier in enumerate((Tier.FREE, Tier.BASIC, Tier.PREMIUM, Tier.MASTER))}


def excess(maker: Caller, own: Limits, key: ManagedKey, limits: Limits) -> str:
    """The first field in which the key has more than who asks for it; empty when there is none. `own` and `limits` are
    what applies to each."""
    if RANK[key.tier] > RANK[maker.tier]:
        return "tier"
    if not key.scopes <= maker.scopes:
        return "scopes"
    if maker.models is not None and (key.models is None or not key.models <= maker.models):
        return "models"
    if _spends_more(key.budget, maker.budget):
        return "budget"
    amounts = asdict(limits)
    return next((name for name, most in asdict(own).items() if _is_beyond(amounts[name], most)), "")


def _spends_more(budget: Budget | None, most: Budget | None) -> bool:
    """None means no bound, in a budget as in place of one."""
    if most is None:
        return False
    asked = budget or Budget()
    bounds = ((asked.daily, most.daily), (asked.monthly, most.monthly))
    return any(bound is not None and (amount is None or amount > bound) for amount, bound in bounds)


def _is_beyond(amount: int, most: int) -> bool:
    """Of limits, where 0 means none. `strict` is no amount: to be or not to be so is nobody's power."""
    if isinstance(most, bool):
        return False
    return most > 0 and (amount == 0 or amount > most)
