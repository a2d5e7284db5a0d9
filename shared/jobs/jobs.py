"""Durable jobs: what callers and workers do with them."""

import hashlib
import logging
import secrets
import zlib
from collections.abc import Callable
from dataclasses import replace
from random import random
from typing import Any

import msgspec

from shared.core import fairness
from shared.core import job_transitions as transitions
from shared.core.errors import Conflict
from shared.core.job_documents import from_document
from shared.core.jobs import RETENTION_S, SHARDS, Job, Outcome, Progress, State, Succeeded
from shared.core.queues import GPU_LO
from shared.jobs.charges import NO_POLICY, JobCharges
from shared.jobs.orders import JobFilter, JobOrder, RetryOrder
from shared.jobs.reading import JobReader, kept, not_found
from shared.jobs.records import JobRecords
from shared.jobs.recovery import Recovery
from shared.jobs.revoked_keys import RevokedKeys
from shared.jobs.steps import LIVE, JobSteps
from shared.jobs.turns import JOBS, Turns
from shared.jobs.wakeups import WakeUp, WakeUps
from shared.money.policy import BudgetPolicy
from shared.pages import Listed, listed
from shared.ports.blobs import INLINE_BYTES, Blobs
from shared.ports.clock import Clock
from shared.ports.queue import Queue
from shared.ports.store import AlreadyExists, Document, Query, Store
from shared.settings import RevokedWork, Settings
from shared.sweeps.report import Report
from shared.sweeps.sweep import Sweeps
from shared.webhooks.wakeups import ROUTE as DELIVERING
from shared.webhooks.wakeups import WebhookWakeUps

