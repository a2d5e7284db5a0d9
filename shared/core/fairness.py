"""Who may have how many jobs under way, and whose turn it is.

The queue knows no tenants: it takes tasks as they come. So a tenant may have only so many jobs *in flight* (in the
queue or running), and the others wait. A job that leaves lets in its tenant's next one, at the queue's end, which makes
the tenants take turns, each in proportion to its share.
"""

from dataclasses import dataclass, replace
from math import ceil

from shared.core.jobs import LIFETIME_S, RETENTION_S, Job, State, Substate
from shared.core.keys import Caller, Tier

WEIGHTS = {Tier.FREE: 1, Tier.BASIC: 2, Tier.PREMIUM: 4, Tier.MASTER: 4}
FULL_WEIGHT = 4
AHEAD = 1.5
"""In flight may be so many times the jobs that can run at once, so that no worker waits for a lone tenant's next."""
LEAST_IN_FLIGHT = 2

HANDICAPS_S = {"high": 0.0, "normal": 60.0, "low": 600.0}
"""How much longer a job has to have waited to be as old as one of high priority: all of them come up in time."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose share of a pool a piece of work counts to."""

    tenant: str
    weight: int = 1

    @classmethod
    def of_caller(cls, caller: Caller) -> "Owner":
        return cls(caller.tenant, WEIGHTS[caller.tier])

    @classmethod
    def of_job(cls, job: Job) -> "Owner":
        return cls(job.tenant, max(1, job.weight))


def share(tenant_jobs: int, weight: int) -> int:
    """Jobs that a tenant of that weight may have in flight, when one of full weight may have `tenant_jobs`."""
    return max(LEAST_IN_FLIGHT, ceil(tenant_jobs * weight / FULL_WEIGHT))


def most_in_flight(job: Job, share: int, now: float) -> int:
    """How many jobs its tenant may have in flight with this one. One of low priority leaves half of them to others,
    until it has waited long."""
    return max(1, share // 2) if job.priority == "low" and now < job.rank_at else share


def rank_at(priority: str, created_at: float) -> float:
    """A job's place among those of its tenant that wait: the least is next."""
    return created_at + HANDICAPS_S[priority]


def kept_waiting(job: Job) -> Job:
    """A new job for which there is no room yet."""
    return replace(job, substate=Substate.WAITING_CAPACITY, outbox=False)


def let_in(job: Job, now: float) -> Job:
    """The waiting job with a wake-up to be sent."""
    if job.state is not State.QUEUED or job.substate is not Substate.WAITING_CAPACITY:
        return job
    return replace(
        job, substate=Substate.PENDING_DISPATCH, outbox=True, dispatch_seq=job.dispatch_seq + 1, next_run_at=now
    )


def replayed(job: Job, now: float) -> Job:
    """A job that failed or expired, waiting as if it were new; only its epoch goes on, so that no earlier run of it
    can write and each of its charges has a name of its own, also where no run has begun."""
    if not job.can_be_replayed:
        return job
    return replace(
        job,
        state=State.QUEUED,
        substate=Substate.WAITING_CAPACITY,
        epoch=job.epoch + (job.attempt == 0),
        attempt=0,
        dispatch_seq=job.dispatch_seq + 1,
        cancel_requested=False,
        error=None,
        progress=None,
        charge=None,
        usage=None,
        started_at=None,
        claimed_at=None,
        finished_at=None,
        next_run_at=now,
        rank_at=rank_at(job.priority, now),
        deadline_at=now + LIFETIME_S,
        lease_expires_at=now + LIFETIME_S,
        expire_at=now + LIFETIME_S + RETENTION_S,
    )
