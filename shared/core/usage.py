"""What requests used: a row for each, and their sums by day, tenant, key and model."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, NamedTuple
from urllib.parse import quote

from shared.core.budgets import day_of


class UsageRow(NamedTuple):
    """One request to a model. A tuple: the gateway makes one for each, and a frozen dataclass takes longer."""

    at: float
    """When it ended, seconds since 1970."""
    request_id: str
    tenant: str
    key_id: str
    route: str
    model: str
    status: int
    tokens_in: int
    tokens_cached: int
    """Of those in, by the upstream's own cache."""
    tokens_out: int
    cost: int | None
    """Nano-dollars; None when the model has no price."""
    ms: float
    answered_from: str = ""
    """`cache` or `replay` when no model was asked."""


@dataclass(frozen=True, slots=True)
class Sums:
    requests: int = 0
    failed: int = 0
    """With a status of 400 or more, or whose caller left."""
    answered_from_cache: int = 0
    tokens_in: int = 0
    tokens_cached: int = 0
    tokens_out: int = 0
    cost: int = 0
    """Nano-dollars."""
    unpriced: int = 0
    """Requests that nobody knows the cost of."""

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(*(getattr(self, name) + getattr(other, name) for name in SUMS))


SUMS = tuple(each.name for each in fields(Sums))


@dataclass(frozen=True, slots=True)
class Slice:
    """Whose sums."""

    day: str
    tenant: str
    key_id: str
    model: str

    @property
    def document_id(self) -> str:
        """Models' names may have slashes, which ids may not."""
        return "|".join((self.day, self.tenant, self.key_id, quote(self.model, safe="")))


class Grouping(StrEnum):
    DAY = "day"
    TENANT = "tenant"
    KEY = "key"
    MODEL = "model"

    def of(self, whose: Slice) -> str:
        return whose.key_id if self is Grouping.KEY else str(getattr(whose, self.value))


def sums_of(row: UsageRow) -> Sums:
    return Sums(
        requests=1,
        failed=int(row.status >= 400),
        answered_from_cache=int(bool(row.answered_from)),
        tokens_in=0 if row.answered_from else row.tokens_in,
        tokens_cached=row.tokens_cached,
        tokens_out=0 if row.answered_from else row.tokens_out,
        cost=row.cost or 0,
        unpriced=int(row.cost is None),
    )


def by_slice(rows: Iterable[UsageRow]) -> dict[Slice, Sums]:
    found: dict[Slice, Sums] = {}
    for row in rows:
        whose = Slice(day_of(row.at), row.tenant, row.key_id, row.model)
        found[whose] = found.get(whose, Sums()) + sums_of(row)
    return found


def to_document(whose: Slice, sums: Sums) -> dict[str, Any]:
    return asdict(whose) | asdict(sums)


def from_document(document: Mapping[str, Any]) -> tuple[Slice, Sums]:
    whose = Slice(document["day"], document["tenant"], document["key_id"], document["model"])
    return whose, Sums(*(document[name] for name in SUMS))
