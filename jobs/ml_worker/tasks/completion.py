"""An inference route as a task: the job's input is the request's body, its result the whole answer."""

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
        generation = report.generation
        answer = await self._inference.complete(self._route_name, given, Owner.of_job(report.job), generation)
        usage = answer.get("usage")
        if generation.began_at is not None and _is_timed(report.job):
            usage = {**(usage or {}), "seconds": round(generation.seconds(report.job.timeout_s), 3)}
        return Done(answer, usage)


def _is_timed(job: Job) -> bool:
    """Whether it is charged by the second: from its turn in the engine on, whoever was before it."""
    price = charges.read(job.charge).unit_price if job.charge else None
    return price is not None and price.second > 0
