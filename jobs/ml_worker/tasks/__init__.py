"""What a job can ask of the worker: tasks by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from jobs.ml_worker.inference import Generation, Inference
from shared.core.errors import NotInstalled, OmniError
from shared.core.jobs import Job, Progress


@dataclass(frozen=True, slots=True)
class Report:
    """The attempt as its task sees it; called, it takes the share that is done (0 to 1), a few words, and what else is
    counted. The next heartbeat writes them to the job."""

    job: Job
    tell: Callable[[Progress], None]
    generation: Generation = field(default_factory=Generation)
    """Of the answer, for a job that is charged by its answer."""
    is_cancelled: Callable[[], bool] = lambda: False
    """Whether it is stopped because its caller cancelled it, so that no other attempt follows."""

    def __call__(self, fraction: float, message: str = "", tally: dict[str, int] | None = None) -> None:
        self.tell(Progress(fraction, message, tally))

    @property
    def usage(self) -> dict[str, Any] | None:
        """What was generated so far; None where nothing was."""
        found = self.generation.counted()
        return found if found and found["total_tokens"] else None


@dataclass(frozen=True, slots=True)
class Done:
    result: dict[str, Any]
    usage: dict[str, Any] | None = None
    """What the result cost, as the model's server counted it; None when nothing was counted."""


class Paused(Exception):
    """The task kept what it has done and goes on later: the attempt does not count."""


class WorkerTask(Protocol):
    async def __call__(self, given: dict[str, Any], report: Report, /) -> Done:
        """Does the work for a job's input. May be run again after it failed or was stopped; cancelling stops it.

        An OmniError ends the attempt; with status 429 or 5xx another attempt may help. Paused sends the job to the end
        of the queue.
        """
        ...


def may_pass(error: OmniError) -> bool:
    """Whether another attempt may help: not with what the caller sent, nor with what is not installed."""
    return error.status == 429 or (error.status >= 500 and not isinstance(error, NotInstalled))


def registry(inference: Inference) -> Mapping[str, WorkerTask]:
    """The tasks that callers can ask for; an inference route is a task of the same name."""
    from jobs.ml_worker.tasks.completion import Completion

    return {name: Completion(inference, name) for name in ("chat_completions", "completions")}
