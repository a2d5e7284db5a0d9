"""A gateway whose jobs are real: made by the function, kept in a store, ended by the test."""

import json
from pathlib import Path
from typing import Any

import msgspec

from shared.adapters.file_blobs import FileBlobs
from shared.adapters.sqlite_queue import SqliteQueue
from shared.adapters.sqlite_store import SqliteStore
from shared.core.errors import Unavailable
from shared.core.jobs import Job, Outcome
from shared.jobs.jobs import Jobs
from shared.jobs.orders import JobOrder
from shared.jobs.view import view
from shared.ports.store import Document
from shared.ports.upstream import OutgoingRequest
from tests.fakes import FakeClock, FakeResponse
from tests.gateway.conftest import World
from tests.jobs.conftest import CountingStore


class AwayStore(CountingStore):
    """Cannot be read while it is away."""

    is_away = False

    def get(self, collection: str, key: str) -> Document | None:
        if self.is_away:
            raise Unavailable
        return super().get(collection, key)


class JobWorld(World):
    def __init__(self, tmp_path: Path, **settings: Any) -> None:
        self.store_clock = FakeClock()
        self.counting = AwayStore(SqliteStore(tmp_path / "omni.db", self.store_clock))
        super().__init__(tmp_path, store=self.counting, **settings)
        queue = SqliteQueue(tmp_path / "queue.db", self.clock)
        self.jobs = Jobs(self.counting, queue, FileBlobs(tmp_path / "blobs"), self.clock, self.settings)
        self.orders: list[dict[str, Any]] = []
        self.made: list[Job] = []
        self.answers(self._create)

    def create(self, tenant: str = "acme") -> Job:
        return self.jobs.create(JobOrder(tenant, "k", "chat_completions", "small", {}, 60.0))

    def end(self, job: Job, outcome: Outcome) -> None:
        run = self.jobs.claim(job.id, 1, "w")
        assert run is not None
        self.jobs.finish(run, outcome)

    def _create(self, request: OutgoingRequest) -> FakeResponse:
        """What functions/routes/jobs_create.py answers."""
        assert request.url == "http://routes/internal/api/v1/jobs"
        self.orders.append(json.loads(request.body))
        job = self.create()
        self.made.append(job)
        headers = [("content-type", "application/json"), ("location", f"/api/v1/jobs/{job.id}")]
        return FakeResponse(202, [msgspec.json.encode(view(job))], headers)
