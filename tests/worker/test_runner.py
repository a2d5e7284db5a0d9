"""What becomes of a wake-up at the worker, with the embedded adapters and tasks that do as they are told."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.ml_worker.completions.usage import CallUsage, Usage
from jobs.ml_worker.runner import Runner
from jobs.ml_worker.slots import Slots
from jobs.ml_worker.tasks import Done, Report
from shared.core.errors import (
    InvalidRequest,
    NotFound,
    NotInstalled,
    OmniError,
    RateLimited,
    Unavailable,
    UpstreamFailed,
)
from shared.core.fairness import Owner
from shared.core.jobs import Job, JobError, Progress, State
from shared.jobs.wakeups import WakeUp
from tests.jobs.conftest import LEASE_S, Bench

Work = Callable[[dict[str, Any], Report], Awaitable[Done]]
SHORT_LEASE_S = 0.06


class Worker:
    def __init__(self, bench: Bench, work: Work, lease_s: float = LEASE_S, patience_s: float = 0.0) -> None:
        self.slots = Slots(2)
        self.ready = True
        self.runs = 0
        tasks = {"chat_completions": self._counted(work)}
        self.runner = Runner(bench.jobs, tasks, self.slots, lambda: self.ready, lease_s, "worker-a", patience_s)

    def _counted(self, work: Work) -> Any:
        async def task(given: dict[str, Any], report: Report) -> Done:
            self.runs += 1
            return await work(given, report)

        return task


async def answer(given: dict[str, Any], _report: Report) -> Done:
    return Done({"echo": given}, {"total_tokens": 3})


async def forever(_given: dict[str, Any], _report: Report) -> Done:
    await asyncio.Event().wait()
    raise AssertionError


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while True:
            if condition():
                return
            await asyncio.sleep(0.005)


def failing(error: Exception) -> Work:
    async def fail(_given: dict[str, Any], _report: Report) -> Done:
        raise error

    return fail


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def run(worker: Worker, job: Job, seq: int = 1) -> None:
    asyncio.run(worker.runner.run(WakeUp(job.id, seq, job.tenant)))


def test_a_job_is_run_and_its_result_kept(bench: Bench) -> None:
    worker, job = Worker(bench, answer), bench.create(given={"messages": ["hi"]})
    run(worker, job)
    done = bench.now(job)
    assert (done.state, done.result, done.usage) == (
        State.SUCCEEDED,
        {"echo": {"messages": ["hi"]}},
        {"total_tokens": 3},
    )
    assert worker.slots.busy == 0


def test_a_short_run_writes_no_heartbeat(bench: Bench) -> None:
    run(Worker(bench, answer), bench.create())
    assert (bench.store.writes, bench.store.reads) == (3, 4)


def test_the_same_wake_up_runs_the_job_once(bench: Bench) -> None:
    worker, job = Worker(bench, answer), bench.create()
    for _ in range(5):
        run(worker, job)
    assert worker.runs == 1


def test_a_large_input_reaches_the_task(bench: Bench) -> None:
    given = {"text": "x" * 100_000}
    job = bench.create(given=given)
    run(Worker(bench, answer), job)
    assert bench.jobs.result(bench.now(job)) == {"echo": given}


@pytest.mark.parametrize("error", [UpstreamFailed(), Unavailable(), RateLimited()])
def test_a_passing_failure_sends_the_job_back(bench: Bench, error: Exception) -> None:
    job = bench.create()
    run(Worker(bench, failing(error)), job)
    after = bench.now(job)
    assert (after.state, after.attempt) == (State.QUEUED, 1)
    assert after.next_run_at > bench.clock.now()


@pytest.mark.parametrize("error", [InvalidRequest("No."), NotFound("None.", code="model_not_found"), NotInstalled()])
def test_a_lasting_failure_ends_the_job(bench: Bench, error: OmniError) -> None:
    job = bench.create()
    run(Worker(bench, failing(error)), job)
    after = bench.now(job)
    assert after.error is not None
    assert (after.state, after.error.code, after.error.message) == (State.FAILED, error.code, error.message)


def test_a_task_that_breaks_ends_its_job_and_tells_no_secrets(bench: Bench) -> None:
    job = bench.create(max_attempts=1)
    worker = Worker(bench, failing(ZeroDivisionError("at line 12 of a private file")))
    run(worker, job)
    after = bench.now(job)
    assert after.error is not None
    assert after.state is State.FAILED
    assert "private" not in after.error.message
    assert worker.slots.busy == 0


def test_a_task_this_worker_does_not_know_fails_the_job(bench: Bench) -> None:
    job = bench.create(task="embeddings")
    run(Worker(bench, answer), job)
    after = bench.now(job)
    assert after.error is not None
    assert (after.state, after.error.code) == (State.FAILED, "unknown_task")


def test_a_run_that_takes_too_long_is_stopped_and_fails(bench: Bench) -> None:
    job = bench.create(timeout_s=0.05)
    run(Worker(bench, forever), job)
    after = bench.now(job)
    assert after.error is not None
    assert (after.state, after.error.code, after.error.retryable) == (State.FAILED, "timeout", False)


def test_a_run_that_takes_too_long_tells_what_was_generated(bench: Bench) -> None:
    job, usage = bench.create(timeout_s=0.05), Usage()

    async def work(given: dict[str, Any], report: Report) -> Done:
        report.generation.counted = usage.body
        usage.note(0, CallUsage(prompt=3, completion=5))
        return await forever(given, report)

    run(Worker(bench, work), job)
    assert bench.now(job).usage == usage.body()


def test_a_job_that_is_refused_tells_how_a_request_would_have_been(bench: Bench) -> None:
    job = bench.create()
    run(Worker(bench, failing(InvalidRequest("Too long.", code="context_length_exceeded", param="messages"))), job)
    assert bench.now(job).error == JobError("context_length_exceeded", "Too long.", False, 400, "messages")


def test_a_timeout_inside_the_task_is_not_the_jobs_own(bench: Bench) -> None:
    job = bench.create()
    run(Worker(bench, failing(TimeoutError())), job)
    assert bench.now(job).state is State.QUEUED


def test_a_busy_worker_lets_the_wake_up_come_again_without_using_up_an_attempt(bench: Bench) -> None:
    worker, job = Worker(bench, answer), bench.create()
    bench.drain()
    assert all(worker.slots.try_acquire(Owner(tenant)) for tenant in ("a", "b"))
    run(worker, job)
    assert (worker.runs, bench.now(job).attempt, bench.store.writes) == (0, 0, 1)
    bench.clock.advance(5)
    assert bench.drain() == 1


def test_a_model_that_is_loading_costs_no_attempt(bench: Bench) -> None:
    worker, job = Worker(bench, answer), bench.create()
    worker.ready = False
    run(worker, job)
    assert (worker.runs, bench.now(job).attempt, worker.slots.busy) == (0, 0, 0)
    worker.ready = True
    run(worker, job)
    assert bench.now(job).state is State.SUCCEEDED


def test_a_wake_up_waits_a_little_for_a_slot(bench: Bench) -> None:
    worker, job = Worker(bench, answer, patience_s=5.0), bench.create()

    async def scene() -> None:
        held = [worker.slots.try_acquire(Owner(tenant)) for tenant in ("a", "b")]
        waiting = asyncio.create_task(worker.runner.run(WakeUp(job.id, 1, job.tenant)))
        await asyncio.sleep(0)
        assert held[0]
        worker.slots.release(held[0])
        await waiting

    asyncio.run(scene())
    assert bench.now(job).state is State.SUCCEEDED


def test_a_worker_that_leaves_gives_the_job_back(bench: Bench) -> None:
    worker, job = Worker(bench, forever), bench.create()

    async def scene() -> None:
        running = asyncio.create_task(worker.runner.run(WakeUp(job.id, 1, job.tenant)))
        await until(lambda: worker.runs == 1)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(scene())
    after = bench.now(job)
    assert (after.state, after.attempt, after.outbox, worker.slots.busy) == (State.QUEUED, 0, True, 0)


def test_a_long_run_keeps_its_lease_and_tells_its_progress(bench: Bench) -> None:
    job = bench.create()

    async def work(_given: dict[str, Any], report: Report) -> Done:
        report(0.5, "half")
        while bench.now(job).progress != Progress(0.5, "half"):
            bench.clock.advance(LEASE_S / 10)
            await asyncio.sleep(SHORT_LEASE_S / 3)
        return Done({})

    run(Worker(bench, work, SHORT_LEASE_S), job)
    assert bench.now(job).state is State.SUCCEEDED


def test_a_cancelled_job_is_stopped_within_a_heartbeat(bench: Bench) -> None:
    job, stopped = bench.create(), []

    async def work(given: dict[str, Any], report: Report) -> Done:
        bench.jobs.cancel("acme", job.id)
        try:
            return await forever(given, report)
        finally:
            stopped.append(True)

    async def scene() -> None:
        await Worker(bench, work, SHORT_LEASE_S).runner.run(WakeUp(job.id, 1, job.tenant))
        assert stopped

    asyncio.run(scene())
    assert bench.now(job).state is State.CANCELLED


def test_a_job_cancelled_while_it_runs_tells_what_was_generated(bench: Bench) -> None:
    job, usage = bench.create(), Usage()

    async def work(given: dict[str, Any], report: Report) -> Done:
        report.generation.counted = usage.body
        usage.note(0, CallUsage(prompt=3, completion=2))
        bench.jobs.cancel("acme", job.id)
        try:
            return await forever(given, report)
        finally:
            usage.note(0, CallUsage(prompt=3, completion=5))

    run(Worker(bench, work, SHORT_LEASE_S), job)
    assert bench.now(job).usage == usage.body()
    assert usage.completion_tokens == 5


def test_a_run_that_lost_its_job_is_stopped_and_writes_nothing(bench: Bench) -> None:
    job, stopped = bench.create(), []

    async def work(given: dict[str, Any], report: Report) -> Done:
        bench.clock.advance(LEASE_S)
        bench.jobs.reap()
        bench.clock.advance(5)
        assert bench.jobs.claim(job.id, 2, "worker-b")
        try:
            return await forever(given, report)
        finally:
            stopped.append(True)

    async def scene() -> None:
        await Worker(bench, work, SHORT_LEASE_S).runner.run(WakeUp(job.id, 1, job.tenant))
        assert stopped

    asyncio.run(scene())
    after = bench.now(job)
    assert (after.state, after.lease_owner, after.epoch) == (State.RUNNING, "worker-b", 2)


def test_a_store_that_is_away_for_a_while_does_not_stop_the_work(bench: Bench) -> None:
    job = bench.create()

    async def work(_given: dict[str, Any], _report: Report) -> Done:
        bench.store.broken = True
        await until(lambda: bench.store.refusals >= 2)
        bench.store.broken = False
        return Done({})

    run(Worker(bench, work, SHORT_LEASE_S), job)
    assert bench.now(job).state is State.SUCCEEDED


def test_a_store_that_is_away_at_the_claim_lets_the_wake_up_come_again(bench: Bench) -> None:
    worker, job = Worker(bench, answer), bench.create()
    bench.store.broken = True
    with pytest.raises(Unavailable):
        run(worker, job)
    assert worker.slots.busy == 0


def test_a_tenants_excess_wake_ups_are_put_off_at_once_and_hold_no_delivery(bench: Bench) -> None:
    """Each that waits holds one of the queue's deliveries, by which another tenant's job would come."""
    worker = Worker(bench, forever, patience_s=60.0)
    jobs = [bench.create() for _ in range(6)]
    bench.drain()

    async def scene() -> None:
        assert worker.slots.try_acquire(Owner("other"))
        assert worker.slots.try_acquire(Owner("third"))
        runs = [asyncio.create_task(worker.runner.run(WakeUp(job.id, 1, job.tenant))) for job in jobs]
        done, waiting = await asyncio.wait(runs, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        await until(lambda: sum(run.done() for run in runs) == 4)
        assert done
        for run in waiting:
            run.cancel()
        await asyncio.gather(*runs, return_exceptions=True)

    asyncio.run(scene())
    bench.clock.advance(5)
    assert bench.drain() == 4
