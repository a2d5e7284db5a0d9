"""GET /api/v1/jobs/{id}: a job of the caller's tenant."""

from typing import Any

from functions.routes.context import Context
from shared.core.jobs import Job
from shared.web.incoming import Incoming
from shared.web.reply import Reply


def handle(incoming: Incoming, context: Context) -> Reply:
    job = context.jobs.get(incoming.caller.tenant, incoming.params["id"])
    return Reply.json(view(job) | {"result": context.jobs.result(job)})


def view(job: Job) -> dict[str, Any]:
    """A job as its owner sees it, without the result, which may have to be fetched."""
    return {
        "id": job.id,
        "object": "job",
        "task": job.task,
        "model": job.model,
        "state": job.state,
        "substate": job.substate,
        "priority": job.priority,
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "timeout_s": job.timeout_s,
        "cancel_requested": job.cancel_requested,
        "progress": job.progress,
        "error": job.error,
        "usage": job.usage,
        "metadata": job.metadata,
        "created_at": job.created_at,
        "next_run_at": job.next_run_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "deadline_at": job.deadline_at,
    }
