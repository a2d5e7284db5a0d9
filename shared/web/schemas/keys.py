"""Managed keys."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, field_validator

from shared.web.schemas.strict import Open, Strict

GrantableTier = Literal["free", "basic", "premium", "master"]
GrantableScope = Literal["inference", "jobs", "admin"]
RequestsPerMinute = Annotated[int, Field(ge=0, le=1_000_000_000)]


class KeyRequest(Strict):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "laptop", "tenant": "acme", "tier": "basic", "scopes": ["inference"]}]}
    )

    name: Annotated[str, Field(min_length=1, max_length=100)]
    """For people: shown in lists."""
    tenant: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,64}$")] = "default"
    """Whose usage and jobs the key's requests are."""
    tier: GrantableTier = "free"
    scopes: list[GrantableScope] = Field(default=["inference", "jobs"], min_length=1)
    requests_per_minute: RequestsPerMinute | None = None
    """Instead of the tier's limit; 0 means no limit, null the tier's."""

    @field_validator("scopes")
    @classmethod
    def _each_once(cls, scopes: list[GrantableScope]) -> list[GrantableScope]:
        return sorted(set(scopes))


class KeyView(Open):
    """A managed key, without its text."""

    id: str
    object: Literal["key"]
    name: str
    tenant: str
    tier: GrantableTier
    scopes: list[GrantableScope]
    requests_per_minute: int
    """0 means no limit."""
    created_at: float
    """Seconds since 1970, as in every field that ends in `_at`."""
    revoked_at: float | None
    """Null while the key is valid."""


class NewKey(KeyView):
    key: str
    """The key's text. No later answer holds it."""


class KeyList(Open):
    object: Literal["list"]
    data: list[KeyView]
    has_more: bool
    next_cursor: str | None
    """What to send as `after` for the next page."""
