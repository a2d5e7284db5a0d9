"""Holding a job while its work runs."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine

from shared.core.errors import Unavailable
from shared.core.jobs import Job, Outcome, Progress, Stopped

STOP_WITHIN_S = 5.0

Heartbeat = Callable[[Progress | None], Awaitable[Job | None]]
"""Extends the lease; gives the job as it stands, or None when this run has lost it."""

log = logging.getLogger(__name__)


class Lease:
    """Sends a heartbeat each third of the lease, so work that is done sooner costs no write."""

    def __init__(self, heartbeat: Heartbeat, lease_s: float) -> None:
        self._heartbeat = heartbeat
        self._interval_s = lease_s / 3
        self._progress: Progress | None = None
        self.is_cancelled = False
        """Whether the caller has cancelled the job: no other run will do what this one leaves."""

    def report(self, progress: Progress) -> None:
        self._progress = progress

    async def hold(self, work: Coroutine[None, None, Outcome]) -> Outcome | None:
        """The work's outcome; Stopped when the caller cancelled the job; None when another run has the job now."""
        task = asyncio.create_task(work)
        try:
            while not await _ends_within(task, self._interval_s):
                try:
                    job = await self._heartbeat(self._progress)
                except Unavailable as error:
                    # Should the lease run out meanwhile, the epoch keeps this run from writing.
                    log.warning("no heartbeat", extra={"fields": {"detail": error.detail}})
                    continue
                if job is None:
                    return None
                if job.cancel_requested:
                    self.is_cancelled = True
                    return Stopped()
            return task.result()
        finally:
            if task.cancel():
                await _ends_within(task, STOP_WITHIN_S)


async def _ends_within(task: asyncio.Task[Outcome], seconds: float) -> bool:
    done, _ = await asyncio.wait({task}, timeout=seconds)
    return bool(done)
