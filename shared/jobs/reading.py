"""Jobs as whoever asks for them may see them; reading takes neither a queue nor a worker."""

import re
from typing import Any

import msgspec

from shared.core.errors import NotFound
from shared.core.job_documents import from_document
from shared.core.jobs import Job, State
from shared.jobs.turns import JOBS
from shared.ports.blobs import Blobs
from shared.ports.clock import Clock
from shared.ports.store import Query, Store

JOB_ID = re.compile(r"job_[0-9A-Za-z]{1,64}")
MOST_COUNTED = 1000
"""Counting so many documents costs one read."""

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class JobReader:
    """Every method raises Unavailable when the store cannot be reached."""

    def __init__(self, store: Store, blobs: Blobs, clock: Clock) -> None:
        self._store = store
        self._blobs = blobs
        self._clock = clock

    def get(self, tenant: str, job_id: str) -> Job:
        """The tenant's job; NotFound for another's, as for none."""
        document = self._store.get(JOBS, job_id) if JOB_ID.fullmatch(job_id) else None
        job = from_document(document) if document else None
        if job is None or not self.is_visible(job, tenant):
            raise not_found(job_id)
        return job

    def result(self, job: Job) -> dict[str, Any] | None:
        """NotFound when it was large and is not kept any more."""
        return kept(self._blobs, job.result_uri, "result") if job.result_uri else job.result

    def queue_position(self, job: Job) -> int | None:
        """The place of a queued job among its tenant's, 1 for the oldest; None when it does not wait, or behind more
        than MOST_COUNTED. A guess at when it runs: priorities and retries change the order."""
        if job.state is not State.QUEUED:
            return None
        older = Query(
            JOBS,
            (("tenant", "==", job.tenant), ("state", "==", State.QUEUED.value), ("created_at", "<", job.created_at)),
            limit=MOST_COUNTED,
        )
        count = self._store.count(older)
        return count + 1 if count < MOST_COUNTED else None

    def is_visible(self, job: Job, tenant: str) -> bool:
        return job.tenant == tenant and not job.parent and job.expire_at > self._clock.now()


def not_found(job_id: str) -> NotFound:
    return NotFound(f"There is no job '{job_id[:100]}'.", code="job_not_found")


def kept(blobs: Blobs, uri: str, what: str) -> dict[str, Any]:
    """A job's body at that URI. Bodies are forgotten by their age, whatever refers to them: then NotFound."""
    try:
        return _decode(blobs.get(uri))
    except FileNotFoundError:
        raise NotFound(f"The job's {what} is not kept any more.", code=f"{what}_not_kept") from None
