"""What the schedules do for jobs: send the wake-ups that were lost, take back the jobs of dead workers.

Both go through the jobs a shard at a time and a page at a time, by cursor: what cannot be helped is passed over and
does not keep the others waiting.
"""

from collections.abc import Callable

from shared.core.errors import Unavailable
from shared.core.job_documents import from_document
from shared.core.job_transitions import dispatched, reap, wake_up_is_lost
from shared.core.jobs import SEND_WITHIN_S, SHARDS, State
from shared.jobs.records import JobRecords
from shared.jobs.turns import JOBS
from shared.jobs.wakeups import WakeUps
from shared.ports.clock import Clock
from shared.ports.store import Document, Query
from shared.sweeps.report import Report
from shared.sweeps.sweep import Sweeps


class Recovery:
    def __init__(
        self, sweeps: Sweeps, records: JobRecords, wake_ups: WakeUps, clock: Clock, random: Callable[[], float]
    ) -> None:
        self._sweeps = sweeps
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
        return self._sweeps.begin("jobs_sweep", JOBS).over(queries, self._send)

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
        return self._sweeps.begin("jobs_reap", JOBS).over(queries, self._reap)

    def _shards(self) -> list[int]:
        first = int(self._random() * SHARDS)
        return [(first + step) % SHARDS for step in range(SHARDS)]

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
