"""Runs jobs: a wake-up comes in, the job is claimed, worked on and finished."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from jobs.ml_worker.lease import Lease
from jobs.ml_worker.slots import Slots
from jobs.ml_worker.tasks import Done, Paused, Report, WorkerTask, may_pass
from shared import telemetry
from shared.core.errors import BadDocument, NotFound, OmniError, UpstreamTimeout
from shared.core.fair_share import Place
from shared.core.fairness import Owner
from shared.core.jobs import Failed, Job, JobError, Outcome, Released, Stopped, Succeeded
from shared.core.queues import GPU_LO
from shared.jobs.jobs import Jobs
from shared.jobs.wakeups import WakeUp

SLOT_PATIENCE_S = 5.0
"""How long a wake-up waits for a free slot: sent back at once, those of a long backlog would come round ever again."""
READY_POLL_S = 0.05
MOST_WAITING = 2
"""Wake-ups of one tenant that wait for a slot: the next to begin when a job ends."""
STORE_THREADS = 4

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)


class Runner:
    def __init__(
        self,
        jobs: Jobs,
        tasks: Mapping[str, WorkerTask],
        slots: Slots,
        ready: Callable[[], bool],
        lease_s: float,
        owner: str,
        slot_patience_s: float = SLOT_PATIENCE_S,
        step_ended: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`ready` tells whether work can begin: a model that is still loading must not cost jobs their attempts.
        `owner` names this process in the leases it holds. `step_ended` is told the batch of each step that ended."""
        self._jobs = jobs
        self._tasks = tasks
        self._slots = slots
        self._ready = ready
        self._lease_s = lease_s
        self._owner = owner
        self._slot_patience_s = slot_patience_s
        self._step_ended = step_ended
        self._threads = ThreadPoolExecutor(STORE_THREADS, "jobs")
        self._waiting: Counter[str] = Counter()
        """By tenant: wake-ups that wait for a slot."""

    async def run(self, wake_up: WakeUp, queue: str = GPU_LO) -> None:
        """Does what a wake-up from that queue asks. However the job ends, the wake-up is done with.

        Unavailable when the store or the queue is not there, so that the wake-up has to come again.
        """
        slot = await self._slot(wake_up.owner)
        if slot is None:
            await self._call(self._jobs.defer, wake_up, queue)
            return
        await self._run(slot, partial(self._jobs.claim, wake_up.job_id, wake_up.seq, self._owner))

    async def pull(self, step: Job) -> bool:
        """Does a step of a batch without a wake-up; whether it was to be had. Waits for a slot as long as it takes."""
        slot = await self._slots.acquire(Owner.of_job(step))
        return await self._run(slot, partial(self._jobs.steps.claim, step.id, self._owner))

    async def _run(self, slot: Place, claim: Callable[[], Job | None]) -> bool:
        """Works on what the claim gives, on the slot that was taken for it."""
        try:
            job = await self._claimed(claim)
            if job:
                with telemetry.JOBS_RUNNING.labels().track_inprogress():
                    await self._work(job)
        finally:
            self._slots.release(slot)
        return job is not None

    async def _claimed(self, claim: Callable[[], Job | None]) -> Job | None:
        try:
            return await self._call(claim)
        except BadDocument as error:  # the reaper sets it aside; another wake-up would not help
            log.error("a job cannot be read", extra={"fields": {"reason": str(error)}})
            return None

    def close(self) -> None:
        self._threads.shutdown(wait=False)

    async def _slot(self, owner: Owner) -> Place | None:
        """A slot, once it is the owner's turn; None when that is not so in time, or when enough of its wake-ups wait:
        each holds one of the queue's deliveries, and other tenants' come by the same queue."""
        if self._ready() and (slot := self._slots.try_acquire(owner)):
            return slot
        if self._waiting[owner.tenant] >= MOST_WAITING:
            return None
        self._waiting[owner.tenant] += 1
        try:
            async with asyncio.timeout(self._slot_patience_s):
                while not self._ready():  # noqa: ASYNC110 - nobody tells when it is
                    await asyncio.sleep(READY_POLL_S)
                return await self._slots.acquire(owner)
        except TimeoutError:
            return None
        finally:
            self._waiting -= Counter({owner.tenant: 1})

    async def _work(self, job: Job) -> None:
        lease = Lease(partial(self._call, self._jobs.heartbeat, job), self._lease_s)
        report = Report(job, lease.report, is_cancelled=lambda: lease.is_cancelled)
        try:
            outcome = await lease.hold(self._attempt(job, report))
        except asyncio.CancelledError:
            await self._end(job, Released())
            raise
        await self._end(job, Stopped(report.usage) if isinstance(outcome, Stopped) else outcome)

    async def _end(self, job: Job, outcome: Outcome | None) -> None:
        after = await self._call(self._jobs.finish, job, outcome) if outcome else None
        fields = {"job": job.id, "task": job.task, "attempt": job.attempt, "request_id": job.trace_id}
        log.info("job attempt ended", extra={"fields": fields | {"state": after.state if after else "lost"}})
        if after and after.parent and after.state.is_final:
            await self._call(self._step_ended, after.parent)

    async def _attempt(self, job: Job, report: Report) -> Outcome:
        try:
            async with asyncio.timeout(job.timeout_s) as limit:
                done = await self._perform(job, report)
        except Paused:
            return Released()
        except OmniError as error:
            return Failed(JobError(error.code, error.message, may_pass(error), error.status, error.param))
        except Exception as error:  # whatever a task does wrong ends its job, not the worker
            if isinstance(error, TimeoutError) and limit.expired():
                return Failed(_timed_out(job), report.usage)
            log.exception("task broke", extra={"fields": {"job": job.id, "task": job.task}})
            return Failed(JobError("internal_error", OmniError().message, retryable=True))
        return Succeeded(done.result, usage=done.usage)

    async def _perform(self, job: Job, report: Report) -> Done:
        task = self._tasks.get(job.task)
        if task is None:
            raise NotFound(f"This worker has no task '{job.task}'.", code="unknown_task")
        return await task(await self._call(self._jobs.input, job), report)

    async def _call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs one of the synchronous ports' calls in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(function, *args, **kwargs))


def _timed_out(job: Job) -> JobError:
    message = f"The job ran longer than {job.timeout_s:g} s."
    return JobError("timeout", message, retryable=False, status=UpstreamTimeout.status)
