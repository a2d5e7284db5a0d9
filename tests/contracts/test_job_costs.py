"""What a job costs: the documents that Firestore bills, counted where the calls leave the process."""

import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shared.adapters.file_blobs import FileBlobs
from shared.adapters.firestore_store import FirestoreStore
from shared.adapters.sqlite_queue import SqliteQueue
from shared.adapters.sqlite_store import SqliteStore
from shared.adapters.system_clock import SystemClock
from shared.core.jobs import State, Succeeded
from shared.core.queues import GPU_LO
from shared.firestore import Firestore, Reading
from shared.jobs.jobs import Jobs
from shared.jobs.orders import JobOrder
from shared.ports.queue import Delivery
from shared.ports.store import Store
from shared.settings import Settings
from tests.firestore_emulator import FirestoreEmulator, new_project
from tests.jobs.conftest import CountingStore

NUMBER = 20
HOOK = {"url": "https://example.org/hook", "events": None}


class BilledFirestore(Firestore):
    """Counts as Firestore bills: a document read, one that is not there, an empty query; a document written."""

    def __init__(self, address: str) -> None:
        super().__init__(new_project(), "(default)", address)
        self.reads = 0
        self.writes = 0

    def read(self, *paths: str, at: datetime | None = None, begin: bool = False) -> Reading:
        self.reads += len(paths)
        return super().read(*paths, at=at, begin=begin)

    def commit(self, writes: Sequence[Any], transaction: bytes = b"") -> None:
        self.writes += len(writes)
        super().commit(writes, transaction)

    def query(self, structured: dict[str, Any]) -> Any:
        answers = super().query(structured)
        self.reads += max(1, sum("document" in answer for answer in answers))
        return answers

    def count(self, structured: dict[str, Any], most: int) -> int:
        self.reads += 1
        return super().count(structured, most)


@pytest.mark.parametrize("state", ["sqlite", "firestore"])
def test_a_job_costs_at_most_5_reads_and_6_writes(state: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """From its creation to its end, with its webhook's row, as its tenant has several under way."""
    clock = SystemClock()
    if state == "firestore":
        emulator: FirestoreEmulator = request.getfixturevalue("firestore")
        bill: Any = BilledFirestore(emulator.address)
        store: Store = FirestoreStore(bill)
    else:
        store = bill = CountingStore(SqliteStore(tmp_path / "omni.db", clock))
    queue, blobs = SqliteQueue(tmp_path / "queue.db", clock), FileBlobs(tmp_path / "blobs")
    jobs = Jobs(store, queue, blobs, clock, Settings(worker_url="http://worker", tenant_jobs=NUMBER // 2))
    made = [jobs.create(order()) for _ in range(NUMBER)]
    while due := queue.due(GPU_LO, 1):
        run(jobs, due[0])
        queue.done(due[0])
    reads, writes = bill.reads / NUMBER, bill.writes / NUMBER
    assert {jobs.get("acme", job.id).state for job in made} == {State.SUCCEEDED}
    sys.stdout.write(f"{state}: {reads:.2f} reads and {writes:.2f} writes a job\n")
    assert reads <= 5
    assert writes <= 6


def order() -> JobOrder:
    return JobOrder("acme", "k", "chat_completions", "m", {"messages": []}, 60.0, webhook=HOOK)


def run(jobs: Jobs, delivery: Delivery) -> None:
    wake_up = msgspec.json.decode(delivery.task.body)
    claimed = jobs.claim(wake_up["job_id"], wake_up["seq"], "w")
    assert claimed is not None
    assert jobs.finish(claimed, Succeeded({}, usage={"total_tokens": 1}))
