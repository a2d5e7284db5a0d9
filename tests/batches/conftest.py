"""Batches on the embedded adapters, worked off in this process by a model that answers at once."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.ml_worker.batch import BatchRunner, Share
from jobs.ml_worker.inference import Generation
from jobs.ml_worker.slots import Slots
from jobs.ml_worker.workshop import Workshop
from shared import manifest
from shared.batches.batches import Batches, BatchOrder
from shared.core.batches import Batch
from shared.core.fairness import Owner
from shared.core.jobs import Job
from shared.files.files import Files, FileTerms
from shared.jobs.jobs import Jobs
from shared.settings import Settings
from shared.wiring import Ports
from tests.fakes import FakeClock

MODEL = "smollm2-135m-instruct"
MODELS = Path(manifest.__file__).parent.parent / "models.toml"
CHAT = "/v1/chat/completions"

SO_FAR = {"prompt_tokens": 3, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 1}}
"""What the model has made of a line while it is answered."""

Model = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


async def echo(body: dict[str, Any]) -> dict[str, Any]:
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 1}}
    return {"echo": body["messages"][0]["content"], "usage": usage}


class World:
    """A platform's state, and workers that come and go."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.clock = FakeClock()
        self.settings = Settings(**{"state_dir": folder, "models_file": MODELS} | settings)
        self.ports = Ports(self.settings)
        self.ports.clock = self.clock
        self.files = Files(self.ports.store, self.ports.blobs, self.clock)
        self.model: Model = echo
        self.asked: list[str] = []
        """What the model was asked, in order."""
        workshop = self._workshop()
        self.batches: Batches = workshop.batches
        self.jobs: Jobs = workshop.jobs

    async def complete(
        self,
        _route: str,
        body: dict[str, Any],
        _owner: Owner,
        generation: Generation,
    ) -> dict[str, Any]:
        generation.counted = lambda: SO_FAR
        generation.begin()
        self.asked.append(body["messages"][0]["content"])
        return await self.model(body)

    def batch(self, lines: list[Any] | bytes, tenant: str = "acme", **changes: Any) -> Batch:
        """A batch of a file with these lines, as it stands before any worker has seen it."""
        content = lines if isinstance(lines, bytes) else "\n".join(map(json.dumps, lines)).encode()
        file = self.files.create(FileTerms(tenant, "k", "batch", "in.jsonl"), iter([content]))
        key_id = changes.pop("key_id", "k")
        order = {"models": None, "endpoint": CHAT, "metadata": {}, "output_lifetime_s": 86400.0} | changes
        return self.batches.create(BatchOrder(tenant=tenant, key_id=key_id, weight=4, input_file_id=file.id, **order))

    def runner(self) -> BatchRunner:
        """A worker process, as far as one can be had in this one."""
        return BatchRunner(self._workshop(), self.ports, Share(0, 1))

    def work(self) -> None:
        """Lets a worker do all there is to do."""
        asyncio.run(asyncio.wait_for(self.runner().run(), 60))

    def now(self, batch: Batch) -> Batch:
        return self.batches.get(batch.tenant, batch.id)

    def steps(self, batch: Batch) -> list[Job]:
        return list(self.jobs.steps.of(batch.id))

    def claimed(self, step: Job) -> Job:
        run = self.jobs.steps.claim(step.id, "worker-a")
        assert run is not None
        return run

    def output(self, batch: Batch, kind: str = "output") -> list[dict[str, Any]]:
        """The lines of one of a batch's files."""
        file_id = getattr(self.now(batch), f"{kind}_file_id")
        if file_id is None:
            return []
        content = b"".join(self.files.read(self.files.get(batch.tenant, file_id)))
        return [json.loads(line) for line in content.splitlines()]

    def _workshop(self) -> Workshop:
        return Workshop(self.settings, self.ports, self, Slots(self.settings.worker_slots))


def line(number: int, **changes: Any) -> dict[str, Any]:
    body = {"model": MODEL, "messages": [{"role": "user", "content": f"say {number}"}]}
    return {"custom_id": f"r{number}", "method": "POST", "url": CHAT, "body": body} | changes


def lines(count: int) -> list[dict[str, Any]]:
    return [line(number) for number in range(count)]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)
