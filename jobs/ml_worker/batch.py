"""The ML worker as a Cloud Run job: `python -m jobs.ml_worker.batch` works off batches until nothing is left to take.

It takes steps of batches by the same claim as a worker that was woken for them, so any number of these run beside each
other and beside the service. Killed at any moment it strands nothing: its steps' leases end, and what it saved of them
is not done again. Each task of the job begins at another place, so that they seldom want the same step.

Exit status: 0 when nothing is left, 75 when it was told to stop before (Cloud Run then starts it again), 1 when the
model, the store or the blobs cannot be had.
"""

import asyncio
import logging
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from jobs.ml_worker.engine_inference import EngineInference
from jobs.ml_worker.engines.blocklist import Blocklist
from jobs.ml_worker.engines.choice import chosen
from jobs.ml_worker.inference import Inference
from jobs.ml_worker.model import OK, ServedModel
from jobs.ml_worker.slots import Slots
from jobs.ml_worker.workshop import Workshop
from shared import reporting, telemetry
from shared.core.batches import Batch
from shared.core.errors import Unavailable
from shared.core.job_transitions import has_live_lease
from shared.core.jobs import Job, State
from shared.settings import Settings
from shared.wiring import Ports

DONE, FAILED, STOPPED = 0, 1, 75
MODEL_POLL_S = 0.1
LOOK_AGAIN_S = 0.25
NEWCOMERS_S = 10.0
"""How often batches of further tenants are looked for while others' are under way."""
MOST_CANDIDATES = 1000
MOST_OF_A_TENANT = 50
"""Candidates; more of them only when they are of one batch."""

log = logging.getLogger("omni.batch")


@dataclass(frozen=True, slots=True)
class Share:
    """Which of a job's tasks this is."""

    index: int
    count: int

    def first(self, steps: list[Job]) -> list[Job]:
        """The steps, beginning at this task's place among them."""
        start = self.index * len(steps) // max(1, self.count)
        return steps[start:] + steps[:start]


class BatchRunner:
    def __init__(self, workshop: Workshop, ports: Ports, share: Share) -> None:
        self._workshop = workshop
        self._clock = ports.clock
        self._share = share
        self._leases: dict[str, float] = {}
        """Of steps that others run, as they were when they were first seen."""
        self._is_there_more = False
        """Whether a step may be to be had a little later."""
        self.runner = workshop.runner(lambda: True)

    async def run(self) -> None:
        """Until no step of any batch is to be had, nor will be unless another worker makes one. Tenants' steps run
        beside each other: one that stands still holds up its own tenant's."""
        running: dict[str, asyncio.Task[bool]] = {}
        try:
            while (steps := await asyncio.to_thread(self._candidates)) or running or self._is_there_more:
                for tenant, found in _by_tenant(steps).items():
                    if tenant not in running:
                        running[tenant] = asyncio.create_task(self._work_off(found))
                if not await _took_one(running):
                    await asyncio.sleep(LOOK_AGAIN_S)
        finally:
            for task in running.values():
                task.cancel()
            await asyncio.gather(*running.values(), return_exceptions=True)

    async def _work_off(self, steps: list[Job]) -> bool:
        """Whether one of them was to be had."""
        return any([await self.runner.pull(step) for step in steps])

    def _candidates(self) -> list[Job]:
        self._is_there_more = False
        found: list[Job] = []
        of_tenant: Counter[str] = Counter()
        for batch in self._workshop.batches.records.open():
            steps = self._steps_of(batch, wanted=of_tenant[batch.tenant] < MOST_OF_A_TENANT)
            of_tenant[batch.tenant] += len(steps)
            found += steps
            if len(found) >= MOST_CANDIDATES:
                break
        return self._share.first(found)

    def _steps_of(self, batch: Batch, *, wanted: bool) -> list[Job]:
        """Does what is due for the batch; if they are wanted, its steps that are to be had then."""
        try:
            self._workshop.batches.advance(batch.id)
            return list(self._free(batch.id)) if wanted else []
        except Unavailable:
            raise
        except Exception:  # whatever is wrong with one batch must not keep the others waiting
            log.exception("a batch was passed over", extra={"fields": {"batch": batch.id}})
            return []

    def _free(self, batch_id: str) -> Iterator[Job]:
        now = self._clock.now()
        steps = self._workshop.jobs.steps
        for step in steps.of(batch_id, State.QUEUED):
            if step.next_run_at <= now:
                yield step
            else:
                self._is_there_more = True
        for step in steps.of(batch_id, State.RUNNING):
            if not has_live_lease(step, now):
                yield step
            elif step.lease_expires_at == self._leases.setdefault(step.id, step.lease_expires_at or 0.0):
                self._is_there_more = True  # its worker may have been killed; if not, it will extend the lease


def _by_tenant(steps: list[Job]) -> dict[str, list[Job]]:
    found: dict[str, list[Job]] = {}
    for step in steps:
        found.setdefault(step.tenant, []).append(step)
    return found


async def _took_one(running: dict[str, asyncio.Task[bool]]) -> bool:
    """Waits a while for a tenant whose steps are through, and takes it out; whether there is no need to wait more."""
    if not running:
        return False
    done, _ = await asyncio.wait(running.values(), timeout=NEWCOMERS_S, return_when=asyncio.FIRST_COMPLETED)
    for tenant in [tenant for tenant, task in running.items() if task in done]:
        del running[tenant]
    took = [task.result() for task in done]
    return any(took) or not done


def main() -> int:
    settings = Settings.load()
    telemetry.start_logging("batch", settings.log_level)
    reporting.start_errors(settings, "batch")
    try:
        return asyncio.run(_serve(settings, Ports(settings)))
    except Unavailable as error:
        log.error(error.message, extra={"fields": {"detail": error.detail}})
        return FAILED


async def _serve(settings: Settings, ports: Ports) -> int:
    """With the model loaded first; without one no line could be answered."""
    engine = chosen(settings, ports.upstream, ports.secrets)
    blocklist = Blocklist(ports.store, ports.clock)
    model = ServedModel(settings, engine, ports.upstream, blocklist)
    background = [asyncio.create_task(model.keep_running()), asyncio.create_task(blocklist.keep_up())]
    try:
        while model.is_loading and not background[0].done():  # noqa: ASYNC110 - nobody tells when it is
            await asyncio.sleep(MODEL_POLL_S)
        if engine is None or model.state != OK:
            log.error("no model", extra={"fields": {"model": model.id, "reason": model.state}})
            return FAILED
        return await work(settings, ports, EngineInference(settings, model, ports.clock))
    finally:
        for task in background:
            task.cancel()
        await model.stop()
        await ports.upstream.close()


async def work(settings: Settings, ports: Ports, inference: Inference) -> int:
    """Works off what there is; the exit status. SIGTERM and SIGINT: what is done is saved, and the step let go."""
    share = Share(settings.task_index, settings.task_count)
    log.info("begins", extra={"fields": {"task": share.index, "of": share.count, "attempt": settings.task_attempt}})
    batch_runner = BatchRunner(Workshop(settings, ports, inference, Slots(settings.worker_slots)), ports, share)
    running = asyncio.create_task(batch_runner.run())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    with suppress(asyncio.CancelledError):
        await running
        return DONE
    log.info("stopped before the end")
    return STOPPED


if __name__ == "__main__":
    sys.exit(main())
