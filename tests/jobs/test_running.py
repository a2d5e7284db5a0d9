"""What workers may rely on: claim, heartbeat, finish. However often a task comes, the job runs once."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.core.errors import Conflict
from shared.core.jobs import Failed, JobError, Progress, Released, State, Succeeded
from shared.core.queues import GPU_HI, GPU_LO
from shared.jobs.wakeups import WakeUp
from tests.jobs.conftest import LEASE_S, Bench

PASSING = Failed(JobError("upstream_failed", "", retryable=True))


def test_a_job_runs_to_its_result(bench: Bench) -> None:
    run = bench.claimed(bench.create())
    bench.jobs.finish(run, Succeeded({"answer": 42}, usage={"total_tokens": 3}))
    job = bench.now(run)
    assert (job.state, job.result, job.usage) == (State.SUCCEEDED, {"answer": 42}, {"total_tokens": 3})


def test_a_job_costs_at_most_6_writes_and_5_reads(bench: Bench) -> None:
    """Its whole normal life, also with the schedules running; Firestore bills each."""
    job = bench.create()
    before = bench.store.reads
    bench.jobs.sweep()
    bench.jobs.reap()
    empty_rounds = bench.store.reads - before
    run = bench.claimed(job)
    bench.jobs.finish(run, Succeeded({}))
    assert (bench.store.writes, bench.store.reads - empty_rounds) == (3, 4)


def test_the_claim_clears_the_outbox(bench: Bench) -> None:
    assert not bench.claimed(bench.create()).outbox


def test_a_task_for_no_job_is_done(bench: Bench) -> None:
    assert bench.jobs.claim("job_none", 1, "w") is None


@pytest.mark.parametrize("deliveries", [2, 10])
def test_a_task_delivered_many_times_at_once_starts_one_run(bench: Bench, deliveries: int) -> None:
    for _ in range(10):
        job = bench.create()
        with ThreadPoolExecutor(deliveries) as threads:
            runs = list(threads.map(lambda n, job=job: bench.jobs.claim(job.id, 1, f"worker-{n}"), range(deliveries)))
        assert [run.epoch for run in runs if run] == [1]


def test_a_task_that_comes_again_after_the_end_changes_nothing(bench: Bench) -> None:
    run = bench.claimed(bench.create())
    bench.jobs.finish(run, Succeeded({"first": True}))
    before = bench.now(run)
    assert bench.jobs.claim(run.id, 1, "w") is None
    assert bench.jobs.finish(run, Succeeded({"first": False})) is None
    assert bench.now(run) == before


def test_a_heartbeat_keeps_the_job_and_tells_its_progress(bench: Bench) -> None:
    run = bench.claimed(bench.create())
    for step in range(1, 10):
        bench.clock.advance(LEASE_S / 3)
        assert bench.jobs.heartbeat(run, Progress(step / 10, f"step {step}"))
        assert bench.jobs.reap().changed == 0
    assert bench.now(run).progress == Progress(0.9, "step 9")


def test_a_stopped_worker_that_comes_back_writes_nothing(bench: Bench) -> None:
    """Its lease died, another run has the job: its result must not replace the newer one."""
    old = bench.claimed(bench.create())
    bench.clock.advance(LEASE_S)
    bench.jobs.reap()
    bench.clock.advance(5)
    new = bench.claimed(bench.now(old))
    assert new.epoch == old.epoch + 1
    assert bench.jobs.heartbeat(old) is None
    assert bench.jobs.finish(old, Succeeded({"from": "old"})) is None
    assert bench.jobs.finish(new, Succeeded({"from": "new"}))
    assert bench.now(new).result == {"from": "new"}
    assert bench.jobs.finish(old, Succeeded({"from": "old"})) is None
    assert bench.now(new).result == {"from": "new"}


def test_a_large_result_of_an_old_run_does_not_replace_the_new_ones(bench: Bench) -> None:
    old = bench.claimed(bench.create())
    bench.clock.advance(LEASE_S)
    bench.jobs.reap()
    bench.clock.advance(5)
    new = bench.claimed(bench.now(old))
    bench.jobs.finish(new, Succeeded({"from": "new" * 50_000}))
    bench.jobs.finish(old, Succeeded({"from": "old" * 50_000}))
    assert bench.jobs.result(bench.now(new)) == {"from": "new" * 50_000}


def test_a_passing_failure_is_tried_again_after_its_backoff(bench: Bench) -> None:
    job = bench.create()
    assert bench.drain() == 1
    bench.jobs.finish(bench.claimed(job), PASSING)
    assert bench.due() == []
    bench.clock.advance(5)
    assert bench.drain() == 1
    assert bench.claimed(bench.now(job)).attempt == 2


def test_a_job_ends_as_a_dead_letter_after_its_last_attempt(bench: Bench) -> None:
    job = bench.create(max_attempts=2)
    for _ in range(2):
        bench.jobs.finish(bench.claimed(bench.now(job)), PASSING)
        bench.clock.advance(600)
    dead = bench.now(job)
    assert dead.error is not None
    assert (dead.state, dead.error.code, dead.attempt) == (State.FAILED, "attempts_exhausted", 2)


def test_a_job_given_back_comes_again_at_once(bench: Bench) -> None:
    job = bench.create()
    bench.drain()
    bench.jobs.finish(bench.claimed(job), Released())
    assert bench.drain() == 1
    assert bench.claimed(bench.now(job)).attempt == 1


def test_a_deferred_wake_up_comes_again_later_and_uses_no_attempt(bench: Bench) -> None:
    job = bench.create()
    bench.drain()
    for _ in range(3):
        bench.jobs.defer(WakeUp(job.id, 1))
    assert bench.due() == []
    bench.clock.advance(5)
    assert bench.drain() == 3
    assert bench.now(job).attempt == 0
    assert bench.claimed(job).attempt == 1


@pytest.mark.parametrize(("priority", "queue"), [("low", GPU_LO), ("normal", GPU_LO), ("high", GPU_HI)])
def test_a_priority_is_a_queue(bench: Bench, priority: str, queue: str) -> None:
    job = bench.create(priority=priority)
    assert [delivery.task.queue for delivery in bench.due()] == [queue]
    bench.drain()
    bench.jobs.defer(WakeUp(job.id, 1), queue)
    bench.clock.advance(5)
    assert [delivery.task.queue for delivery in bench.due()] == [queue]


def test_a_lost_answer_of_a_commit_does_no_harm(bench: Bench) -> None:
    """The worker does not know that its finish was written, and the task comes again."""
    run = bench.claimed(bench.create())
    bench.jobs.finish(run, Succeeded({"answer": 1}))
    assert bench.jobs.claim(run.id, 1, "worker-b") is None
    assert bench.now(run).state is State.SUCCEEDED


def test_cancel_racing_finish_gives_exactly_one_end(bench: Bench) -> None:
    for _ in range(50):
        run = bench.claimed(bench.create())
        with ThreadPoolExecutor(2) as threads:
            finishing = threads.submit(bench.jobs.finish, run, Succeeded({}))
            cancelling = threads.submit(bench.jobs.cancel, "acme", run.id)
        assert finishing.result() is not None
        assert bench.now(run).state is State.SUCCEEDED
        if error := cancelling.exception():
            assert isinstance(error, Conflict)
