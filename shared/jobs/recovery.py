"""What the schedules do for jobs: send the wake-ups that were lost, take back the jobs of dead workers.

Both go through the jobs a shard at a time and a page at a time, by cursor: what cannot be helped is passed over and
does not keep the others waiting.
"""

from collections.abc import Callable
from itertools import chain

from shared.core.errors import Unavailable
from shared.core.job_documents import from_document
from shared.core.jobs import SEND_WITHIN_S, SHARDS, State, dispatched, reap, wake_up_is_lost
from shared.jobs.records import JobRecords
from shared.jobs.report import Deadline, Report
from shared.jobs.turns import JOBS
from shared.jobs.wakeups import WakeUps
from shared.pages import every
from shared.ports.clock import Clock
from shared.ports.store import Document, Query, Store


class Recovery:
    def __init__(
        self, store: Store, records: JobRecords, wake_ups: WakeUps, clock: Clock, random: Callable[[], float]
    ) -> None:
        self._store = store
        self._records = records
        self._wake_ups = wake_ups
        self._clock = clock
        self._random = random

    def sweep(self) -> Report:
        """Sends the wake-up of every queued job whose outbox says that it may be missing."""
        late = self._clock.now() - SEND_WITHIN_S
        queries = [
            Query(JOBS, (("shard", "==", shard), ("outbox", "==", True), ("next_run_at", "<=", late)), "next_run_at")
            for shard in self._shards()
        ]
        return self._go_through(queries, self._send)

    def reap(self) -> Report:
        """Requeues or fails the jobs whose lease is dead, and expires those past their deadline."""
        now = self._clock.now()
        queries = [
            Query(
                JOBS,
                (("shard", "==", shard), ("state", "==", state.value), ("lease_expires_at", "<=", now)),
                "lease_expires_at",
            )
            for shard in self._shards()
            for state in (State.RUNNING, State.QUEUED)
        ]
        return self._go_through(queries, self._reap)

    def _shards(self) -> list[int]:
        first = int(self._random() * SHARDS)
        return [(first + step) % SHARDS for step in range(SHARDS)]

    def _go_through(self, queries: list[Query], act: Callable[[Document], bool]) -> Report:
        report, deadline = Report(), Deadline(self._clock)
        for document in chain.from_iterable(every(self._store, query) for query in queries):
            if deadline.is_over:
                return report.incomplete()
            report = report.counted(document, act)
        return report

    def _send(self, document: Document) -> bool:
        job = from_document(document)
        if not wake_up_is_lost(job, self._clock.now()):
            return False
        if not self._wake_ups.send(job):
            raise Unavailable("The queue takes no tasks.")
        # From here on the queue answers for the wake-up: a long backlog is not sent again each minute.
        change = self._records.change(job.id, lambda stored, _: dispatched(stored, job.dispatch_seq))
        return change is not None and change.made

    def _reap(self, document: Document) -> bool:
        job = from_document(document)
        change = self._records.change(job.id, lambda stored, now: reap(stored, now, self._random()))
        return change is not None and change.made
