"""Rows 3 and 7: time passes differently for everyone, and only the store's counts."""

import pytest

from shared.core.jobs import State, Succeeded
from shared.jobs.jobs import Jobs
from shared.ports.clock import Clock
from shared.settings import Settings
from tests.jobs.conftest import LEASE_S, Bench


class SkewedClock:
    def __init__(self, clock: Clock, by_s: float) -> None:
        self._clock = clock
        self._by_s = by_s

    def now(self) -> float:
        return self._clock.now() + self._by_s

    def monotonic(self) -> float:
        return self._clock.monotonic()


def skewed(bench: Bench, by_s: float) -> Jobs:
    settings = Settings(lease_s=LEASE_S, worker_url="http://worker")
    clock = SkewedClock(bench.clock, by_s)
    return Jobs(bench.store, bench.queue, bench.blobs, clock, settings, random=lambda: 0.0)


def test_a_worker_that_stood_still_past_its_lease(bench: Bench) -> None:
    """Row 3: worker stopped past its lease, then resumed; its commit is refused, the newer result stands."""
    old = bench.claimed(bench.create())
    bench.clock.advance(LEASE_S)
    assert bench.jobs.reap().changed == 1
    bench.clock.advance(5)
    new = bench.claimed(bench.now(old))
    assert bench.jobs.heartbeat(old) is None
    assert bench.jobs.finish(old, Succeeded({"by": "old"}, usage={"total_tokens": 9})) is None
    assert bench.jobs.finish(new, Succeeded({"by": "new"}, usage={"total_tokens": 1}))
    assert bench.jobs.finish(old, Succeeded({"by": "old"})) is None
    job = bench.now(old)
    assert (job.result, job.usage, job.epoch) == ({"by": "new"}, {"total_tokens": 1}, 2)


@pytest.mark.parametrize("by_s", [-600.0, 600.0])
def test_workers_whose_clocks_are_wrong(bench: Bench, by_s: float) -> None:
    """Row 7: worker clocks ± 10 min; no early steal, no stuck lease."""
    wrong, other = skewed(bench, by_s), skewed(bench, -by_s)
    job = bench.create()
    run = wrong.claim(job.id, 1, "wrong")
    assert run is not None
    bench.clock.advance(LEASE_S / 2)
    assert wrong.heartbeat(run) is not None
    bench.clock.advance(LEASE_S - 1)
    assert bench.jobs.reap().changed == 0
    assert other.reap().changed == 0
    assert other.claim(job.id, 1, "other") is None
    bench.clock.advance(1)
    assert bench.jobs.reap().changed == 1
    bench.clock.advance(5)
    again = other.claim(job.id, bench.now(job).dispatch_seq, "other")
    assert again is not None
    assert wrong.finish(run, Succeeded({})) is None
    assert other.finish(again, Succeeded({}))
    assert bench.now(job).state is State.SUCCEEDED