log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Jobs:
    def __init__(
        self,
        store: Store,
        queue: Queue,
        blobs: Blobs,
        clock: Clock,
        settings: Settings,
        *,
        budgets: BudgetPolicy = NO_POLICY,
        token: Callable[[int], str] = secrets.token_hex,
        random: Callable[[], float] = random,
    ) -> None:
        """`budgets` tells which apply to a job when it ends."""
        self._store = store
        self._blobs = blobs
        self._reader = JobReader(store, blobs, clock)
        self._clock = clock
        self._lease_s = settings.lease_s
        self._token = token
        self._random = random
        self._wake_ups = WakeUps(queue, settings.worker_url, clock, token, random)
        self._sweeps = sweeps = Sweeps(store, clock, settings.quarantine_after)
        self._turns = Turns(store, clock, settings, sweeps)
        webhook_wake_ups = WebhookWakeUps(queue, settings.route_url(DELIVERING))
        charges = JobCharges(store, settings.usage_days, budgets)
        self._records = JobRecords(store, self._wake_ups, webhook_wake_ups, self._turns, charges)
        self.revoked = RevokedKeys(store, clock, cancels=settings.revoked_work is RevokedWork.CANCEL)
        self.steps = JobSteps(store, self._records, self.revoked, settings.lease_s)
        self._recovery = Recovery(sweeps, self._records, self._wake_ups, clock, random)

    def create(self, order: JobOrder) -> Job:
        """Commits the job and sends its wake-up, or lets it wait while its tenant has enough of them in flight. Once
        this returns, the job is not lost any more."""
        job_id = order.id or f"job_{self._token(12)}"
        body = _encode(order.input)
        uri = self._blobs.put(f"jobs/{job_id}/input.json", body) if len(body) > INLINE_BYTES else ""
        sha256 = hashlib.sha256(body).hexdigest()
        with self._turns.asking(order.tenant) as has_room:

            def make(now: float) -> Job:
                job = _new(job_id, order, sha256, uri, now)
                return job if has_room(job, now) else fairness.kept_waiting(job)

            try:
                return self._records.add(make, order.terms)
            except AlreadyExists:
                if job := self._records.get(job_id):
                    return job
                raise

    def get(self, tenant: str, job_id: str) -> Job:
        """The tenant's job; NotFound for another's, as for none."""
        return self._reader.get(tenant, job_id)

    def list(self, tenant: str, wanted: JobFilter, limit: int, after: str = "") -> Listed[Job]:
        """Newest first, at most `limit`."""
        where: tuple[Any, ...] = (("tenant", "==", tenant),)
        if wanted.state is not None:
            where += (("state", "==", wanted.state.value),)

        def shown(document: Document) -> Job | None:
            job = from_document(document)
            return job if wanted.matches(job) and self._reader.is_visible(job, tenant) else None

        return listed(self._store, Query(JOBS, where, descending=True, cursor=after), limit, shown)

    def cancel(self, tenant: str, job_id: str) -> Job:
        """Ends a queued job at once and a running one within a heartbeat; Conflict when it has ended otherwise."""
        self.get(tenant, job_id)
        change = self._records.change(job_id, transitions.cancel)
        if change is None:
            raise not_found(job_id)
        if change.after.state in (State.SUCCEEDED, State.FAILED, State.EXPIRED):
            raise Conflict(f"The job has already {_ENDED[change.after.state]}.", code="job_already_ended")
        return change.after

    def end_with_key(self, tenant: str, key_id: str) -> set[str]:
        """Ends what a revoked key has queued, and asks what runs to stop; the batches whose steps were among that. What
        there is no time for ends when it is claimed, or with its next heartbeat."""
        batches: set[str] = set()
        if not self.revoked.look_up(key_id):
            return batches

        def end(document: Document) -> bool:
            if document.get("key_id") != key_id:
                return False
            change = self._records.change(document["id"], transitions.revoke)
            if change and change.made and change.after.parent:
                batches.add(change.after.parent)
            return change is not None and change.made

        queries = [
            Query(JOBS, (("tenant", "==", tenant), ("state", "==", state.value)), descending=True) for state in LIVE
        ]
        self._sweeps.begin("keys_revoke", JOBS).over(queries, end)
        return batches

    def replayable(self, tenant: str, job_id: str) -> Job:
        """The tenant's job, if it can run again; Conflict when it has not failed."""
        job = self.get(tenant, job_id)
        if not job.can_be_replayed:
            raise _not_failed(job)
        return job

    def retry(self, tenant: str, job_id: str, order: RetryOrder) -> Job:
        """Runs a job again that failed or expired, with all its attempts, as the order's key; Conflict when it did
        neither, BudgetExceeded when there is no room for what it can cost."""
        self.replayable(tenant, job_id)
        with self._turns.asking(tenant) as has_room:

            def step(stored: Job, now: float) -> Job:
                again = fairness.replayed(stored, now)
                if again is stored:
                    return stored
                again = replace(again, key_id=order.key_id, weight=order.weight, trace_id=order.trace_id)
                return fairness.let_in(again, now) if has_room(again, now) else again

            change = self._records.change(job_id, step, order.terms)
        if change is None:
            raise not_found(job_id)
        if not change.made:
            raise _not_failed(change.after)
        return change.after

    def input(self, job: Job) -> dict[str, Any]:
        """NotFound when it was large and is not kept any more."""
        return kept(self._blobs, job.input_uri, "input") if job.input_uri else job.input or {}

    def result(self, job: Job) -> dict[str, Any] | None:
        return self._reader.result(job)

    def claim(self, job_id: str, seq: int, owner: str) -> Job | None:
        """The job, running under a new epoch; None when the wake-up has nothing to start."""

        def step(job: Job, now: float) -> Job:
            claimed = transitions.claim(job, seq, owner, now, self._lease_s)
            return (
                transitions.revoke(job, now) if claimed is not job and self.revoked.end_waiting(job, now) else claimed
            )

        change = self._records.change(job_id, step)
        return change.after if change and change.made and change.after.state is State.RUNNING else None

    def defer(self, wake_up: WakeUp, queue: str = GPU_LO) -> None:
        """Lets the wake-up come again a little later, without using up an attempt; `queue` is where it came from."""
        self._wake_ups.defer(wake_up, queue)

    def heartbeat(self, job: Job, progress: Progress | None = None) -> Job | None:
        """The job with its lease extended, and asked to stop when its key was revoked; None when this run has lost it
        and must stop."""
        is_revoked = self.revoked.end(job)

        def step(stored: Job, now: float) -> Job:
            beaten = transitions.heartbeat(stored, job.epoch, now, self._lease_s, progress)
            return transitions.revoke(beaten, now) if is_revoked and beaten is not stored else beaten

        return self._held(job, step)

    def finish(self, job: Job, outcome: Outcome) -> Job | None:
        """The job after this attempt; None when the run had lost it and nothing was written."""
        stored_outcome = self._with_large_result_apart(job, outcome)
        jitter = self._random()
        return self._held(job, lambda stored, now: transitions.finish(stored, job.epoch, stored_outcome, now, jitter))

    def sweep(self) -> Report:
        """Sends lost wake-ups, lets waiting jobs in and counts what is left; for a schedule."""
        report = self._recovery.sweep() + self._turns.round(self._records.let_in)
        self._turns.count()
        return report

    def reap(self) -> Report:
        """Takes back the jobs of dead workers and expires late ones; for a schedule."""
        return self._recovery.reap()

    def _held(self, job: Job, step: Callable[[Job, float], Job]) -> Job | None:
        change = self._records.change(job.id, step)
        return change.after if change and change.made else None

    def _with_large_result_apart(self, job: Job, outcome: Outcome) -> Outcome:
        if not isinstance(outcome, Succeeded) or outcome.result is None:
            return outcome
        body = _encode(outcome.result)
        if len(body) <= INLINE_BYTES:
            return outcome
        # Named by epoch: a run that lost the job cannot overwrite the result of the one that has it.
        uri = self._blobs.put(f"jobs/{job.id}/result-{job.epoch}.json", body)
        return replace(outcome, result=None, result_uri=uri)


_ENDED = {State.SUCCEEDED: "succeeded", State.FAILED: "failed", State.EXPIRED: "expired"}


def _new(job_id: str, order: JobOrder, input_sha256: str, input_uri: str, now: float) -> Job:
    return Job(
        id=job_id,
        tenant=order.tenant,
        key_id=order.key_id,
        task=order.task,
        model=order.model,
        priority=order.priority,
        shard=zlib.crc32(job_id.encode()) % SHARDS,
        max_attempts=order.max_attempts,
        timeout_s=order.timeout_s,
        input_sha256=input_sha256,
        created_at=now,
        next_run_at=now,
        deadline_at=now + order.lifetime_s,
        lease_expires_at=now + order.lifetime_s,
        expire_at=now + order.lifetime_s + RETENTION_S,
        input=None if input_uri else order.input,
        input_uri=input_uri,
        metadata=order.metadata,
        webhook=order.webhook,
        trace_id=order.trace_id,
        rank_at=fairness.rank_at(order.priority, now),
        weight=order.weight,
        parent=order.parent,
        charge=order.charge,
    )


def _not_failed(job: Job) -> Conflict:
    message = f"Only a job that failed or expired can run again; this one is {job.state}."
    return Conflict(message, code="job_not_failed")
