"""The work of a revoked key ends: what waits when a worker would begin it, what runs with its next heartbeat."""

from dataclasses import replace
from pathlib import Path

import pytest

from shared.core.jobs import KEY_REVOKED, Job, Released, State, Stopped, Succeeded
from shared.jobs.revoked_keys import FRESH_S
from shared.settings import RevokedWork
from tests.jobs.conftest import LEASE_S, Bench
from tests.managed_keys import KeyOffice


class Made:
    """A key and what it has made."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.office = KeyOffice(bench.store)
        self.key_id, _ = self.office.new(tenant="acme")

    def job(self) -> Job:
        return self.bench.create(key_id=self.key_id)

    def revoke(self) -> None:
        self.office.revoke(self.key_id)
        self.bench.clock.advance(FRESH_S + 1)


@pytest.fixture
def made(bench: Bench) -> Made:
    return Made(bench)


def ended(bench: Bench, job: Job) -> tuple[State, bool]:
    """Its state, and whether it says that its key was revoked."""
    found = bench.now(job)
    return found.state, found.error == KEY_REVOKED


def test_a_queued_job_ends_when_a_worker_would_begin_it(bench: Bench, made: Made) -> None:
    job = made.job()
    made.revoke()
    assert bench.jobs.claim(job.id, 1, "worker-a") is None
    assert ended(bench, job) == (State.CANCELLED, True)


def test_a_job_that_was_claimed_is_asked_to_stop_with_its_next_heartbeat(bench: Bench, made: Made) -> None:
    run = bench.claimed(made.job())
    beaten = bench.jobs.heartbeat(run)
    assert beaten
    assert not beaten.cancel_requested
    made.revoke()
    beaten = bench.jobs.heartbeat(run)
    assert beaten
    assert beaten.cancel_requested
    bench.jobs.finish(run, Stopped())
    assert ended(bench, run) == (State.CANCELLED, True)


def test_a_job_that_is_done_before_it_can_be_stopped_keeps_its_result(bench: Bench, made: Made) -> None:
    run = bench.claimed(made.job())
    made.revoke()
    bench.jobs.heartbeat(run)
    bench.jobs.finish(run, Succeeded({"answer": 42}))
    assert ended(bench, run) == (State.SUCCEEDED, False)


def test_a_job_whose_worker_goes_or_dies_is_not_begun_again(bench: Bench, made: Made) -> None:
    gone, dead = bench.claimed(made.job()), bench.claimed(made.job())
    made.revoke()
    bench.jobs.heartbeat(gone)
    bench.jobs.heartbeat(dead)
    bench.jobs.finish(gone, Released())
    bench.clock.advance(LEASE_S + 1)
    bench.jobs.reap()
    assert [ended(bench, run) for run in (gone, dead)] == [(State.CANCELLED, True)] * 2


def test_revoking_ends_at_once_what_waits_and_asks_what_runs_to_stop(bench: Bench, made: Made) -> None:
    waiting, running, other = made.job(), bench.claimed(made.job()), bench.create(key_id="4fGx0TqLw2Zb")
    made.revoke()
    bench.jobs.end_with_key("acme", made.key_id)
    assert ended(bench, waiting) == (State.CANCELLED, True)
    assert bench.now(running).cancel_requested
    assert bench.now(other).state is State.QUEUED


def test_a_key_that_is_not_revoked_loses_nothing(bench: Bench, made: Made) -> None:
    job = made.job()
    assert bench.jobs.end_with_key("acme", made.key_id) == set()
    made.office.change(made.key_id, expires_at=bench.clock.now() + 1)
    bench.clock.advance(FRESH_S + 1)
    assert bench.jobs.claim(job.id, 1, "worker-a")


def test_a_callers_own_cancellation_stays_the_reason(bench: Bench, made: Made) -> None:
    run = bench.claimed(made.job())
    bench.jobs.cancel("acme", run.id)
    made.revoke()
    bench.jobs.heartbeat(run)
    bench.jobs.finish(run, Stopped())
    assert ended(bench, run) == (State.CANCELLED, False)


def test_a_cancelled_job_does_not_name_what_an_earlier_attempt_failed_of(bench: Bench, made: Made) -> None:
    run = bench.claimed(made.job())
    bench.plant(replace(run, state=State.RUNNING), error={"code": "x", "message": "y", "retryable": True})
    bench.jobs.finish(run, Stopped())
    assert bench.now(run).error is None


def test_keys_of_the_environment_are_in_no_store_and_are_not_looked_for(bench: Bench) -> None:
    job = bench.create(key_id="env-1588f411bc23")
    bench.clock.advance(FRESH_S + 1)
    before = bench.store.reads
    assert bench.jobs.claim(job.id, 1, "worker-a")
    assert bench.store.reads - before == 1


def test_work_goes_on_where_that_is_wanted(tmp_path: Path) -> None:
    bench = Bench(tmp_path, revoked_work=RevokedWork.FINISH)
    made = Made(bench)
    job = made.job()
    made.revoke()
    assert bench.jobs.end_with_key("acme", made.key_id) == set()
    assert bench.jobs.claim(job.id, 1, "worker-a")
