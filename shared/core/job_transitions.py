"""The transitions between a job's states: values in, values out.

The document in the store is the truth and a task is only a wake-up. Each transition takes the job as it stands and
the store's time, and returns the job as it must become: the very same object when there is nothing to change, or when
the run that asks has lost the job. Every claim raises `epoch`, and only the run with the newest one may write.
"""

from dataclasses import replace

from shared.core.backoff import Backoff
from shared.core.jobs import (
    DEADLINE_PASSED,
    EXHAUSTED,
    IN_FLIGHT,
    KEY_REVOKED,
    RETENTION_S,
    SEND_WITHIN_S,
    SETTLING_TASK,
    WORKER_LOST,
    Failed,
    Job,
    JobError,
    Outcome,
    Progress,
    Released,
    State,
    Stopped,
    Substate,
    Succeeded,
)

BACKOFF = Backoff(5.0, 600.0)


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
