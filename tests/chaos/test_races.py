"""Rows 8 and 10: what happens at the same time happens once."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.core.errors import Conflict
from shared.core.jobs import Job, State, Stopped, Succeeded
from tests.jobs.conftest import LEASE_S, Bench

Scaled = Callable[[int], int]


@pytest.mark.timeout(300)
def test_cancel_races_finish(bench: Bench, chance: random.Random, scaled: Scaled) -> None:
    """Row 8: cancel racing finish, 1,000 interleavings; exactly one final state."""
    finals: list[Job] = []

    def run(job: Job) -> None:
        claimed = bench.jobs.claim(job.id, 1, "w")
        ended = bench.jobs.finish(claimed, Succeeded({}) if chance.random() < 0.5 else Stopped()) if claimed else None
        if ended:
            finals.append(ended)

    def cancel(job: Job) -> None:
        try:
            after = bench.jobs.cancel("acme", job.id)
        except Conflict:
            return
        if after.state.is_final and not after.epoch:
            finals.append(after)  # it had not begun

    with ThreadPoolExecutor(8) as threads:
        for _ in range(scaled(1000) // 20):
            jobs = [bench.create() for _ in range(20)]
            steps = [(step, job) for job in jobs for step in (run, cancel)]
            chance.shuffle(steps)
            list(threads.map(lambda each: each[0](each[1]), steps))
    assert len(finals) == len({job.id for job in finals}) == scaled(1000)
    assert all(bench.now(job).state is job.state for job in finals)
    assert {job.state for job in finals} == {State.SUCCEEDED, State.CANCELLED}


@pytest.mark.timeout(300)
def test_a_page_of_unreapable_jobs_and_two_reapers(bench: Bench) -> None:
    """Row 10: a reaper page full of unreapable jobs, two reapers; later ones still reaped, one requeue a job."""
    good = [bench.claimed(bench.create()) for _ in range(20)]
    for n in range(105):
        bad = bench.create()
        bench.plant(
            bad, state="running", shard=good[0].shard, lease_expires_at=bench.clock.now() - 1000 + n, attempt="three"
        )
    bench.clock.advance(LEASE_S)
    with ThreadPoolExecutor(2) as threads:
        reports = list(threads.map(lambda _: bench.jobs.reap(), range(2)))
    assert sum(report.changed for report in reports) == len(good)
    for job in good:
        again = bench.now(job)
        assert (again.state, again.dispatch_seq, again.epoch) == (State.QUEUED, job.dispatch_seq + 1, job.epoch)
