"""A job as its owner sees it: in answers, events and webhooks alike."""

from typing import Any

from shared.core.jobs import Job


def view(job: Job) -> dict[str, Any]:
    """Without the result, which may have to be fetched."""
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
        "progress": {"fraction": job.progress.fraction, "message": job.progress.message} if job.progress else None,
        "error": job.error,
        "usage": job.usage,
        "metadata": job.metadata,
        "created_at": job.created_at,
        "next_run_at": job.next_run_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "deadline_at": job.deadline_at,
        "webhook": job.webhook,
    }
