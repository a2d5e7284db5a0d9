"""A retry storm: many callers retry the same failed jobs at the same moment, and again."""

from concurrent.futures import ThreadPoolExecutor

from local.chaos.audit import RETRIED
from shared.core.errors import Conflict, Unavailable
from shared.core.jobs import Job
from shared.jobs.charges import Terms
from shared.jobs.jobs import Jobs
from shared.jobs.orders import RetryOrder

CALLERS = 8


class Storm:
    def __init__(self, jobs: Jobs, tenant: str) -> None:
        self._jobs = jobs
        self._tenant = tenant
        self.calls = 0
        self.doubled = 0

    def over(self, failed: list[Job], key_id: str, terms: Terms) -> list[Job]:
        """Each job, as the one retry left it that was taken."""
        order = RetryOrder(key_id, 4, RETRIED, terms)

        def retry(job: Job) -> Job | None:
            try:
                return self._jobs.retry(self._tenant, job.id, order)
            except (Conflict, Unavailable):
                return None

        again = []
        with ThreadPoolExecutor(CALLERS) as threads:
            for job in failed:
                taken = [each for each in threads.map(retry, [job] * CALLERS) if each]
                self.calls += CALLERS
                self.doubled += max(0, len(taken) - 1)
                again += taken[:1]
        return again
