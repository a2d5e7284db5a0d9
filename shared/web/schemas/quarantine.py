"""Documents that schedules have set aside."""

from typing import Literal

from shared.web.schemas.strict import Open


class QuarantinedDocument(Open):
    id: str
    """By which it is released."""
    object: Literal["quarantined_document"]
    collection: str
    document: str
    """Its key in the collection."""
    schedule: str
    """That failed on it."""
    reason: str
    failures: int
    """Rounds in a row."""
    first_failed_at: float
    quarantined_at: float | None
    """Seconds since 1970."""


class QuarantineList(Open):
    object: Literal["list"]
    data: list[QuarantinedDocument]
    has_more: bool
    next_cursor: str | None
