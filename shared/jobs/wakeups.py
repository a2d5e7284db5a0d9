"""The tasks that wake a worker for a job."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from shared.core.errors import Unavailable
from shared.core.fairness import Owner
from shared.core.jobs import Job
from shared.core.queues import queue_of
from shared.ports.clock import Clock
from shared.ports.queue import Queue, Task, task_name

DEFER_S = 2.0
"""A wake-up that found no free slot comes again after this long, give or take a half."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WakeUp:
    """What the queue posts to a worker."""

    job_id: str
    seq: int
    """Which of the job's wake-ups this is."""
    tenant: str = ""
    weight: int = 1
    """Whose job it is: known before the job is read, so that a busy worker can tell whose turn it is."""

    @property
    def owner(self) -> Owner:
        return Owner(self.tenant, self.weight)


class WakeUps:
    """Sends wake-ups named by job and sequence, so that the queue drops repetitions of the same one."""

    def __init__(
        self, queue: Queue, worker_url: str, clock: Clock, token: Callable[[int], str], random: Callable[[], float]
    ) -> None:
        self._queue = queue
        self._worker_url = worker_url
        self._clock = clock
        self._token = token
        self._random = random

    def send(self, job: Job) -> bool:
        """Whether the queue has the job's current wake-up now. If not, the sweeper will send it."""
        try:
            owner = Owner.of_job(job)
            wake_up = WakeUp(job.id, job.dispatch_seq, owner.tenant, owner.weight)
            self._queue.enqueue(self._task(queue_of(job.priority), wake_up, "", job.next_run_at))
        except Unavailable as error:
            log.warning("no wake-up sent", extra={"fields": {"job": job.id, "detail": error.detail}})
            return False
        return True

    def defer(self, wake_up: WakeUp, queue: str) -> None:
        """Lets a wake-up come again a little later; Unavailable when the queue does not take it."""
        not_before = self._clock.now() + DEFER_S * (0.5 + self._random())
        self._queue.enqueue(self._task(queue, wake_up, self._token(8), not_before))

    def _task(self, queue: str, wake_up: WakeUp, salt: str, not_before: float) -> Task:
        name = task_name(f"{wake_up.job_id}:{wake_up.seq}:{salt}")
        body = msgspec.json.encode(wake_up)
        return Task(queue, name, f"{self._worker_url}/tasks/run", body, not_before, self._worker_url)
