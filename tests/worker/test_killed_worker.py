"""A worker killed in the middle of a job, as a real process with real leases."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.ml_worker.runner import Runner
from jobs.ml_worker.slots import Slots
from jobs.ml_worker.tasks import Done, Report
from shared.adapters.file_blobs import FileBlobs
from shared.adapters.sqlite_queue import SqliteQueue
from shared.adapters.sqlite_store import SqliteStore
from shared.adapters.system_clock import SystemClock
from shared.core.jobs import WORKER_LOST, State, Succeeded
from shared.jobs.jobs import Jobs
from shared.jobs.orders import JobOrder
from shared.jobs.wakeups import WakeUp
from shared.settings import Settings
from tests.waiting import wait_until

CHECKOUT = Path(__file__).resolve().parents[2]
LEASE_S = 0.5


def jobs_in(folder: Path) -> Jobs:
    clock = SystemClock()
    store, queue = SqliteStore(folder / "omni.db", clock), SqliteQueue(folder / "queue.db", clock)
    return Jobs(store, queue, FileBlobs(folder / "blobs"), clock, Settings(lease_s=LEASE_S), random=lambda: 0.0)


async def die(_given: dict[str, object], _report: Report) -> Done:
    signal.raise_signal(signal.SIGKILL)
    raise AssertionError


def work(folder: Path, job_id: str) -> None:
    """What the child process does."""
    runner = Runner(jobs_in(folder), {"chat_completions": die}, Slots(1), lambda: True, LEASE_S, "the-child")
    asyncio.run(runner.run(WakeUp(job_id, 1)))


@pytest.mark.parametrize("max_attempts", [1, 3])
def test_the_job_of_a_killed_worker_is_taken_back_when_its_lease_ends(tmp_path: Path, max_attempts: int) -> None:
    jobs = jobs_in(tmp_path)
    order = JobOrder("acme", "k", "chat_completions", "m", {}, timeout_s=60.0, max_attempts=max_attempts)
    job = jobs.create(order)
    code = f"from pathlib import Path; from {__name__} import work; work(Path({str(tmp_path)!r}), {job.id!r})"
    killed = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    left = jobs.get("acme", job.id)
    assert (left.state, left.lease_owner, left.epoch) == (State.RUNNING, "the-child", 1)
    wait_until(lambda: jobs.reap().changed, description="the end of the lease")
    taken_back = jobs.get("acme", job.id)
    if max_attempts == 1:
        assert taken_back.state is State.FAILED
        return
    assert (taken_back.state, taken_back.error) == (State.QUEUED, WORKER_LOST)
    again = jobs.claim(job.id, taken_back.dispatch_seq, "the-next")
    assert again is not None
    assert jobs.finish(again, Succeeded({"answer": 42})) is not None
