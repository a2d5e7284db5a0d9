"""Batches: what callers do with them, and how they go on from step to step.

Every step is a job of the job engine: its claim, epoch, lease and retries are those of every job. `advance` looks at a
batch and its steps and does what comes next. It is called whenever a step ends, and by a schedule for what a crash kept
from being called; called too often, it does nothing.
"""

import logging
import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from shared.batches.records import BATCHES, OPEN_BATCHES, BatchRecords, from_document
from shared.core import batches as transitions
from shared.core.batches import RETENTION_S, WINDOW_S, Batch, Chunk, Counts, Mistake, Status, Tokens
from shared.core.errors import Conflict, InvalidRequest, NotFound, Unavailable
from shared.core.jobs import LIFETIME_S, SETTLING_TASK, State
from shared.files.files import FILES, StoredFile
from shared.jobs.charges import JobCharges, Terms, run_name
from shared.jobs.jobs import Jobs
from shared.jobs.orders import JobOrder
from shared.money.policy import Applies
from shared.pages import Listed, cursor_at, listed
from shared.ports.clock import Clock
from shared.ports.store import Document, Query, Store, Transaction
from shared.settings import Settings
from shared.sweeps.report import Report
from shared.sweeps.sweep import Sweeps

PLAN, CHUNK, FINISH = "batch_plan", "batch_chunk", SETTLING_TASK
"""The tasks of a batch's steps."""
FINISH_NAME = "finish"
MOST_ATTEMPTS = 12
"""Of a step: a chunk keeps what it got done in each."""
BATCH_ID = re.compile(r"batch_[0-9A-Za-z]{1,64}")
UNREADABLE = Mistake("not_validated", "The file could not be validated, because of an error on our side.")
UNFINISHED = Mistake("not_finished", "The files could not be put together, because of an error on our side.")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BatchOrder:
    """What a caller asks for, already validated."""

    tenant: str
    key_id: str
    models: frozenset[str] | None
    weight: int
    endpoint: str
    input_file_id: str
    metadata: dict[str, str]
    output_lifetime_s: float
    trace_id: str = ""
    budgets: tuple[Applies, ...] = ()
    tier: str = ""


