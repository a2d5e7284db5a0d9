"""Jobs on the embedded adapters, with a clock that stands still."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from shared.adapters.file_blobs import FileBlobs
from shared.adapters.sqlite_queue import SqliteQueue
from shared.adapters.sqlite_store import SqliteStore
from shared.core.errors import Unavailable
from shared.core.job_documents import to_document
from shared.core.jobs import Job
from shared.core.queues import QUEUES
from shared.jobs.jobs import Jobs
from shared.jobs.orders import JobOrder
from shared.ports.clock import Clock
from shared.ports.queue import Delivery, Task
from shared.ports.store import Document, Page, Query, Store, Transaction
from shared.settings import Settings
from tests.fakes import FakeClock

T = TypeVar("T")
LEASE_S = 60.0


class CountingStore:
    """Counts what Firestore would bill: documents read and written. Refuses transactions while it is broken."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.reads = 0
        self.writes = 0
        self.broken = False
        self.refusals = 0

    def get(self, collection: str, key: str) -> Document | None:
        self.reads += 1
        return self._store.get(collection, key)

    def query(self, query: Query) -> Page:
        page = self._store.query(query)
        self.reads += max(1, len(page.documents))
        return page

    def count(self, query: Query) -> int:
        self.reads += 1
        return self._store.count(query)

    def transact(self, work: Callable[[Transaction], T]) -> T:
        if self.broken:
            self.refusals += 1
            raise Unavailable("The store is not available.")
        return self._store.transact(lambda transaction: work(CountingTransaction(transaction, self)))

    def ping(self) -> None:
        self._store.ping()


class CountingTransaction:
    def __init__(self, transaction: Transaction, store: CountingStore) -> None:
        self._transaction = transaction
        self._store = store
        self.now = transaction.now

    def get(self, collection: str, key: str) -> Document | None:
        self._store.reads += 1
        return self._transaction.get(collection, key)

    def create(self, collection: str, key: str, document: Document) -> None:
        self._store.writes += 1
        self._transaction.create(collection, key, document)

    def put(self, collection: str, key: str, document: Document) -> None:
        self._store.writes += 1
        self._transaction.put(collection, key, document)

    def delete(self, collection: str, key: str) -> None:
        self._store.writes += 1
        self._transaction.delete(collection, key)


class BreakableQueue(SqliteQueue):
    """Refuses tasks while it is broken."""

    broken = False

    def enqueue(self, task: Task) -> bool:
        if self.broken:
            raise Unavailable("The queue is not available.")
        return super().enqueue(task)


class Bench:
    """Everything that jobs are made of, and short ways to use it."""

    def __init__(
        self, folder: Path, tenant_jobs: int = 100_000, store: Callable[[Clock], Store] | None = None, **settings: Any
    ) -> None:
        self.clock = FakeClock()
        self.store = CountingStore(store(self.clock) if store else SqliteStore(folder / "omni.db", self.clock))
        self.queue = BreakableQueue(folder / "queue.db", self.clock)
        self.blobs = FileBlobs(folder / "blobs")
        numbers = itertools.count(1)
        self.jobs = Jobs(
            self.store,
            self.queue,
            self.blobs,
            self.clock,
            Settings(lease_s=LEASE_S, worker_url="http://worker", tenant_jobs=tenant_jobs, **settings),
            token=lambda size: f"{next(numbers):0{size * 2}x}",
            random=lambda: 0.0,
        )

    def create(self, tenant: str = "acme", given: dict[str, Any] | None = None, **order: Any) -> Job:
        plain = JobOrder(tenant, "k", "chat_completions", "m", given or {"messages": []}, timeout_s=1500.0)
        return self.jobs.create(replace(plain, **order))

    def claimed(self, job: Job) -> Job:
        run = self.jobs.claim(job.id, job.dispatch_seq, "worker-a")
        assert run is not None
        return run

    def now(self, job: Job) -> Job:
        """The job as it stands in the store."""
        return self.jobs.get(job.tenant, job.id)

    def due(self) -> list[Delivery]:
        return [delivery for queue in QUEUES for delivery in self.queue.due(queue, 1000)]

    def drain(self) -> int:
        """Takes every due task out of the queue, as if delivered; tells how many."""
        deliveries = self.due()
        for delivery in deliveries:
            self.queue.done(delivery)
        return len(deliveries)

    def plant(self, job: Job, **changes: Any) -> None:
        """Writes a document that no transition would."""
        document = to_document(job) | changes
        self.store.transact(lambda transaction: transaction.put("jobs", job.id, document))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)
