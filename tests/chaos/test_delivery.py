"""Rows 1, 4, 5, 6 and 13: whatever happens to tasks and answers on their way, a job is done once."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from shared.core.errors import Conflict, Unavailable
from shared.core.jobs import SEND_WITHIN_S, Job, State, Succeeded
from shared.idempotency import Claim, IdempotencyKeys, KeyedRequest
from shared.jobs.orders import JobFilter
from shared.jobs.wakeups import WakeUp
from shared.ports.queue import Task
from shared.ports.store import Query
from shared.webhooks.records import DELIVERIES
from tests.jobs.conftest import Bench

THREADS = 8
HOOK = {"url": "https://example.org/hook", "events": None}
Scaled = Callable[[int], int]


class Crash(BaseException):
    """The process ended here."""


def webhooks(bench: Bench, job: Job) -> int:
    return bench.store.count(Query(DELIVERIES, (("tenant", "==", job.tenant), ("job_id", "==", job.id))))


def delivered(bench: Bench, job: Job, worker: str = "w") -> Job | None:
    """What a worker does with one delivery of the job's task; the job if it was this one that ended it."""
    run = bench.jobs.claim(job.id, job.dispatch_seq, worker)
    return bench.jobs.finish(run, Succeeded({"by": worker}, usage={"total_tokens": 1})) if run else None


def in_threads(work: Callable[[Any], Any], items: list[Any]) -> list[Any]:
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(work, items))


@pytest.mark.timeout(300)
def test_tasks_delivered_many_times_at_once(bench: Bench, chance: random.Random, scaled: Scaled) -> None:
    """Row 1: every task delivered 2 to 10 times at once; one final write, one charge, one webhook id a job."""
    jobs = in_threads(lambda _: bench.create(webhook=HOOK), list(range(scaled(1000))))
    deliveries = [job for job in jobs for _ in range(chance.randint(2, 10))]
    chance.shuffle(deliveries)
    ended = [job for job in in_threads(partial(delivered, bench), deliveries) if job]
    assert sorted(job.id for job in ended) == sorted(job.id for job in jobs)
    now = in_threads(bench.now, jobs)
    assert {job.state for job in now} == {State.SUCCEEDED}
    assert sum((job.usage or {})["total_tokens"] for job in now) == len(jobs)
    assert set(in_threads(partial(webhooks, bench), jobs)) == {1}


def test_a_commit_whose_answer_is_lost(bench: Bench) -> None:
    """Row 4: commit succeeds, its answer is lost; the retry sees the final state."""
    job = bench.create(webhook=HOOK)
    run = bench.claimed(job)
    bench.store._store.answers_to_lose = 1  # type: ignore[attr-defined]
    with pytest.raises(Unavailable):
        bench.jobs.finish(run, Succeeded({"answer": 42}))
    assert delivered(bench, job, "again") is None
    assert bench.now(job).result == {"answer": 42}
    assert webhooks(bench, job) == 1


def test_a_claim_whose_answer_is_lost(bench: Bench) -> None:
    """Row 4, of the claim: nobody runs the job until its lease ends, and then somebody does."""
    job = bench.create()
    bench.store._store.answers_to_lose = 1  # type: ignore[attr-defined]
    with pytest.raises(Unavailable):
        bench.jobs.claim(job.id, 1, "w")
    assert delivered(bench, job) is None
    bench.clock.advance(61)
    assert bench.jobs.reap().changed == 1
    bench.clock.advance(5)
    assert delivered(bench, bench.now(job), "later")


def test_a_task_whose_creation_times_out_though_it_worked(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 5: task creation times out though it worked, its name is tombstoned; the job runs exactly once."""
    really = bench.queue.enqueue

    def times_out(task: Task) -> bool:
        really(task)
        raise Unavailable

    monkeypatch.setattr(bench.queue, "enqueue", times_out)
    job = bench.create()
    monkeypatch.undo()
    assert delivered(bench, job)
    assert bench.drain() == 1
    bench.clock.advance(SEND_WITHIN_S)
    bench.jobs.sweep()
    assert bench.due() == []
    again = bench.jobs._wake_ups._task("gpu-lo", WakeUp(job.id, 1), "", 0.0)
    assert not bench.jobs._wake_ups._queue.enqueue(again)
    assert bench.now(job).attempt == 1


def test_a_crash_between_the_commit_and_the_task(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 6: crash between the commit and the task; sent by the sweeper."""

    def crash(_task: Task) -> bool:
        raise Crash

    monkeypatch.setattr(bench.queue, "enqueue", crash)
    with pytest.raises(Crash):
        bench.create()
    monkeypatch.undo()
    assert bench.due() == []
    bench.clock.advance(SEND_WITHIN_S)
    assert bench.jobs.sweep().changed == 1
    assert bench.drain() == 1
    (job,) = bench.jobs.list("acme", JobFilter(), 10).items
    assert delivered(bench, job)


def test_one_idempotency_key_many_times_at_once(bench: Bench) -> None:
    """Row 13: same Idempotency-Key 50 times at once; one job."""
    keys = IdempotencyKeys(bench.store, bench.blobs)
    request = KeyedRequest("acme", "order-1", "fingerprint")

    def submit(_: int) -> str:
        try:
            claim = keys.claim(request)
        except Conflict:
            return ""
        return bench.create().id if isinstance(claim, Claim) else ""

    made = [job for job in in_threads(submit, list(range(50))) if job]
    assert len(made) == 1
    assert [job.id for job in bench.jobs.list("acme", JobFilter(), 10).items] == made
