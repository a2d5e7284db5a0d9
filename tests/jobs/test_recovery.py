"""No job is lost: what the sweeper and the reaper bring back, and what cannot stop them."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.core.jobs import LIFETIME_S, SEND_WITHIN_S, SHARDS, State, Substate, Succeeded
from shared.sweeps.report import MOST_TIME_S, Report
from tests.jobs.conftest import LEASE_S, Bench


def test_the_sweeper_sends_what_a_crash_kept_from_the_queue(bench: Bench) -> None:
    bench.queue.broken = True
    job = bench.create()
    bench.queue.broken = False
    bench.clock.advance(SEND_WITHIN_S)
    assert bench.jobs.sweep() == Report(examined=1, changed=1)
    assert bench.drain() == 1
    assert bench.claimed(job).attempt == 1


def test_the_sweeper_gives_a_wake_up_time_to_be_sent(bench: Bench) -> None:
    bench.create()
    bench.clock.advance(SEND_WITHIN_S - 1)
    assert bench.jobs.sweep() == Report()


def test_a_wake_up_that_was_sent_after_all_is_not_delivered_twice(bench: Bench) -> None:
    """Task creation timed out though it worked: the name tells."""
    bench.create()
    bench.clock.advance(SEND_WITHIN_S)
    bench.jobs.sweep()
    assert bench.drain() == 1
    assert bench.due() == []


def test_a_long_backlog_is_swept_once(bench: Bench) -> None:
    job = bench.create()
    bench.clock.advance(SEND_WITHIN_S)
    assert bench.jobs.sweep().changed == 1
    assert bench.now(job).substate is Substate.DISPATCHED
    assert bench.jobs.sweep() == Report()


def test_a_retry_whose_wake_up_was_lost_is_sent_when_it_is_due(bench: Bench) -> None:
    run = bench.claimed(bench.create())
    bench.drain()
    bench.clock.advance(LEASE_S)
    bench.queue.broken = True
    bench.jobs.reap()
    bench.queue.broken = False
    assert bench.jobs.sweep() == Report()
    bench.clock.advance(5 + SEND_WITHIN_S)
    assert bench.jobs.sweep().changed == 1
    assert bench.drain() == 1
    assert bench.claimed(bench.now(run)).attempt == 2


def test_a_sweep_says_when_the_queue_is_down_and_the_next_one_sends(bench: Bench) -> None:
    bench.create()
    bench.clock.advance(SEND_WITHIN_S)
    bench.queue.broken = True
    bench.drain()
    assert bench.jobs.sweep() == Report(examined=1, failed=1)
    bench.queue.broken = False
    assert bench.jobs.sweep().changed == 1


def test_a_dead_workers_job_is_run_again(bench: Bench) -> None:
    run = bench.claimed(bench.create())
    bench.drain()
    bench.clock.advance(LEASE_S - 1)
    assert bench.jobs.reap() == Report()
    bench.clock.advance(1)
    assert bench.jobs.reap() == Report(examined=1, changed=1)
    bench.clock.advance(5)
    assert bench.drain() == 1
    again = bench.claimed(bench.now(run))
    assert (again.attempt, again.epoch) == (2, 2)
    assert bench.jobs.finish(again, Succeeded({}))


def test_a_second_reaper_requeues_nothing_twice(bench: Bench) -> None:
    bench.claimed(bench.create())
    bench.drain()
    bench.clock.advance(LEASE_S)
    assert [bench.jobs.reap().changed for _ in range(2)] == [1, 0]
    bench.clock.advance(5)
    assert bench.drain() == 1


def test_rounds_that_overlap_requeue_each_job_once(bench: Bench) -> None:
    """Cloud Scheduler may call again while the last round still runs."""
    runs = [bench.claimed(bench.create()) for _ in range(30)]
    bench.drain()
    bench.clock.advance(LEASE_S)
    with ThreadPoolExecutor(3) as threads:
        reports = list(threads.map(lambda _: bench.jobs.reap(), range(3)))
    assert sum(report.changed for report in reports) == len(runs)
    assert {bench.now(run).dispatch_seq for run in runs} == {2}


def test_rounds_that_were_missed_are_made_up_for_by_the_next(bench: Bench) -> None:
    runs = [bench.claimed(bench.create()) for _ in range(3)]
    bench.clock.advance(10 * LEASE_S)
    assert bench.jobs.reap().changed == len(runs)


def test_a_job_that_kills_its_worker_each_time_ends_and_its_neighbour_does_not_suffer(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    killer, neighbour = bench.create(), bench.create()
    for _ in range(3):
        bench.claimed(bench.now(killer))
        bench.clock.advance(LEASE_S)
        bench.jobs.reap()
        bench.clock.advance(600)
    dead = bench.now(killer)
    assert dead.error is not None
    assert (dead.state, dead.error.code) == (State.FAILED, "attempts_exhausted")
    assert [record.message for record in caplog.records].count("job is a dead letter") == 1
    assert bench.claimed(neighbour).attempt == 1


def test_a_job_that_no_worker_took_expires(bench: Bench) -> None:
    job = bench.create()
    bench.clock.advance(LIFETIME_S - 1)
    assert bench.jobs.reap().changed == 0
    bench.clock.advance(1)
    assert bench.jobs.reap().changed == 1
    assert bench.now(job).state is State.EXPIRED


@pytest.mark.parametrize("damage", [{"attempt": "three"}, {"schema_version": 99}, {"metadata": None}, {"id": None}])
def test_pages_of_unreadable_jobs_do_not_keep_the_others_waiting(bench: Bench, damage: dict[str, object]) -> None:
    """All in the shard of the good one, and all looked at before it."""
    good = bench.claimed(bench.create())
    for n in range(250):
        bad = bench.claimed(bench.create())
        bench.plant(bad, shard=good.shard, lease_expires_at=bench.clock.now() - 1000 + n, **damage)
    bench.clock.advance(LEASE_S)
    assert bench.jobs.reap() == Report(examined=251, changed=1, failed=250)
    assert bench.now(good).state is State.QUEUED


def test_unreadable_jobs_do_not_stop_the_sweeper(bench: Bench) -> None:
    good, bad = bench.create(), bench.create()
    bench.plant(bad, shard=good.shard, next_run_at=good.next_run_at - 5, attempt="three")
    bench.clock.advance(SEND_WITHIN_S)
    assert bench.jobs.sweep() == Report(examined=2, changed=1, failed=1)


def test_every_shard_is_gone_through(bench: Bench) -> None:
    runs = [bench.claimed(bench.create()) for _ in range(100)]
    assert {run.shard for run in runs} == set(range(SHARDS))
    bench.clock.advance(LEASE_S)
    assert bench.jobs.reap() == Report(examined=100, changed=100)


def test_a_round_ends_in_time_and_says_so(bench: Bench) -> None:
    for _ in range(3):
        bench.claimed(bench.create())
    bench.clock.advance(LEASE_S)
    real = bench.store.transact

    def slow(work: object) -> object:
        bench.clock.advance(MOST_TIME_S / 2)
        return real(work)  # type: ignore[arg-type]

    bench.store.transact = slow  # type: ignore[method-assign, assignment]
    report = bench.jobs.reap()
    assert (report.examined, report.complete) == (2, False)
