"""An inference route as a task: the job's input is the request's body, its result the whole answer."""

import asyncio
from typing import Any

from jobs.ml_worker.inference import Inference
from jobs.ml_worker.tasks import Done, Report
from shared.core.fairness import Owner
from shared.core.jobs import Job
from shared.jobs import charges


class Completion:
    def __init__(self, inference: Inference, route_name: str) -> None:
        self._inference = inference
        self._route_name = route_name

    async def __call__(self, given: dict[str, Any], report: Report, /) -> Done:
        now = asyncio.get_running_loop().time
        began: list[float] = []
        answer = await self._inference.complete(
            self._route_name, given, Owner.of_job(report.job), lambda: began.append(now()), report.counters.append
        )
        usage = answer.get("usage")
        if began and _is_timed(report.job):
            usage = {**(usage or {}), "seconds": round(min(report.job.timeout_s, now() - began[0]), 3)}
        return Done(answer, usage)


def _is_timed(job: Job) -> bool:
    """Whether it is charged by the second: from its turn in the engine on, whoever was before it."""
    price = charges.read(job.charge).unit_price if job.charge else None
    return price is not None and price.second > 0