class Batches:
    def __init__(
        self,
        store: Store,
        jobs: Jobs,
        clock: Clock,
        settings: Settings,
        *,
        token: Callable[[int], str] = secrets.token_hex,
    ) -> None:
        self.records = BatchRecords(store)
        self._store = store
        self._jobs = jobs
        self._clock = clock
        self._sweeps = Sweeps(store, clock, settings.quarantine_after)
        self._step_timeout_s = settings.job_timeout_s
        self._token = token

    def create(self, order: BatchOrder) -> Batch:
        batch_id = f"batch_{self._token(12)}"
        batch = self.records.add(partial(_new, batch_id, order))
        self._add_step(batch, PLAN, "plan", {"batch_id": batch_id})
        return batch

    def get(self, tenant: str, batch_id: str) -> Batch:
        """The tenant's batch; NotFound for another's, as for none."""
        batch = self.records.get(batch_id) if BATCH_ID.fullmatch(batch_id) else None
        if batch is None or batch.tenant != tenant or batch.expire_at <= self._clock.now():
            raise NotFound(f"There is no batch '{batch_id[:100]}'.", code="batch_not_found")
        return batch

    def list(self, tenant: str, limit: int, after: str) -> Listed[Batch]:
        """Newest first, at most `limit` that come after the one with the id `after`; empty: from the start."""
        position = self._store.get(BATCHES, after) if BATCH_ID.fullmatch(after) else None
        if after and (position is None or position["tenant"] != tenant):
            raise InvalidRequest(f"There is no batch '{after[:100]}' to go on from.", param="after")
        cursor = cursor_at(position) if position else ""
        query = Query(BATCHES, (("tenant", "==", tenant),), descending=True, cursor=cursor)
        return listed(self._store, query, limit, self._shown)

    def _shown(self, document: Document) -> Batch | None:
        batch = from_document(document)
        return batch if batch.expire_at > self._clock.now() else None

    def cancel(self, tenant: str, batch_id: str) -> Batch:
        """Stops a batch: what is answered by then is in its files. Conflict when it has ended otherwise."""
        self.get(tenant, batch_id)
        batch = self.records.change(batch_id, transitions.cancel)
        if batch is None or batch.status not in (Status.CANCELLING, Status.CANCELLED):
            raise Conflict(f"The batch is {batch.status if batch else 'gone'}.", code="batch_already_ended")
        self.advance(batch_id)
        return self.get(tenant, batch_id)

    def end_with_key(self, tenant: str, key_id: str) -> None:
        """Ends the jobs and batches of a revoked key. What cannot be done now, workers and schedules do."""
        try:
            for batch_id in self._jobs.end_with_key(tenant, key_id):
                self.step_ended(batch_id)
        except Unavailable as error:
            fields = {"key_id": key_id, "reason": error.detail}
            log.warning("a revoked key's work waits for its workers", extra={"fields": fields})

    def counts(self, batch: Batch) -> Counts:
        """How many lines there are, and how many are done: a sum over the chunks until the batch is final."""
        if batch.counts:
            return batch.counts
        completed = failed = 0
        for step in self._jobs.steps.of(batch.id) if batch.total else ():
            tally = step.result or (step.progress.tally if step.progress else None) or {}
            completed += tally.get("completed", 0)
            failed += tally.get("failed", 0)
        return Counts(batch.total, completed, failed)

    def reserve(self, batch: Batch, model: str, total: int, terms: Terms) -> Batch | None:
        """The batch with what it holds; BudgetExceeded when there is no room for what that can cost."""

        def reserve(transaction: Transaction, each: Batch) -> Batch:
            if each.status is not Status.VALIDATING or each.charge is not None:
                return each
            charge = JobCharges.reserve(transaction, run_name(_finish_id(batch.id), 1), terms)
            return replace(each, model=model, total=total, charge=charge)

        return self.records.change_in(batch.id, reserve)

    def start(self, planned: Batch, chunks: Sequence[Chunk]) -> None:
        """Makes the steps that answer the lines; then the batch is in progress."""
        for number, chunk in enumerate(chunks):
            self._add_step(planned, CHUNK, chunk_name(number), asdict(chunk))
        if (started := self.records.change(planned.id, transitions.start)) and started.status is Status.CANCELLING:
            self._jobs.steps.cancel(planned.id, FINISH)

    def refuse(self, batch: Batch, mistakes: Iterable[Mistake]) -> None:
        self.records.change(batch.id, lambda each, now: transitions.fail(each, tuple(mistakes), now))

    def finish(
        self, batch: Batch, counts: Counts, tokens: Tokens, files: tuple[StoredFile | None, StoredFile | None]
    ) -> Batch | None:
        """Commits the end of the batch and its files together; the batch as it then stands."""
        unanswered = counts.total - counts.completed - counts.failed
        told = replace(counts, failed=counts.total - counts.completed)
        ids = (files[0].id if files[0] else None, files[1].id if files[1] else None)
        documents = tuple((FILES, asdict(file)) for file in files if file)
        return self.records.change(
            batch.id, lambda each, now: transitions.finish(each, told, tokens, ids, unanswered, now), documents
        )

    def advance(self, batch_id: str) -> bool:
        """Does what comes next, if it is time; whether there was something to do."""
        batch = self.records.get(batch_id)
        if batch is None or batch.status.is_final:
            return False
        if self._jobs.revoked.look_up(batch.key_id):
            batch = self.records.change(batch_id, transitions.revoke) or batch
        if self._jobs.steps.are_live(batch_id):
            if batch.status is Status.CANCELLING or batch.expires_at <= self._clock.now():
                return self._stop_steps(batch)
            return False
        return self._follow(batch)

    def sweep(self) -> Report:
        """Advances every batch that is not final; for a schedule."""
        sweep = self._sweeps.begin("batches_advance", BATCHES)
        return sweep.over(OPEN_BATCHES, lambda document: self.advance(document["id"]))

    def step_ended(self, parent: str) -> None:
        """A step has reached a final state. What cannot be done now, the schedule does."""
        try:
            self.advance(parent)
        except Unavailable as error:
            log.warning("a batch waits for the schedule", extra={"fields": {"batch": parent, "reason": error.detail}})
        except Exception:  # the step has ended, whatever is wrong with its batch
            log.exception("a batch waits for the schedule", extra={"fields": {"batch": parent}})

    def _stop_steps(self, batch: Batch) -> bool:
        """Cancels the steps, except the one that puts the files together."""
        if any(step.task == FINISH and not step.state.is_final for step in self._jobs.steps.of(batch.id)):
            return False
        self._jobs.steps.cancel(batch.id, FINISH)
        return not self._jobs.steps.are_live(batch.id) and self._follow(batch)

    def _follow(self, batch: Batch) -> bool:
        """No step lives: makes the next one, or fails the batch when its last one failed."""
        steps = {step.task: step for step in self._jobs.steps.of(batch.id) if step.task in (PLAN, FINISH)}
        if batch.status is Status.VALIDATING and PLAN not in steps:
            return self._begin(batch)
        if batch.status is Status.VALIDATING and batch.charge is None:
            return self._give_up(batch, UNREADABLE)
        if FINISH in steps:
            return steps[FINISH].state is not State.SUCCEEDED and self._give_up(batch, UNFINISHED)
        if batch.status is Status.VALIDATING:  # what was reserved for it has to be settled
            self.records.change(batch.id, transitions.cancel)
        self.records.change(batch.id, transitions.finalize)
        self._add_step(batch, FINISH, FINISH_NAME, {"batch_id": batch.id}, lifetime_s=LIFETIME_S)
        return True

    def _begin(self, batch: Batch) -> bool:
        self._add_step(batch, PLAN, "plan", {"batch_id": batch.id})
        return True

    def _give_up(self, batch: Batch, why: Mistake) -> bool:
        log.error("a batch failed", extra={"fields": {"batch": batch.id, "reason": why.code}})
        self.refuse(batch, [why])
        return True

    def _add_step(
        self, batch: Batch, task: str, name: str, given: dict[str, Any], lifetime_s: float | None = None
    ) -> None:
        left_s = max(1.0, batch.expires_at - self._clock.now())
        self._jobs.create(
            JobOrder(
                id=step_id(batch.id, name),
                parent=batch.id,
                tenant=batch.tenant,
                key_id=batch.key_id,
                task=task,
                model=batch.model,
                input=given,
                timeout_s=self._step_timeout_s,
                max_attempts=MOST_ATTEMPTS,
                priority="low" if task == CHUNK else "normal",
                weight=batch.weight,
                trace_id=batch.trace_id,
                lifetime_s=left_s if lifetime_s is None else lifetime_s,
                charge=batch.charge if task == FINISH else None,
            )
        )


def _new(batch_id: str, order: BatchOrder, now: float) -> Batch:
    return Batch(
        id=batch_id,
        tenant=order.tenant,
        key_id=order.key_id,
        models=None if order.models is None else tuple(sorted(order.models)),
        weight=order.weight,
        endpoint=order.endpoint,
        input_file_id=order.input_file_id,
        created_at=now,
        expires_at=now + WINDOW_S,
        expire_at=now + WINDOW_S + RETENTION_S,
        output_lifetime_s=order.output_lifetime_s,
        metadata=order.metadata,
        trace_id=order.trace_id,
        budgets=tuple(asdict(applies) for applies in order.budgets),
        tier=order.tier,
    )


def chunk_name(number: int) -> str:
    return f"{number:04}"


def step_id(batch_id: str, name: str) -> str:
    return f"{batch_id}-{name}"


def _finish_id(batch_id: str) -> str:
    return step_id(batch_id, FINISH_NAME)
