"""All at once, in short: poisoned documents, retry storms, stalls and killed workers. `omni chaos` is the long form."""

import pytest

from local.chaos.harness import STALL_S, Chaos
from local.chaos.recovery import Recoveries, spread
from shared.core.jobs import State
from tests.chaos.conftest import MakeBench
from tests.chaos.test_kills import chaos as chaos  # noqa: PLC0414 (a fixture)
from tests.chaos.test_kills import say
from tests.fakes import FakeClock
from tests.jobs.conftest import LEASE_S


def failing(chaos: Chaos, number: int) -> None:
    for _ in range(number):
        job_id = chaos.create(fails=True)
        chaos.made.append(job_id)
        chaos._to_retry.add(job_id)


@pytest.mark.timeout(180)
def test_poison_storms_and_stalls_lose_and_double_nothing(chaos: Chaos) -> None:
    """Every poisoned document is set aside, every schedule goes on, and each job ends and is charged once."""
    chaos.poison()
    failing(chaos, 4)
    for stalls, timeout_s in (("task", STALL_S), ("worker", 60.0)):
        chaos.made.append(chaos.create(timeout_s=timeout_s, stalls=stalls))
    totals = chaos.run_until(lambda: len(chaos.made) >= 12, 60.0)
    say(chaos, totals)
    assert totals.states == {"succeeded": len(chaos.made) - 1, "failed": 1}
    assert totals.is_sound, totals
    assert totals.set_aside == chaos.fleet.injected.poisoned
    assert chaos.storm.calls >= 8 * 4


def test_recovery_times_are_from_the_kill_to_the_next_run_and_to_the_end(make_bench: MakeBench) -> None:
    bench = make_bench()
    clock = FakeClock()
    recoveries = Recoveries(bench.store, "acme", clock.monotonic)
    job = bench.create()
    run = bench.jobs.claim(job.id, 1, "77-worker")
    other = bench.jobs.claim(bench.create().id, 1, "78-worker")
    assert run is not None
    assert other is not None
    recoveries.worker_died(77)
    clock.advance(3)
    bench.clock.advance(LEASE_S)
    bench.jobs.reap()
    bench.clock.advance(600)
    again = bench.jobs.claim(job.id, bench.now(job).dispatch_seq, "79-worker")
    assert again is not None
    recoveries.look()
    clock.advance(2)
    bench.jobs.cancel("acme", job.id)
    bench.clock.advance(LEASE_S)
    bench.jobs.reap()
    recoveries.look()
    assert bench.now(job).state is State.CANCELLED
    assert (recoveries.times.until_run, recoveries.times.until_final) == ([3.0], [5.0])
    assert spread([1.0, 2.0, 9.0]) == "min 1.0 s, median 2.0 s, max 9.0 s"
    assert spread([]) == "none"
