"""Jobs that are the steps of a batch: found by their parent, and taken by workers also without a wake-up."""

from collections.abc import Iterator
from typing import Any

from shared.core import fairness
from shared.core import job_transitions as transitions
from shared.core.job_documents import from_document
from shared.core.jobs import Job, State
from shared.jobs.records import JobRecords
from shared.jobs.revoked_keys import RevokedKeys
from shared.jobs.turns import JOBS
from shared.pages import every
from shared.ports.store import Query, Store

LIVE = (State.QUEUED, State.RUNNING)


class JobSteps:
    def __init__(self, store: Store, records: JobRecords, revoked: RevokedKeys, lease_s: float) -> None:
        self._store = store
        self._records = records
        self._revoked = revoked
        self._lease_s = lease_s

    def of(self, parent: str, state: State | None = None) -> Iterator[Job]:
        """The parent's steps, the first made first."""
        where: tuple[Any, ...] = (("parent", "==", parent),) + ((("state", "==", state.value),) if state else ())
        yield from map(from_document, every(self._store, Query(JOBS, where, limit=200)))

    def are_live(self, parent: str) -> bool:
        """Whether one of them is queued or running. A step is made before the one that makes it has ended."""
        queries = (Query(JOBS, (("parent", "==", parent), ("state", "==", state.value)), limit=1) for state in LIVE)
        return any(self._store.count(query) for query in queries)

    def cancel(self, parent: str, spare: str) -> None:
        """Cancels the live steps, except those of the task `spare`: one may have been made a moment ago."""
        for state in LIVE:
            for job in list(self.of(parent, state)):
                if job.task != spare:
                    self._records.change(job.id, transitions.cancel)

    def claim(self, job_id: str, owner: str) -> Job | None:
        """The step, running under a new epoch, also if it waited for its turn; None when it is not to be had."""

        def step(job: Job, now: float) -> Job:
            ready = fairness.let_in(job, now)
            claimed = transitions.claim(ready, ready.dispatch_seq, owner, now, self._lease_s)
            if claimed is ready:
                return job
            return transitions.revoke(job, now) if self._revoked.end_waiting(job, now) else claimed

        change = self._records.change(job_id, step)
        return change.after if change and change.made and change.after.state is State.RUNNING else None
