"""Jobs in the store: every change is one transaction, on the store's time."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from shared import telemetry
from shared.core import fairness
from shared.core.job_documents import from_document, to_document
from shared.core.jobs import EXHAUSTED, IN_FLIGHT, Job
from shared.core.webhooks import Delivery
from shared.jobs.charges import JobCharges, Terms, run_name
from shared.jobs.turns import JOBS, Turns
from shared.jobs.wakeups import WakeUps
from shared.ports.store import AlreadyExists, Store, Transaction
from shared.webhooks.records import DELIVERIES, announced
from shared.webhooks.records import to_document as delivery_document
from shared.webhooks.wakeups import WebhookWakeUps

log = logging.getLogger("omni.jobs")

Step = Callable[[Job, float], Job]
"""A transition: the job as it stands and the store's time in, the job as it must become out."""
Settle = Callable[[Transaction, Job], Job]


@dataclass(frozen=True, slots=True)
class Change:
    before: Job
    after: Job
    webhook: Delivery | None = None
    """What the change has to be told with; committed together with it."""

    @property
    def made(self) -> bool:
        return self.after is not self.before

    @property
    def makes_room(self) -> bool:
        return self.before.lane.startswith(IN_FLIGHT) and self.after.lane != self.before.lane


class JobRecords:
    def __init__(
        self, store: Store, wake_ups: WakeUps, webhook_wake_ups: WebhookWakeUps, turns: Turns, charges: JobCharges
    ) -> None:
        self._store = store
        self._wake_ups = wake_ups
        self._webhook_wake_ups = webhook_wake_ups
        self._turns = turns
        self._charges = charges

    def get(self, job_id: str) -> Job | None:
        document = self._store.get(JOBS, job_id)
        return from_document(document) if document else None

    def add(self, make: Callable[[float], Job], terms: Terms | None = None) -> Job:
        """Commits a new job, then sends its wake-up, unless it has to wait. `make` gets the store's time.

        BudgetExceeded when its terms name a budget that has no room for it.
        """

        def work(transaction: Transaction) -> Job:
            job = make(transaction.now)
            job = self._admitted(transaction, job, terms)
            transaction.create(JOBS, job.id, to_document(job))
            return job

        job = self._store.transact(work)
        if job.outbox:
            self._wake_ups.send(job)
        return job

    def change(self, job_id: str, step: Step, terms: Terms | None = None) -> Change | None:
        """Takes the step, if it changes anything, and sends the wake-up it calls for. None: there is no such job.

        `terms` are those of a job that the step brings back from its end; BudgetExceeded when there is no room.
        """

        def work(settle: Settle, transaction: Transaction) -> Change | None:
            document = transaction.get(JOBS, job_id)
            if document is None:
                return None
            before = from_document(document)
            after = step(before, transaction.now)
            if after is before:
                return Change(before, after)
            if before.state.is_final:
                after = self._admitted(transaction, after, terms)
            elif after.state.is_final:
                after = settle(transaction, after)
            webhook = None if before.state.is_final else announced(after, transaction.now)
            change = Change(before, after, webhook)
            transaction.put(JOBS, job_id, to_document(after))
            if webhook:
                transaction.put(DELIVERIES, webhook.id, delivery_document(webhook))
            return change

        try:
            change = self._store.transact(partial(work, self._charges.settle))
        except AlreadyExists:  # the run is settled, as when a backup of its job alone came back
            change = self._store.transact(partial(work, lambda _, job: self._charges.settled(job)))
        if change and change.made:
            self._follow_up(change)
        return change

    def _admitted(self, transaction: Transaction, job: Job, terms: Terms | None) -> Job:
        if terms is None:
            return job
        return replace(job, charge=self._charges.reserve(transaction, run_name(job.id, job.epoch + 1), terms))

    def let_in(self, job_id: str) -> bool:
        """Lets a waiting job into the queue; False when it does not wait any more."""
        change = self.change(job_id, fairness.let_in)
        return change is not None and change.made

    def _follow_up(self, change: Change) -> None:
        after = change.after
        if after.state.is_final:
            telemetry.JOBS_FINISHED.labels(after.task, after.state).inc()
            if after.error and after.error.code == EXHAUSTED:  # an alert counts these lines
                log.error("job is a dead letter", extra={"fields": {"job": after.id, "tenant": after.tenant}})
        elif after.outbox and after.dispatch_seq > change.before.dispatch_seq:
            self._wake_ups.send(after)
        if change.webhook:
            self._webhook_wake_ups.send(change.webhook)
        if change.makes_room:
            self._turns.follow(after.tenant, self.let_in)
