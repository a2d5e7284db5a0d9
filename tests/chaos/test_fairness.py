"""Row 11: one tenant's backlog does not keep another waiting."""

from collections.abc import Callable

import msgspec
import pytest

from shared.core.jobs import Succeeded
from tests.chaos.conftest import MakeBench
from tests.jobs.conftest import Bench

SHARE = 4
NUMBER = 10


def served_until_all_of(bench: Bench, tenant: str) -> int:
    """How many jobs one slot runs, longest due first, until all the tenant's have ended."""
    served, left = 0, NUMBER
    while left:
        delivery = min(bench.due(), key=lambda each: each.task.not_before)
        bench.queue.done(delivery)
        given = msgspec.json.decode(delivery.task.body)
        run = bench.jobs.claim(given["job_id"], given["seq"], "w")
        assert run is not None
        bench.clock.advance(0.001)
        bench.jobs.finish(run, Succeeded({}))
        served += 1
        left -= run.tenant == tenant
    return served


def queue_up(bench: Bench, tenant: str, number: int) -> None:
    for _ in range(number):
        bench.create(tenant=tenant)
        bench.clock.advance(0.0001)


@pytest.mark.timeout(300)
def test_a_tenant_beside_another_with_a_long_backlog(make_bench: MakeBench, scaled: Callable[[int], int]) -> None:
    """Row 11: tenant A queues 10,000, B queues 10; B waits ≤ 2 × its time alone."""
    alone = make_bench(tenant_jobs=SHARE)
    queue_up(alone, "b", NUMBER)
    beside = make_bench(tenant_jobs=SHARE)
    queue_up(beside, "a", scaled(1500))
    queue_up(beside, "b", NUMBER)
    assert served_until_all_of(beside, "b") <= 2 * served_until_all_of(alone, "b") + SHARE
