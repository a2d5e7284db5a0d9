"""A job's states and the transitions between them: values in, values out.

The document in the store is the truth and a task is only a wake-up. Each transition takes the job as it stands and
the store's time, and returns the job as it must become: the very same object when there is nothing to change, or when
the run that asks has lost the job. Every claim raises `epoch`, and only the run with the newest one may write.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from shared.core.backoff import Backoff

SHARDS = 16
LIFETIME_S = 24 * 3600.0
"""A job that has not ended this long after it was created expires when it is next looked at."""
RETENTION_S = 30 * 24 * 3600.0
"""How long a job can be read after it ended."""
BACKOFF = Backoff(5.0, 600.0)
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


def claim(job: Job, seq: int, owner: str, now: float, lease_s: float) -> Job:
    """What a wake-up makes of the job: running with the next epoch, or whatever else is due."""
    if not job.lane.startswith(IN_FLIGHT) or has_live_lease(job, now) or not _is_due(job, seq, now):
        return job
    if now >= job.deadline_at:
        return _ended(job, State.EXPIRED, now, DEADLINE_PASSED)
    if job.state is State.RUNNING and (job.cancel_requested or job.attempt >= job.max_attempts):
        return _failed(job, WORKER_LOST, now, jitter=0.0)
    return replace(
        job,
        state=State.RUNNING,
        substate=None,
        epoch=job.epoch + 1,
        attempt=job.attempt + 1,
        outbox=False,
        lease_owner=owner,
        lease_expires_at=now + lease_s,
        started_at=job.started_at or now,
        claimed_at=now,
        progress=job.progress if job.parent else None,
    )


def heartbeat(job: Job, epoch: int, now: float, lease_s: float, progress: Progress | None) -> Job:
    """The job with its lease extended."""
    if not _is_held(job, epoch):
        return job
    return replace(job, lease_expires_at=now + lease_s, progress=progress or job.progress)


def finish(job: Job, epoch: int, outcome: Outcome, now: float, jitter: float) -> Job:
    """The job after an attempt. `jitter` is a number in [0, 1)."""
    if not _is_held(job, epoch):
        return job
    match outcome:
        case Succeeded(result, result_uri, usage):
            done = _ended(job, State.SUCCEEDED, now, None)
            return replace(done, result=result, result_uri=result_uri, usage=dict(usage) if usage else None)
        case Failed(error, usage):
            failed = _failed(job, error, now, jitter)
            return replace(failed, usage=dict(usage)) if usage and failed.state.is_final else failed
        case Stopped(usage):
            return replace(_cancelled(job, now), usage=dict(usage) if usage else None)
        case Released():
            return _released(job, now)


def cancel(job: Job, now: float) -> Job:
    """Ends a queued job; asks a running one to stop."""
    if job.state is State.QUEUED:
        return _ended(job, State.CANCELLED, now, None)
    if job.state is State.RUNNING and not job.cancel_requested:
        return replace(job, cancel_requested=True)
    return job


def revoke(job: Job, now: float) -> Job:
    """As `cancel`, because its key was revoked; one that no worker holds ends at once."""
    if job.state.is_final or job.cancel_requested or job.task == SETTLING_TASK:
        return job
    if has_live_lease(job, now):
        return replace(job, cancel_requested=True, error=KEY_REVOKED)
    return _ended(job, State.CANCELLED, now, KEY_REVOKED)


def reap(job: Job, now: float, jitter: float) -> Job:
    """Takes the job from a worker that died, or expires it."""
    if job.state.is_final or has_live_lease(job, now):
        return job
    if now >= job.deadline_at:
        return _ended(job, State.EXPIRED, now, DEADLINE_PASSED)
    return _failed(job, WORKER_LOST, now, jitter) if job.state is State.RUNNING else job


def dispatched(job: Job, seq: int) -> Job:
    """The job once the queue is known to have its wake-up `seq`."""
    if job.state is not State.QUEUED or not job.outbox or job.dispatch_seq != seq:
        return job
    return replace(job, outbox=False, substate=Substate.DISPATCHED)


def wake_up_is_lost(job: Job, now: float) -> bool:
    return job.state is State.QUEUED and job.outbox and job.next_run_at <= now - SEND_WITHIN_S


def has_live_lease(job: Job, now: float) -> bool:
    return job.state is State.RUNNING and job.lease_expires_at is not None and job.lease_expires_at > now


def backoff_s(attempt: int, jitter: float) -> float:
    """Seconds until the attempt after number `attempt`: doubles from 5 to 600, less up to a half of it by jitter."""
    return BACKOFF.after(attempt) * (1 - jitter / 2)


def _is_held(job: Job, epoch: int) -> bool:
    return job.state is State.RUNNING and job.epoch == epoch


def _is_due(job: Job, seq: int, now: float) -> bool:
    """A late wake-up of an earlier attempt must not cut the wait for the next one short."""
    return job.state is State.RUNNING or seq == job.dispatch_seq or now >= job.next_run_at


def _failed(job: Job, error: JobError, now: float, jitter: float) -> Job:
    if not error.retryable:
        return _ended(job, State.FAILED, now, error)
    if job.cancel_requested:
        return _cancelled(job, now)
    if job.attempt >= job.max_attempts:
        message = f"All {job.max_attempts} attempts failed. The last: {error.message}"
        return _ended(job, State.FAILED, now, JobError(EXHAUSTED, message, retryable=False, status=error.status))
    waiting = _queued(job, now + backoff_s(job.attempt, jitter))
    return replace(waiting, substate=Substate.RETRY_WAIT, error=error)


def _cancelled(job: Job, now: float) -> Job:
    return _ended(job, State.CANCELLED, now, KEY_REVOKED if job.error == KEY_REVOKED else None)


def _released(job: Job, now: float) -> Job:
    if job.cancel_requested:
        return _cancelled(job, now)
    return replace(_queued(job, now), attempt=job.attempt - 1)


def _queued(job: Job, next_run_at: float) -> Job:
    return replace(
        job,
        state=State.QUEUED,
        substate=Substate.PENDING_DISPATCH,
        dispatch_seq=job.dispatch_seq + 1,
        outbox=True,
        next_run_at=next_run_at,
        lease_owner="",
        lease_expires_at=job.deadline_at,
        progress=job.progress if job.parent else None,
    )


def _ended(job: Job, state: State, now: float, error: JobError | None) -> Job:
    return replace(
        job,
        state=state,
        substate=None,
        outbox=False,
        lease_owner="",
        lease_expires_at=None,
        error=error,
        finished_at=now,
        expire_at=now + RETENTION_S,
    )
