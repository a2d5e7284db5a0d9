"""The tasks that wake a worker for a job."""

import hashlib
import logging
from collections.abc import Callable

import msgspec

from shared.core.errors import Unavailable
from shared.core.jobs import Job
from shared.core.queues import queue_of
from shared.ports.clock import Clock
from shared.ports.queue import Queue, Task

DEFER_S = 2.0
"""A wake-up that found no free slot comes again after this long, give or take a half."""

log = logging.getLogger(__name__)


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
            self._queue.enqueue(self._task(queue_of(job.priority), job.id, job.dispatch_seq, "", job.next_run_at))
        except Unavailable as error:
            log.warning("no wake-up sent", extra={"fields": {"job": job.id, "detail": error.detail}})
            return False
        return True

    def defer(self, job_id: str, seq: int, queue: str) -> None:
        """Lets a wake-up come again a little later; Unavailable when the queue does not take it."""
        not_before = self._clock.now() + DEFER_S * (0.5 + self._random())
        self._queue.enqueue(self._task(queue, job_id, seq, self._token(8), not_before))

    def _task(self, queue: str, job_id: str, seq: int, salt: str, not_before: float) -> Task:
        # Hashed, because names that share a beginning would all fall on one of the queue's servers.
        name = hashlib.sha256(f"{job_id}:{seq}:{salt}".encode()).hexdigest()[:40]
        body = msgspec.json.encode({"job_id": job_id, "seq": seq})
        return Task(queue, name, f"{self._worker_url}/tasks/run", body, not_before, self._worker_url)
