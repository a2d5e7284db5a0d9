"""Webhooks on the embedded adapters, with a clock that stands still and real sockets."""

import itertools
import json
from pathlib import Path
from typing import Any

from shared.adapters.file_blobs import FileBlobs
from shared.adapters.httpx_courier import HttpxCourier
from shared.adapters.sqlite_queue import SqliteQueue
from shared.adapters.sqlite_store import SqliteStore
from shared.core.jobs import Job, Succeeded
from shared.core.webhooks import Delivery
from shared.jobs.jobs import Jobs
from shared.jobs.orders import JobOrder
from shared.ports.courier import Courier
from shared.ports.store import Store
from shared.settings import Settings
from shared.webhooks.wakeups import WebhookWakeUp
from shared.webhooks.webhooks import Webhooks
from tests.fakes import FakeClock, FakeSecrets
from tests.jobs.conftest import CountingStore


class Post:
    """Everything that webhooks are made of, and short ways to use it."""

    def __init__(
        self, folder: Path, store: Store | None = None, courier: Courier | None = None, clock: FakeClock | None = None
    ) -> None:
        self.clock = clock or FakeClock()
        self.store = CountingStore(store or SqliteStore(folder / "omni.db", self.clock))
        self.queue = SqliteQueue(folder / "queue.db", self.clock)
        self.source = FakeSecrets(OMNI_WEBHOOK_KEY="platform-key")
        settings = Settings(environment="local", routes_url="http://routes", worker_url="http://worker")
        numbers = itertools.count(1)
        self.jobs = Jobs(
            self.store, self.queue, FileBlobs(folder / "blobs"), self.clock, settings,
            token=lambda size: f"{next(numbers):0{size * 2}x}", random=lambda: 0.0,
        )  # fmt: skip
        self.webhooks = Webhooks(
            self.store,
            self.queue,
            courier or HttpxCourier(allow_private=True),
            self.source,
            self.clock,
            settings,
            random=lambda: 0.0,
        )

    def secret(self, expire_others_after_s: float | None = None, tenant: str = "acme") -> str:
        return self.webhooks.secrets.add(tenant, expire_others_after_s)[1]

    def finished(self, url: str, tenant: str = "acme", **result: Any) -> Job:
        """A job with a webhook, run to its end."""
        order = JobOrder(tenant, "k", "t", "m", {}, 60.0, webhook={"url": url, "events": None})
        job = self.jobs.create(order)
        run = self.jobs.claim(job.id, 1, "worker-a")
        assert run is not None
        ended = self.jobs.finish(run, Succeeded(result))
        assert ended is not None
        return ended

    def work_off(self) -> int:
        """Delivers what is due, as the queue would; tells how many wake-ups there were."""
        due = self.queue.due("webhook", 1000)
        for each in due:
            wake_up = json.loads(each.task.body)
            self.webhooks.deliver(WebhookWakeUp(**wake_up))
            self.queue.done(each)
        return len(due)

    def of(self, job: Job) -> Delivery:
        """The job's one delivery as it stands."""
        (delivery,) = self.webhooks.list("acme", job.id, None, 10, "").items
        return delivery
