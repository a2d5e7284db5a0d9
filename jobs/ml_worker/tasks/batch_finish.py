"""A batch's last step: writes its output and its error file, and ends it."""

import asyncio
from typing import Any

import msgspec

from jobs.ml_worker.tasks import Done, Report
from shared.batches.assembly import Assembly
from shared.batches.batches import CHUNK, Batches
from shared.batches.parts import Parts
from shared.core.batches import KEY_REVOKED, Batch, Chunk, Status
from shared.files.files import BATCH_OUTPUT, Files, FileTerms, StoredFile
from shared.jobs.jobs import Jobs
from shared.ports.blobs import Blobs
from shared.ports.clock import Clock

CANCELLED = ("batch_cancelled", "The batch was cancelled before this request was executed.")
REVOKED = ("key_revoked", "The key that made the batch was revoked before this request was executed.")
EXPIRED = ("batch_expired", "This request could not be executed before the completion window expired.")
EXHAUSTED = ("attempts_exhausted", "This request could not be executed; the workers that tried it ended.")


class BatchFinish:
    def __init__(self, batches: Batches, jobs: Jobs, files: Files, blobs: Blobs, clock: Clock) -> None:
        self._batches = batches
        self._jobs = jobs
        self._files = files
        self._blobs = blobs
        self._clock = clock

    async def __call__(self, given: dict[str, Any], report: Report, /) -> Done:
        return await asyncio.to_thread(self._finish, given["batch_id"], report.job.epoch)

    def _finish(self, batch_id: str, epoch: int) -> Done:
        batch = self._batches.records.get(batch_id)
        if batch and not batch.status.is_final:
            batch = self._end(batch, epoch)
        Parts(self._blobs).drop(batch_id)
        return Done({}, _usage(batch) if batch else None)

    def _end(self, batch: Batch, epoch: int) -> Batch | None:
        steps = [step for step in self._jobs.steps.of(batch.id) if step.task == CHUNK]
        chunks = [(step.id, msgspec.convert(step.input, Chunk)) for step in sorted(steps, key=lambda step: step.id)]
        assembly = Assembly(batch.id, self._blobs, chunks)
        counts = assembly.counts()
        output = self._written(batch, "output", epoch, assembly.answers()) if counts.completed else None
        has_errors = counts.completed < counts.total
        errors = self._written(batch, "error", epoch, assembly.errors(*self._why(batch))) if has_errors else None
        return self._batches.finish(batch, counts, assembly.tokens(), (output, errors))

    def _written(self, batch: Batch, kind: str, epoch: int, lines: Any) -> StoredFile:
        """The same file for every run of this step; only its content is each run's own."""
        terms = FileTerms(batch.tenant, batch.key_id, BATCH_OUTPUT, f"{batch.id}_{kind}.jsonl", batch.output_lifetime_s)
        return self._files.prepare(f"file-{batch.id.removeprefix('batch_')}{kind}", str(epoch), terms, lines)

    def _why(self, batch: Batch) -> tuple[str, str]:
        """Code and message for lines that never got to run."""
        if batch.status is Status.CANCELLING:
            return REVOKED if KEY_REVOKED in batch.mistakes else CANCELLED
        return EXPIRED if self._clock.now() >= batch.expires_at else EXHAUSTED


def _usage(batch: Batch) -> dict[str, Any] | None:
    """What the whole batch is charged for, as the usage of its last step."""
    if batch.tokens is None or batch.counts is None:
        return None
    tokens = batch.tokens
    return {
        "requests": batch.counts.completed,
        "seconds": tokens.ms / 1000,
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
        "prompt_tokens_details": {"cached_tokens": tokens.cached},
    }
