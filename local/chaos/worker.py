"""A worker that is made to die: `python -m local.chaos.worker --folder DIR [--die-at POINT --after N]`

It takes the wake-ups of the embedded queue as the dispatcher would deliver them, twice at once now and then, and runs
each job with the worker's own runner. At the N-th time that it passes the point it kills itself with SIGKILL.
"""

import argparse
import asyncio
import os
import random
import secrets
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from jobs.ml_worker.runner import Runner
from jobs.ml_worker.slots import Slots
from jobs.ml_worker.tasks import Done, Report
from local.chaos.audit import POINTS, RETRIED, TASK, AuditedStore, Mortality
from local.chaos.fleet import LEASE_S
from shared import telemetry
from shared.core.errors import InvalidRequest, Unavailable
from shared.core.jobs import Job
from shared.core.queues import GPU_LO
from shared.jobs.jobs import Jobs
from shared.jobs.wakeups import WakeUp
from shared.ports.blobs import INLINE_BYTES, Blobs
from shared.ports.queue import Delivery
from shared.ports.store import AlreadyExists
from shared.settings import Settings
from shared.wiring import Ports

SLOTS = 4
POLL_S = 0.02


class MortalBlobs:
    def __init__(self, blobs: Blobs, mortality: Mortality) -> None:
        self._mortality = mortality
        self._blobs = blobs
        self.get, self.read, self.delete, self.list = blobs.get, blobs.read, blobs.delete, blobs.list

    def put(self, path: str, body: bytes | Iterable[bytes]) -> str:
        uri = self._blobs.put(path, body)
        self._mortality.at("after the blob")
        return uri


class MortalJobs(Jobs):
    def __init__(self, ports: Ports, settings: Settings, folder: Path, mortality: Mortality) -> None:
        store = AuditedStore(ports.store, folder, mortality)
        super().__init__(store, ports.queue, MortalBlobs(ports.blobs, mortality), ports.clock, settings)
        self._mortality = mortality

    def claim(self, job_id: str, seq: int, owner: str) -> Job | None:
        job = super().claim(job_id, seq, owner)
        if job:
            self._mortality.at("after claim")
        return job


class Work:
    """A task that takes a moment, and whose result is large enough for a blob when its input says so."""

    def __init__(self, mortality: Mortality, chance: random.Random) -> None:
        self._mortality = mortality
        self._chance = chance

    async def __call__(self, given: dict[str, Any], report: Report) -> Done:
        if given.get("deadly"):
            os.kill(os.getpid(), signal.SIGKILL)
        if given.get("fails") and report.job.trace_id != RETRIED:
            raise InvalidRequest("It fails until it is retried.")
        if given.get("stalls") == "task":
            await asyncio.Event().wait()
        if given.get("stalls") == "worker" and report.job.attempt == 1:
            time.sleep(2 * LEASE_S)  # noqa: ASYNC251 (the whole process stands still, and its leases end)
        await asyncio.sleep(given.get("seconds", 0.05 * self._chance.random()))
        self._mortality.at("mid-run")
        padding = "x" * (INLINE_BYTES if given.get("large") else 0)
        return Done({"epoch": report.job.epoch, "padding": padding}, {"total_tokens": 1})


class ChaosWorker:
    def __init__(self, ports: Ports, runner: Runner, mortality: Mortality, chance: random.Random) -> None:
        self._queue = ports.local_queue
        self._runner = runner
        self._mortality = mortality
        self._chance = chance
        self._in_flight: set[str] = set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                for delivery in self._queue.due(GPU_LO, SLOTS * 2):
                    if len(self._in_flight) < SLOTS and delivery.task.name not in self._in_flight:
                        self._in_flight.add(delivery.task.name)
                        group.create_task(self._deliver(delivery))
                await asyncio.sleep(POLL_S)

    async def _deliver(self, delivery: Delivery) -> None:
        wake_up = msgspec.json.decode(delivery.task.body)
        times = self._chance.choice((1, 1, 2))
        runs = (self._runner.run(WakeUp(**wake_up)) for _ in range(times))
        ended = await asyncio.gather(*runs, return_exceptions=True)
        self._in_flight.discard(delivery.task.name)
        if failures := [each for each in ended if each is not None]:
            if not all(isinstance(each, Unavailable | AlreadyExists) for each in failures):
                raise failures[0]
            self._queue.retry(delivery, 503)
            return
        self._mortality.at("after the answer")
        self._queue.done(delivery)


def main() -> int:
    options = _options()
    settings = Settings.load()
    telemetry.start_logging("worker", "ERROR")
    chance = random.Random(options.seed)  # noqa: S311 (a seed has to give the same run again)
    mortality = Mortality(options.folder, options.die_at, options.after)
    ports = Ports(settings)
    jobs = MortalJobs(ports, settings, options.folder, mortality)
    owner = f"{os.getpid()}-{secrets.token_hex(4)}"
    tasks = {TASK: Work(mortality, chance)}
    runner = Runner(jobs, tasks, Slots(SLOTS), lambda: True, settings.lease_s, owner)
    asyncio.run(ChaosWorker(ports, runner, mortality, chance).run())
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.chaos.worker")
    parser.add_argument("--folder", type=Path, required=True, help="where deaths and doublings are noted")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--die-at", choices=POINTS, default="")
    parser.add_argument("--after", type=int, default=1, metavar="N")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
