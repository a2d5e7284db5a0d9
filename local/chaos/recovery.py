"""How long it takes from a worker's death until its jobs run again, and until they are final."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from shared.core.job_documents import from_document
from shared.core.jobs import Job
from shared.jobs.turns import JOBS
from shared.pages import every
from shared.ports.store import Query, Store


@dataclass(frozen=True, slots=True)
class Orphan:
    """A job whose worker died while it held it."""

    job_id: str
    epoch: int
    died_at: float
    """On the monotonic clock."""
    runs_again: bool = False


@dataclass
class RecoveryTimes:
    """Seconds, one for each orphan."""

    until_run: list[float] = field(default_factory=list)
    until_final: list[float] = field(default_factory=list)


class Recoveries:
    def __init__(self, store: Store, tenant: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._tenant = tenant
        self._clock = clock
        self._orphans: list[Orphan] = []
        self.times = RecoveryTimes()

    def worker_died(self, process_id: int) -> None:
        running = Query(JOBS, (("tenant", "==", self._tenant), ("state", "==", "running")), limit=1000)
        now = self._clock()
        for job in map(from_document, every(self._store, running)):
            if job.lease_owner.startswith(f"{process_id}-"):
                self._orphans.append(Orphan(job.id, job.epoch, now))

    def look(self) -> None:
        """Notes which orphans run again or have ended since the last look."""
        left = []
        for orphan in self._orphans:
            document = self._store.get(JOBS, orphan.job_id)
            if document and (after := self._noted(orphan, from_document(document))):
                left.append(after)
        self._orphans = left

    def _noted(self, orphan: Orphan, job: Job) -> Orphan | None:
        took_s = self._clock() - orphan.died_at
        if not orphan.runs_again and job.epoch > orphan.epoch:
            self.times.until_run.append(took_s)
            orphan = Orphan(orphan.job_id, orphan.epoch, orphan.died_at, runs_again=True)
        if job.state.is_final:
            self.times.until_final.append(took_s)
            return None
        return orphan


def spread(seconds: list[float]) -> str:
    """The shortest, the median and the longest."""
    if not seconds:
        return "none"
    return f"min {min(seconds):.1f} s, median {statistics.median(seconds):.1f} s, max {max(seconds):.1f} s"
