"""What a job can ask of the worker: tasks by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from jobs.ml_worker.inference import Inference

Report = Callable[[float, str], None]
"""Takes the share that is done (0 to 1) and a few words; the next heartbeat writes them to the job."""


@dataclass(frozen=True, slots=True)
class Done:
    result: dict[str, Any]
    usage: dict[str, Any] | None = None
    """What the result cost, as the model's server counted it; None when nothing was counted."""


class WorkerTask(Protocol):
    async def __call__(self, given: dict[str, Any], report: Report, /) -> Done:
        """Does the work for a job's input. May be run again after it failed or was stopped; cancelling stops it.

        An OmniError ends the attempt; with status 429 or 5xx another attempt may help.
        """
        ...


def registry(inference: Inference) -> Mapping[str, WorkerTask]:
    """Every task there is; an inference route is a task of the same name."""
    from jobs.ml_worker.tasks.completion import Completion

    return {name: Completion(inference, name) for name in ("chat_completions", "completions")}
