"""Which limits apply to whom: a key's own, else its tier's; and the operator's for tenants and models."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from shared.catalogue import Catalogue
from shared.core.keys import TIER_LIMITS, Caller, Tier
from shared.core.limits import Limits
from shared.settings import Settings, SettingsError


@dataclass(frozen=True, slots=True)
class LimitPolicy:
    tiers: Mapping[Tier, Limits] = field(default_factory=lambda: TIER_LIMITS)
    tenants: Mapping[str, Limits] = field(default_factory=dict)
    models: Mapping[str, Limits] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings, catalogue: Catalogue) -> "LimitPolicy":
        return cls(tier_limits(settings.tier_limits), catalogue.tenant_limits, catalogue.model_limits)

    def of_key(self, caller: Caller) -> Limits:
        tier = self.tiers[caller.tier]
        return Limits(
            tier.requests_per_minute if caller.requests_per_minute is None else caller.requests_per_minute,
            tier.tokens_per_minute if caller.tokens_per_minute is None else caller.tokens_per_minute,
            tier.concurrent_requests if caller.concurrent_requests is None else caller.concurrent_requests,
            tier.requests_per_day if caller.requests_per_day is None else caller.requests_per_day,
            caller.strict,
        )


def tier_limits(text: str) -> dict[Tier, Limits]:
    """The tiers' limits with those changed that the text names: `free.requests_per_minute=20,basic.requests_per_day=0`.

    SettingsError names what is wrong.
    """
    limits = dict(TIER_LIMITS)
    for part in filter(None, (part.strip() for part in text.split(","))):
        place, _, amount = part.partition("=")
        tier, _, name = place.partition(".")
        if tier not in set(Tier) or name not in CHANGES or not (amount.isascii() and amount.isdigit()):
            raise SettingsError(f"OMNI_TIER_LIMITS: {part!r} is not like 'free.requests_per_minute=20'")
        limits[Tier(tier)] = CHANGES[name](limits[Tier(tier)], int(amount))
    return limits


CHANGES: Mapping[str, Callable[[Limits, int], Limits]] = {
    "requests_per_minute": lambda limits, amount: replace(limits, requests_per_minute=amount),
    "tokens_per_minute": lambda limits, amount: replace(limits, tokens_per_minute=amount),
    "concurrent_requests": lambda limits, amount: replace(limits, concurrent_requests=amount),
    "requests_per_day": lambda limits, amount: replace(limits, requests_per_day=amount),
}
