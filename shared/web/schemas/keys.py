"""Managed keys."""

from decimal import Decimal
from ipaddress import ip_network
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, field_validator

from shared.core.budgets import Budget
from shared.core.managed_keys import LONGEST_OVERLAP_S
from shared.core.pricing import BadPrice, nano
from shared.web.schemas.jobs import Metadata
from shared.web.schemas.strict import Open, Strict

GrantableTier = Literal["free", "basic", "premium", "master"]
GrantableScope = Literal["inference", "jobs", "admin", "platform_admin"]
Most = Annotated[int, Field(ge=0, le=1_000_000_000)]
Name = Annotated[str, Field(min_length=1, max_length=100)]
ModelId = Annotated[str, Field(min_length=1, max_length=200)]
YEAR_9999_AT = 253_402_300_799


def _network(text: str) -> str:
    """`10.0.0.5/8` is refused: who writes it means either one address or all of them."""
    try:
        return str(ip_network(text))
    except ValueError as error:
        raise ValueError(f"should be an address or a network: {error}") from None


def _exact(dollars: float) -> float:
    try:
        nano(Decimal(repr(dollars)))
    except BadPrice as error:
        raise ValueError(f"cannot be: {error}") from None
    return dollars


Dollars = Annotated[float, AfterValidator(_exact)]


class BudgetTerms(Strict):
    """What may be spent, in US dollars; days and months are UTC's. Null means no limit, 0 only what costs nothing."""

    daily_usd: Dollars | None = None
    monthly_usd: Dollars | None = None

    def as_budget(self) -> Budget:
        daily, monthly = self.daily_usd, self.monthly_usd
        return Budget(
            None if daily is None else nano(Decimal(repr(daily))),
            None if monthly is None else nano(Decimal(repr(monthly))),
        )


class KeyTerms(Strict):
    """What a key is made with and may be changed to."""

    name: Name
    """For people: shown in lists."""
    tier: GrantableTier = "free"
    scopes: list[GrantableScope] = Field(default=["inference", "jobs"], min_length=1, max_length=100)
    requests_per_minute: Most | None = None
    """Instead of the tier's limit; 0 means no limit, null the tier's. So in all limits."""
    tokens_per_minute: Most | None = None
    """Input and output; estimated when a request arrives, and settled on what it used."""
    concurrent_requests: Most | None = None
    requests_per_day: Most | None = None
    """In any 24 hours."""
    strict: bool = False
    """Whether requests are refused (503) while limits cannot be checked over all instances, rather than limited by each
    instance for itself."""
    budget: BudgetTerms | None = None
    """Instead of the tier's; null means the tier's."""
    models: Annotated[list[ModelId], Field(max_length=100)] | None = None
    """The only models it may use or see; an empty list means none, null every model."""
    ips: list[Annotated[str, AfterValidator(_network)]] = Field(default=[], max_length=100)
    """Addresses and networks it may be used from, as in `203.0.113.7` or `2001:db8::/32`; empty means from anywhere."""
    metadata: Metadata = Field(default_factory=dict)
    """Up to 16 pairs; keys of 1 to 64 characters, values of up to 512."""
    expires_at: Annotated[float, Field(ge=0, le=YEAR_9999_AT)] | None = None
    """When it stops working, seconds since 1970; null means never."""

    @field_validator("scopes", "models", "ips")
    @classmethod
    def _each_once(cls, values: list[str] | None) -> list[str] | None:
        return None if values is None else sorted(set(values))


class KeyRequest(KeyTerms):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "laptop", "tenant": "acme", "tier": "basic", "scopes": ["inference"]}]}
    )

    tenant: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,64}$")] | None = None
    """Whose usage and jobs the key's requests are; null means the maker's, or `default` when that is a platform admin.
    A key keeps it for life."""


def _nothing_by_default(schema: dict[str, Any]) -> None:
    for each in schema["properties"].values():
        each.pop("default", None)


class KeyChange(KeyTerms):
    """Fields that are not named stay as they are."""

    model_config = ConfigDict(json_schema_extra=_nothing_by_default)

    name: Name = ""
    """For people: shown in lists."""


class KeyRotation(Strict):
    overlap_s: Annotated[float, Field(ge=0, le=LONGEST_OVERLAP_S)] = 0
    """How long the texts it had before go on working, up to 30 days; those that end earlier still do."""


class KeyView(Open):
    """A managed key, without its text. Times are seconds since 1970."""

    id: str
    object: Literal["key"]
    name: str
    tenant: str
    tier: GrantableTier
    scopes: list[GrantableScope]
    requests_per_minute: int
    """0 means no limit; so in all limits."""
    tokens_per_minute: int
    concurrent_requests: int
    requests_per_day: int
    strict: bool
    budget: BudgetTerms
    models: list[str] | None
    """The only models it may use or see; null means every model."""
    ips: list[str]
    """Where it may be used from; empty means from anywhere."""
    metadata: dict[str, str]
    created_at: float
    created_by: str
    """The id of the key that made it."""
    changed_at: float | None
    """Null while it is as it was made."""
    changed_by: str | None
    """The id of the key that changed it last."""
    expires_at: float | None
    """Null means never."""
    revoked_at: float | None
    """Null while it is not revoked."""
    older_texts_until: float | None
    """Since a rotation: when the last of the texts it had before stops working; null when none works any more."""


class NewKey(KeyView):
    key: str
    """The key's text. No later answer holds it."""


class KeyList(Open):
    object: Literal["list"]
    data: list[KeyView]
    has_more: bool
    next_cursor: str | None
    """What to send as `after` for the next page."""
