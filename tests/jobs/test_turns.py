"""Tenants take turns: what one of them queues does not keep the others waiting."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from shared.core.errors import Conflict, NotFound
from shared.core.jobs import LIFETIME_S, Failed, Job, JobError, State, Substate, Succeeded
from shared.jobs.orders import RetryOrder
from shared.sweeps.report import MOST_TIME_S, Report
from tests.jobs.conftest import LEASE_S, Bench

SHARE = 4
RETRY = RetryOrder("k", weight=4)
LASTING = Failed(JobError("invalid_request", "No.", retryable=False))
EXHAUSTED = Failed(JobError("upstream_failed", "Away.", retryable=True))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, tenant_jobs=SHARE)


def created(bench: Bench, number: int, **order: Any) -> list[Job]:
    made = []
    for _ in range(number):
        made.append(bench.create(**order))
        bench.clock.advance(0.001)
    return made


def waiting(bench: Bench, jobs: list[Job]) -> list[Job]:
    return [job for job in jobs if bench.now(job).substate is Substate.WAITING_CAPACITY]


def run_next(bench: Bench) -> Job | None:
    """Delivers the task longest due and lets its job succeed."""
    deliveries = sorted(bench.due(), key=lambda delivery: delivery.task.not_before)
    if not deliveries:
        return None
    bench.queue.done(deliveries[0])
    given = eval(deliveries[0].task.body)  # noqa: S307 (JSON of a text and a number)
    run = bench.jobs.claim(given["job_id"], given["seq"], "w")
    assert run is not None
    bench.clock.advance(0.001)
    return bench.jobs.finish(run, Succeeded({}))


def test_what_is_more_than_a_tenants_share_waits_without_a_task(bench: Bench) -> None:
    made = created(bench, 10)
    assert waiting(bench, made) == made[SHARE:]
    assert len(bench.due()) == SHARE
    assert bench.create(tenant="other").substate is Substate.PENDING_DISPATCH


def test_a_lower_tier_has_a_smaller_share(bench: Bench) -> None:
    assert len(waiting(bench, created(bench, 10, weight=2))) == 8


def test_each_job_that_ends_lets_in_the_next_until_all_have_run(bench: Bench) -> None:
    made = created(bench, 20)
    for _ in made:
        assert run_next(bench)
        assert len(bench.due()) <= SHARE
    assert {bench.now(job).state for job in made} == {State.SUCCEEDED}


def test_a_tenant_that_comes_later_does_not_wait_for_the_whole_backlog_of_another(bench: Bench) -> None:
    created(bench, 200, tenant="a")
    created(bench, 10, tenant="b")
    order = []
    while done := run_next(bench):
        order.append(done.tenant)
    assert len(order) == 210
    last_of_b = len(order) - order[::-1].index("b")
    assert last_of_b <= 2 * 10 + SHARE


def test_cancelling_and_failing_make_room_too(bench: Bench) -> None:
    made = created(bench, 6)
    bench.jobs.cancel("acme", made[0].id)
    assert waiting(bench, made) == made[5:]
    bench.jobs.finish(bench.claimed(made[1]), LASTING)
    assert waiting(bench, made) == []


def test_a_job_that_waits_for_its_next_attempt_keeps_its_place(bench: Bench) -> None:
    made = created(bench, 5)
    bench.jobs.finish(bench.claimed(made[0]), EXHAUSTED)
    assert waiting(bench, made) == made[4:]


def test_a_waiting_job_can_be_cancelled_and_expires(bench: Bench) -> None:
    made = created(bench, 6)
    assert bench.jobs.cancel("acme", made[5].id).state is State.CANCELLED
    assert len(bench.due()) == SHARE
    bench.clock.advance(LIFETIME_S)
    bench.jobs.reap()
    assert bench.now(made[4]).state is State.EXPIRED


def test_the_higher_priority_is_let_in_first_and_the_lower_comes_up_in_time(bench: Bench) -> None:
    first = created(bench, SHARE)
    low, normal, high = (bench.create(priority=priority) for priority in ("low", "normal", "high"))
    bench.jobs.finish(bench.claimed(first[0]), Succeeded({}))
    assert waiting(bench, [low, normal, high]) == [low, normal]
    bench.clock.advance(601)
    late = bench.create(priority="high")
    bench.jobs.finish(bench.claimed(first[1]), Succeeded({}))
    bench.jobs.finish(bench.claimed(first[2]), Succeeded({}))
    assert waiting(bench, [low, normal, late]) == [late]


def test_low_priority_fills_only_half_of_a_share(bench: Bench) -> None:
    assert len(waiting(bench, created(bench, 5, priority="low"))) == 3
    assert waiting(bench, created(bench, 2)) == []


def test_the_sweeper_lets_in_what_a_crash_left_waiting(bench: Bench) -> None:
    """A worker that dies between the commit and the letting in."""
    made = created(bench, 6)
    for job in made[:3]:
        bench.plant(job, state="succeeded", substate=None, lane="", outbox=False)
    assert waiting(bench, made) == made[4:]
    assert bench.jobs.sweep() == Report(examined=2, changed=2)
    assert waiting(bench, made) == []
    assert bench.jobs.sweep() == Report()


def test_the_sweeper_lets_tenants_in_by_turns_and_leaves_full_ones_alone(bench: Bench) -> None:
    for tenant in ("a", "b", "c"):
        made = created(bench, 10, tenant=tenant)
        for job in made[: 0 if tenant == "b" else SHARE]:
            bench.plant(job, state="succeeded", substate=None, lane="", outbox=False)
    bench.drain()
    bench.store.reads = 0
    assert bench.jobs.sweep() == Report(examined=2 * SHARE, changed=2 * SHARE)
    assert bench.drain() == 2 * SHARE
    bench.store.reads = 0
    bench.jobs.sweep()
    assert bench.store.reads <= 16 + 3 * 2 + 1 + 2


def test_the_sweeper_tells_how_many_jobs_are_in_flight_and_wait(bench: Bench) -> None:
    def depth() -> tuple[float | None, ...]:
        return tuple(REGISTRY.get_sample_value("omni_queue_depth", {"lane": lane}) for lane in ("in_flight", "waiting"))

    first, *_ = created(bench, 10)
    created(bench, 2, tenant="other")
    bench.jobs.sweep()
    assert depth() == (SHARE + 2, 6)
    bench.plant(first, state="succeeded", substate=None, lane="", outbox=False)
    bench.jobs.sweep()
    assert depth() == (SHARE + 2, 5)


def test_a_round_out_of_time_is_gone_on_with_by_the_next(bench: Bench) -> None:
    last = []
    for number in range(6):
        made = created(bench, 5, tenant=f"t{number}")
        last.append(made[-1])
        for job in made[:SHARE]:
            bench.plant(job, state="succeeded", substate=None, lane="", outbox=False)
    bench.drain()
    real = bench.store.transact

    def slow(work: Any) -> Any:
        bench.clock.advance(MOST_TIME_S / 2)
        return real(work)

    bench.store.transact = slow  # type: ignore[method-assign]
    assert not bench.jobs.sweep().complete
    assert 0 < len(waiting(bench, last)) < len(last)
    for _ in range(10):
        bench.jobs.sweep()
    assert waiting(bench, last) == []


def test_unreadable_waiting_jobs_do_not_keep_the_others_waiting(bench: Bench) -> None:
    made = created(bench, SHARE + 80)
    for job in made[SHARE:-1]:
        bench.plant(bench.now(job), attempt="three")
    bench.jobs.finish(bench.claimed(made[0]), Succeeded({}))
    assert not waiting(bench, made[-1:])


def test_jobs_that_end_at_once_let_in_one_each(bench: Bench) -> None:
    made = created(bench, 60)
    running = [bench.claimed(job) for job in made[:SHARE]]
    with ThreadPoolExecutor(SHARE) as threads:
        list(threads.map(lambda run: bench.jobs.finish(run, Succeeded({})), running))
    assert len(waiting(bench, made)) == 60 - 2 * SHARE


def test_creates_at_once_do_not_take_more_than_the_share(bench: Bench) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: bench.create(), range(40)))
    in_flight = len(made) - len(waiting(bench, made))
    assert SHARE / 2 <= in_flight <= SHARE


def test_a_job_costs_at_most_6_writes_and_5_reads_though_it_had_to_wait(bench: Bench) -> None:
    number = 100
    created(bench, number)
    while run_next(bench):
        pass
    assert bench.store.writes / number <= 4
    assert bench.store.reads / number <= 5


def test_a_dead_letter_is_listed_and_replayed(bench: Bench) -> None:
    job = bench.create(max_attempts=1)
    bench.jobs.finish(bench.claimed(job), EXHAUSTED)
    bench.drain()
    again = bench.jobs.retry("acme", job.id, RETRY)
    assert (again.state, again.attempt, again.substate) == (State.QUEUED, 0, Substate.PENDING_DISPATCH)
    assert bench.drain() == 1
    run = bench.jobs.claim(job.id, again.dispatch_seq, "w")
    assert run is not None
    assert (run.epoch, run.attempt) == (2, 1)
    assert bench.jobs.finish(run, Succeeded({}))


def test_a_replayed_job_waits_its_turn(bench: Bench) -> None:
    job = bench.create()
    bench.jobs.finish(bench.claimed(job), LASTING)
    created(bench, SHARE)
    assert bench.jobs.retry("acme", job.id, RETRY).substate is Substate.WAITING_CAPACITY


def test_only_what_failed_is_replayed_and_only_for_its_owner(bench: Bench) -> None:
    job = bench.create()
    with pytest.raises(Conflict):
        bench.jobs.retry("acme", job.id, RETRY)
    with pytest.raises(NotFound):
        bench.jobs.retry("other", job.id, RETRY)
    bench.jobs.finish(bench.claimed(job), LASTING)
    bench.jobs.retry("acme", job.id, RETRY)
    with pytest.raises(Conflict):
        bench.jobs.retry("acme", job.id, RETRY)


def test_a_run_from_before_the_replay_writes_nothing(bench: Bench) -> None:
    job = bench.create(max_attempts=1)
    old = bench.claimed(job)
    bench.clock.advance(LEASE_S)
    bench.jobs.reap()
    bench.jobs.retry("acme", job.id, RETRY)
    assert bench.jobs.finish(old, Succeeded({"from": "old"})) is None
    assert bench.claimed(bench.now(job)).epoch == 2
