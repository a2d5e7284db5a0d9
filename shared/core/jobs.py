"""A job, its states, and what an attempt at it can come to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

SHARDS = 16
LIFETIME_S = 24 * 3600.0
"""A job that has not ended this long after it was created expires when it is next looked at."""
RETENTION_S = 30 * 24 * 3600.0
"""How long a job can be read after it ended."""
SEND_WITHIN_S = 10.0
"""A wake-up this late counts as lost and is sent by the sweeper."""
EXHAUSTED = "attempts_exhausted"
"""The error of a dead letter: a job that failed because its attempts were used up."""
SETTLING_TASK = "batch_finish"
"""The step of a batch that returns what was done and charges it: it runs whatever has become of its key."""
IN_FLIGHT, WAITING = "flight:", "waiting:"
"""How a job's lane begins; no lane sorts after those of WAITING."""


class State(StrEnum):
    """Where a job is in its life. The last four are final."""

    QUEUED = "queued"
    """Waits for a worker; `substate` says why."""
    RUNNING = "running"
    """A worker holds its lease."""
    SUCCEEDED = "succeeded"
    """The result is there."""
    FAILED = "failed"
    """The error cannot be helped by another attempt, or the attempts are used up (a dead letter)."""
    CANCELLED = "cancelled"
    """The caller asked for it to stop, or its key was revoked: then its error says so."""
    EXPIRED = "expired"
    """Its deadline passed while no worker held it."""

    @property
    def is_final(self) -> bool:
        return self not in (State.QUEUED, State.RUNNING)


class Substate(StrEnum):
    """Why a queued job waits."""

    PENDING_DISPATCH = "pending_dispatch"
    """Committed; its wake-up may not be sent yet."""
    DISPATCHED = "dispatched"
    """The queue has its wake-up."""
    WAITING_CAPACITY = "waiting_capacity"
    """Its tenant has as many jobs in flight as it may; it has no wake-up yet."""
    RETRY_WAIT = "retry_wait"
    """An attempt failed; the next begins at `next_run_at`."""


@dataclass(frozen=True, slots=True)
class JobError:
    code: str
    message: str
    retryable: bool
    status: int = 500
    """Of the answer that a caller who waits for the job is given."""
    param: str | None = None
    """The field of the input that is wrong."""


WORKER_LOST = JobError("worker_lost", "The worker stopped answering while it ran this job.", retryable=True, status=502)
KEY_REVOKED = JobError("key_revoked", "The key that made this was revoked.", retryable=False)
DEADLINE_PASSED = JobError(
    "deadline_passed", "The job's deadline passed before it could run.", retryable=False, status=504
)


@dataclass(frozen=True, slots=True)
class Progress:
    fraction: float
    message: str = ""
    tally: dict[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A job as its document holds it. Times are seconds since 1970."""

    id: str
    """Random: ids that grow with time would all fall on one of the store's servers."""
    tenant: str
    key_id: str
    task: str
    model: str
    priority: str
    shard: int
    """0 to 15: the sweeper and the reaper go through the jobs a shard at a time."""
    max_attempts: int
    timeout_s: float
    """Longest run of one attempt."""
    input_sha256: str
    created_at: float
    next_run_at: float
    deadline_at: float
    lease_expires_at: float | None
    """While running: until when the worker's claim holds. While queued: the deadline, so that the reaper finds dead
    leases and missed deadlines by one index. None once final."""
    expire_at: float
    input: dict[str, Any] | None = None
    input_uri: str = ""
    state: State = State.QUEUED
    substate: Substate | None = Substate.PENDING_DISPATCH
    epoch: int = 0
    attempt: int = 0
    dispatch_seq: int = 1
    outbox: bool = True
    """Whether the wake-up numbered `dispatch_seq` may be missing from the queue. The claim clears it."""
    lease_owner: str = ""
    cancel_requested: bool = False
    result: dict[str, Any] | None = None
    result_uri: str = ""
    error: JobError | None = None
    """Why it ended, or why the last attempt failed."""
    progress: Progress | None = None
    usage: dict[str, Any] | None = None
    charge: dict[str, Any] | None = None
    webhook: dict[str, Any] | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    started_at: float | None = None
    finished_at: float | None = None
    claimed_at: float | None = None
    """When the last attempt began; `started_at` is that of the first."""
    trace_id: str = ""
    rank_at: float = 0.0
    """Its place among its tenant's jobs that wait for capacity."""
    weight: int = 1
    parent: str = ""
    """The batch it is a step of. Lists of jobs leave steps out."""

    @property
    def can_be_replayed(self) -> bool:
        return self.state in (State.FAILED, State.EXPIRED)

    @property
    def lane(self) -> str:
        """What it is counted by: its tenant's jobs in flight, or those that wait for capacity. Empty once final."""
        if self.state.is_final:
            return ""
        return (WAITING if self.substate is Substate.WAITING_CAPACITY else IN_FLIGHT) + self.tenant


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The work is done; the result is inline or at a URI."""

    result: dict[str, Any] | None
    result_uri: str = ""
    usage: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    error: JobError
    usage: Mapping[str, Any] | None = None
    """What was generated until then, if it is charged."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The work was stopped because the caller cancelled the job."""

    usage: Mapping[str, Any] | None = None
    """What was generated until then."""


@dataclass(frozen=True, slots=True)
class Released:
    """The worker is going away: the job goes back to the queue and the attempt does not count."""


Outcome = Succeeded | Failed | Stopped | Released
