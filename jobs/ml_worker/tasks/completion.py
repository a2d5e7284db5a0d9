"""An inference route as a task: the job's input is the request's body, its result the whole answer."""

from typing import Any

from jobs.ml_worker.inference import Inference
from jobs.ml_worker.tasks import Done, Report
from shared.core.fairness import Owner


class Completion:
    def __init__(self, inference: Inference, route_name: str) -> None:
        self._inference = inference
        self._route_name = route_name

    async def __call__(self, given: dict[str, Any], report: Report, /) -> Done:
        answer = await self._inference.complete(self._route_name, given, Owner.of_job(report.job))
        return Done(answer, answer.get("usage"))
