"""Documents in collections, with transactions: what Firestore offers and every other adapter keeps to."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

from shared.core.errors import PayloadTooLarge

Document = dict[str, Any]
"""JSON values only. Times are seconds since 1970 as float, in fields that end in `_at`. A key is 1 to 500 bytes of any
text."""

T = TypeVar("T")
Operator = Literal["==", "<", "<=", ">", ">="]

INDEXES: dict[str, tuple[tuple[str, ...], ...]] = {
    "jobs": (
        ("shard", "state", "lease_expires_at"),
        ("shard", "outbox", "next_run_at"),
        ("tenant", "created_at"),
        ("tenant", "state", "created_at"),
        ("lane",),
        ("lane", "rank_at"),
        ("parent", "created_at"),
        ("parent", "state", "created_at"),
        ("expire_at",),
    ),
    "batches": (
        ("tenant", "created_at"),
        ("status", "created_at"),
        ("input_file_id", "created_at"),
        ("expire_at",),
    ),
    "files": (("tenant", "created_at"), ("tenant", "purpose", "created_at"), ("purge_at",)),
    "uploads": (("purge_at",),),
    "storage": (),
    "keys": (("created_at",), ("tenant", "created_at"), ("change",)),
    "changes": (),
    "idempotency": (("expire_at",),),
    "budgets": (("expire_at",),),
    "usage": (("is_summed", "created_at"), ("expire_at",)),
    "usage_days": (("day",), ("tenant", "day"), ("expire_at",)),
    "webhooks": (
        ("tenant", "created_at"),
        ("tenant", "job_id", "created_at"),
        ("tenant", "state", "created_at"),
        ("shard", "next_attempt_at"),
        ("expire_at",),
    ),
    "quarantine": (("collection", "last_at"), ("quarantined_at",), ("expire_at",)),
    "engine_blocklist": (),
    "webhook_endpoints": (),
    "webhook_secrets": (),
}
"""The collections there are, and the fields each can be queried by: all but the last by equality, the last by order.
An adapter makes these indexes and no other.

Where there is an index on `expire_at` alone, a document is deleted some time after that. It is not for queries."""
EXPIRY = ("expire_at",)
EITHER_WAY = {"created_at"}
"""Fields by which documents can also be read in descending order: it takes an index of its own."""
MOST_BYTES = 1_000_000
"""Of a document as JSON: Firestore takes 1 MiB, and keeps the fields of the indexes once more."""


class AlreadyExists(Exception):
    """A document of that id is there already."""


@dataclass(frozen=True, slots=True)
class Query:
    collection: str
    where: tuple[tuple[str, Operator, Any], ...] = ()
    """Equalities, and at most one field compared by order: that of `order_by`."""
    order_by: str = "created_at"
    """Documents in which it is null or missing are left out."""
    descending: bool = False
    limit: int = 100
    """1 to 1,000; a count may go further."""
    cursor: str = ""
    """A page's `next_cursor`; InvalidRequest (param `after`) when it is none."""


class Entry(NamedTuple):
    key: str
    document: Document


@dataclass(frozen=True, slots=True)
class Page:
    documents: list[Document]
    """One that cannot be read has its id, and what it was found by, alone: it must not hide the others."""
    next_cursor: str
    """Empty on the last page."""
    keys: tuple[str, ...]
    """Of the documents, which may lack an `id` or have another one."""

    @property
    def entries(self) -> Iterator[Entry]:
        return map(Entry, self.keys, self.documents)


def unreadable(query: Query, key: str, value: Any) -> Document:
    """What a page has for a document that cannot be read; `value` is that of the field by which it is ordered."""
    found = {field: given for field, operator, given in query.where if operator == "=="}
    return {"id": key, **found, query.order_by: value}


def require_index(query: Query) -> None:
    """ValueError when no index serves the query: Firestore would refuse it, so every adapter does."""
    equal = sorted(field for field, operator, _ in query.where if operator == "==")
    ordered = {field for field, operator, _ in query.where if operator != "=="}
    indexes = [index for index in INDEXES[query.collection] if index != EXPIRY]
    served = any(sorted(index[:-1]) == equal and index[-1] == query.order_by for index in indexes)
    if query.descending and query.order_by not in EITHER_WAY:
        raise ValueError(f"no index of {query.collection!r} is in descending order of {query.order_by!r}")
    if not served or not ordered <= {query.order_by}:
        raise ValueError(f"no index of {query.collection!r} serves {query.where} ordered by {query.order_by!r}")


def require_size(body: bytes) -> None:
    """PayloadTooLarge when a document's JSON is larger than MOST_BYTES."""
    if len(body) > MOST_BYTES:
        raise PayloadTooLarge(f"A document of {len(body)} bytes is larger than the {MOST_BYTES} that can be stored.")


class Transaction(Protocol):
    """Reads come before writes (RuntimeError otherwise). All writes happen together, or none."""

    @property
    def now(self) -> float:
        """The server's time, seconds since 1970: what leases are measured by, never a worker's clock."""
        ...

    def get(self, collection: str, key: str) -> Document | None: ...

    def create(self, collection: str, key: str, document: Document) -> None:
        """Adds a document; AlreadyExists (at the latest at commit) when the key is taken, PayloadTooLarge as above."""
        ...

    def put(self, collection: str, key: str, document: Document) -> None:
        """Writes the whole document, replacing what was there; PayloadTooLarge as above."""
        ...

    def delete(self, collection: str, key: str) -> None: ...


class Store(Protocol):
    """Every method raises Unavailable when the store cannot be reached."""

    def get(self, collection: str, key: str) -> Document | None: ...

    def query(self, query: Query) -> Page: ...

    def count(self, query: Query) -> int:
        """How many documents match, without reading them; counting ends at the query's limit."""
        ...

    def transact(self, work: Callable[[Transaction], T]) -> T:
        """Runs `work` in a transaction and commits it; `work` may run several times and must have no other effect."""
        ...

    def ping(self) -> None:
        """Reads a little, for readiness."""
        ...
