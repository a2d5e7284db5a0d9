"""What callers ask of jobs, already validated."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.core import fairness
from shared.core.jobs import LIFETIME_S, Job, State
from shared.jobs.charges import Terms


@dataclass(frozen=True, slots=True)
class JobOrder:
    """A job to make."""

    tenant: str
    key_id: str
    task: str
    model: str
    input: dict[str, Any]
    timeout_s: float
    max_attempts: int = 3
    priority: str = "normal"
    weight: int = fairness.FULL_WEIGHT
    """Its tenant's."""
    metadata: dict[str, str] = field(default_factory=dict)
    webhook: dict[str, Any] | None = None
    """`url`, and which `events` it wants; None for all of them."""
    trace_id: str = ""
    id: str = ""
    """Given for what must exist once only: creating it again changes nothing. Empty: a random one."""
    parent: str = ""
    terms: Terms | None = None
    """At what it is charged; None: not at all, or ..."""
    charge: dict[str, Any] | None = None
    """... by what was reserved for it before."""
    lifetime_s: float = LIFETIME_S


@dataclass(frozen=True, slots=True)
class RetryOrder:
    """Who runs a job again, and at what it is charged: the run is that key's."""

    key_id: str
    weight: int
    trace_id: str = ""
    terms: Terms | None = None
    """None: not at all."""


@dataclass(frozen=True, slots=True)
class JobFilter:
    """What a list is narrowed to; empty means anything."""

    state: State | None = None
    task: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    error_code: str = ""

    def matches(self, job: Job) -> bool:
        return (
            self.task in ("", job.task)
            and self.metadata.items() <= job.metadata.items()
            and self.error_code in ("", job.error.code if job.error else None)
        )
