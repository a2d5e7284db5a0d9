"""What requests used."""

from typing import Literal

from shared.web.schemas.strict import Open


class UsageSums(Open):
    requests: int
    failed: int
    """With a status of 400 or more, or whose caller left."""
    answered_from_cache: int
    """Without asking a model, so that they cost nothing."""
    prompt_tokens: int
    cached_prompt_tokens: int
    """Of those, in the cache of the model's server."""
    completion_tokens: int
    cost_usd: float
    unpriced_requests: int
    """To models without a price: what they cost is not known, and not in the sum."""


class UsageGroup(UsageSums):
    key: str
    """The day, the model, or the id of the key or tenant."""


class StorageUse(Open):
    bytes: int
    """What the tenant's files, unfinished uploads and batch outputs take now; of the caller's own tenant, where the
    report is every tenant's."""
    limit_bytes: int | None
    """What they may take; null: any number."""


class UsageReport(Open):
    object: Literal["usage"]
    first_day: str
    last_day: str
    group: Literal["day", "tenant", "key", "model"]
    data: list[UsageGroup]
    """By days in their order, else the dearest first."""
    total: UsageSums
    storage: StorageUse
