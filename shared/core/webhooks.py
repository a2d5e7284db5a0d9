"""A webhook's delivery: when it is sent, when again, and when no more. Values in, values out.

Like a job it is a document, and a task is only its wake-up: each attempt is claimed under a new `seq`, and only the
attempt that has the newest one writes how it went. A receiver may get the same delivery twice, always under one id.
"""

import hashlib
import zlib
from dataclasses import dataclass, replace
from enum import StrEnum

from shared.core.jobs import SHARDS, Job
from shared.core.jobs import State as JobState

EVENTS = tuple(f"job.{state}" for state in JobState if state.is_final)
RETRY_AFTER_S = (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
"""Waits between attempts: ten attempts in 75 hours."""
JITTER = 0.2
"""A wait is up to this share longer, so that a receiver that comes back is not met by all at once."""
LEASE_S = 60.0
"""An attempt that was not heard of for so long was lost with its process, and is made again."""
RETENTION_S = 30 * 24 * 3600.0
MOST_ATTEMPTS_KEPT = 20
GONE = 410


class State(StrEnum):
    """Where a delivery stands. All but the first are final, until it is redelivered."""

    PENDING = "pending"
    """The next attempt is under way or due at `next_attempt_at`."""
    DELIVERED = "delivered"
    """The receiver answered with 2xx."""
    FAILED = "failed"
    """Every attempt failed."""
    DISABLED = "disabled"
    """The receiver answered 410, now or for an earlier delivery to the same address."""


@dataclass(frozen=True, slots=True)
class Attempt:
    at: float
    status: int
    """What the receiver answered; 0 when it did not."""
    reason: str
    """Why there was no answer; empty when there was one."""
    took_s: float

    @property
    def succeeded(self) -> bool:
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one address. Times are seconds since 1970."""

    id: str
    """The `webhook-id` of every attempt. Made from the job, the event and the run, so that there is one for each."""
    tenant: str
    job_id: str
    event: str
    url: str
    payload: str
    """The body, to the byte."""
    shard: int
    created_at: float
    expire_at: float
    next_attempt_at: float | None
    """While pending: when the next attempt is due, or when the one under way counts as lost."""
    state: State = State.PENDING
    seq: int = 1
    """Numbers the wake-ups and the claims."""
    failures: int = 0
    """In a row; where in RETRY_AFTER_S it is."""
    is_by_hand: bool = False
    """Asked for by a person: sent to a disabled address as well."""
    attempts: tuple[Attempt, ...] = ()
    """The last MOST_ATTEMPTS_KEPT."""


def announced(job: Job, payload: str, now: float) -> Delivery | None:
    """The delivery that a job's end calls for; None when nobody wants to know."""
    event = f"job.{job.state}"
    if not job.state.is_final or not job.webhook or event not in (job.webhook.get("events") or EVENTS):
        return None
    # A job that is run once more after its end has another sequence by then.
    delivery_id = "msg_" + hashlib.sha256(f"{job.id}:{event}:{job.dispatch_seq}".encode()).hexdigest()[:32]
    return Delivery(
        id=delivery_id,
        tenant=job.tenant,
        job_id=job.id,
        event=event,
        url=job.webhook["url"],
        payload=payload,
        shard=zlib.crc32(delivery_id.encode()) % SHARDS,
        created_at=now,
        expire_at=now + RETENTION_S,
        next_attempt_at=now,
    )


def claim(delivery: Delivery, seq: int, now: float) -> Delivery:
    """The delivery with an attempt begun; the same object when the wake-up has nothing to begin."""
    if delivery.state is not State.PENDING or not (seq == delivery.seq or is_due(delivery, now)):
        return delivery
    return replace(delivery, seq=delivery.seq + 1, next_attempt_at=now + LEASE_S)


def settle(delivery: Delivery, seq: int, attempt: Attempt, now: float, jitter: float) -> Delivery:
    """The delivery after an attempt; the same object when another one has been begun. `jitter` is in [0, 1)."""
    if delivery.seq != seq or delivery.state is not State.PENDING:
        return delivery
    told = replace(delivery, attempts=(*delivery.attempts, attempt)[-MOST_ATTEMPTS_KEPT:])
    if attempt.succeeded:
        return _ended(told, State.DELIVERED)
    if attempt.status == GONE:
        return _ended(told, State.DISABLED)
    if told.failures >= len(RETRY_AFTER_S):
        return _ended(told, State.FAILED)
    wait_s = RETRY_AFTER_S[told.failures] * (1 + JITTER * jitter)
    return replace(told, seq=told.seq + 1, failures=told.failures + 1, next_attempt_at=now + wait_s)


def disable(delivery: Delivery) -> Delivery:
    """The delivery when its address takes no more."""
    return _ended(delivery, State.DISABLED)


def redeliver(delivery: Delivery, now: float) -> Delivery:
    """The delivery due now, with the whole schedule before it again."""
    return replace(
        delivery,
        state=State.PENDING,
        seq=delivery.seq + 1,
        failures=0,
        is_by_hand=True,
        next_attempt_at=now,
        expire_at=now + RETENTION_S,
    )


def is_due(delivery: Delivery, now: float) -> bool:
    return delivery.next_attempt_at is not None and now >= delivery.next_attempt_at


def _ended(delivery: Delivery, state: State) -> Delivery:
    return replace(delivery, state=state, next_attempt_at=None)
