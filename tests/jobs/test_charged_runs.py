"""A charge is one run's: a job that runs again reserves anew, and what was settled once is settled."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from shared.core import managed_keys
from shared.core.budgets import Budget, Ledger, day_of, from_document, settle
from shared.core.errors import BadDocument, BudgetExceeded, Conflict
from shared.core.job_documents import to_document
from shared.core.jobs import Failed, Job, JobError, State, Succeeded
from shared.core.keys import Tier
from shared.core.managed_keys import ManagedKey
from shared.core.pricing import NANO, Price
from shared.jobs.charges import Terms
from shared.jobs.jobs import Jobs
from shared.jobs.orders import RetryOrder
from shared.money.ledgers import Ledgers
from shared.money.policy import Applies, BudgetPolicy
from shared.money.usage import ROWS, UsageRecords
from shared.settings import Settings
from shared.sweeps.sweep import Sweeps
from tests.jobs.conftest import LEASE_S, Bench
from tests.jobs.test_charges import CENT, DONE, TERMS, cents, rows

LASTING = Failed(JobError("invalid_request", "No.", retryable=False))
RETRY = RetryOrder("k", 4, "retried", TERMS)


def failed(bench: Bench) -> Job:
    job = bench.create(terms=TERMS)
    assert bench.jobs.finish(bench.claimed(job), LASTING)
    return job


def ledger(bench: Bench, subject: str) -> Ledger:
    return Ledgers(bench.store).get(subject, day_of(bench.clock.now())[:7])


def test_a_retried_job_reserves_anew_and_ends(bench: Bench) -> None:
    job = failed(bench)
    again = bench.jobs.retry("acme", job.id, RETRY)
    assert cents(bench) == cents(bench, "tenant:acme") == (0, 40)
    assert bench.jobs.finish(bench.claimed(again), DONE)
    assert cents(bench) == cents(bench, "tenant:acme") == (5, 0)
    assert rows(bench) == [{"requests": 2, "failed": 1, "cost": 5 * CENT}]


@pytest.mark.parametrize("times", [1, 3])
def test_a_job_may_fail_and_be_retried_again_and_again(bench: Bench, times: int) -> None:
    job = failed(bench)
    for _ in range(times):
        again = bench.jobs.retry("acme", job.id, RETRY)
        assert bench.jobs.finish(bench.claimed(again), LASTING)
        assert cents(bench) == (0, 0)
    assert rows(bench)[0]["failed"] == times + 1


def test_a_job_that_expired_unclaimed_is_retried_and_charged(bench: Bench) -> None:
    job = bench.create(terms=TERMS)
    bench.clock.advance(25 * 3600)
    assert bench.jobs.reap().changed == 1
    assert bench.now(job).state is State.EXPIRED
    assert bench.jobs.finish(bench.claimed(bench.jobs.retry("acme", job.id, RETRY)), DONE)
    assert cents(bench) == (5, 0)


def test_a_retried_job_can_be_cancelled_and_taken_from_a_dead_worker(bench: Bench) -> None:
    job = failed(bench)
    bench.claimed(bench.jobs.retry("acme", job.id, RETRY))
    bench.clock.advance(LEASE_S)
    assert bench.jobs.reap().failed == 0
    bench.jobs.cancel("acme", job.id)
    assert bench.now(job).state is State.CANCELLED
    assert cents(bench) == (0, 0)


def test_a_retry_for_which_the_budget_has_no_room_is_refused_and_the_job_stays_failed(bench: Bench) -> None:
    job = failed(bench)
    for _ in range(3):
        bench.create(terms=TERMS)
    with pytest.raises(BudgetExceeded):
        bench.jobs.retry("acme", job.id, RETRY)
    assert bench.now(job).state is State.FAILED
    assert cents(bench) == (0, 100)


def test_a_retry_is_of_whom_it_is_asked_by_and_at_todays_budgets(bench: Bench) -> None:
    job = failed(bench)
    free = RetryOrder("other", 1, "t", replace(TERMS, budgets=(Applies("key:other", Budget(daily=NANO)),)))
    again = bench.jobs.retry("acme", job.id, free)
    assert (again.key_id, again.weight) == ("other", 1)
    assert bench.jobs.finish(bench.claimed(again), DONE)
    assert cents(bench) == (0, 0)
    assert cents(bench, "key:other") == (5, 0)


def test_two_retries_at_once_reserve_once(bench: Bench) -> None:
    job = failed(bench)

    def retry(_: int) -> bool:
        try:
            bench.jobs.retry("acme", job.id, RETRY)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(retry, range(16))) == 1
    assert cents(bench) == (0, 40)


def test_a_run_that_was_settled_is_not_settled_again(bench: Bench) -> None:
    """A backup of the jobs comes back, and with it one that has ended since."""
    run = bench.claimed(bench.create(terms=TERMS))
    assert bench.jobs.finish(run, DONE)
    bench.store.transact(lambda transaction: transaction.put("jobs", run.id, to_document(run)))
    after = bench.jobs.finish(run, DONE)
    assert after is not None
    assert after.usage is not None
    assert (after.state, after.usage["cost_usd"]) == (State.SUCCEEDED, 0.05)
    assert cents(bench) == (5, 0)
    assert rows(bench)[0]["requests"] == 1


def test_what_is_reserved_is_never_less_than_nothing() -> None:
    settled = settle(Ledger(reserved={"2026-11-24": 3}), "h", 5, 2, "2026-11-24")
    assert (settled.reserved["2026-11-24"], settled.spent["2026-11-24"]) == (0, 2)
    document = {"spent": {}, "reserved": {"2026-11-24": -7}, "leases": {}, "short": ""}
    assert from_document(document).reserved == {"2026-11-24": 0}


def test_a_charge_of_less_than_nothing_is_not_settled(bench: Bench) -> None:
    run = bench.claimed(bench.create(terms=TERMS))
    assert run.charge is not None
    bench.plant(run, charge=run.charge | {"reserved": {"key:k": -100 * CENT}})
    with pytest.raises(BadDocument):
        bench.jobs.finish(run, DONE)
    assert cents(bench) == (0, 40)


def test_a_budget_that_came_after_the_reservation_is_charged(tmp_path: Path) -> None:
    """The key's own, and its tenant's; though the job reserved of neither."""
    bench = Bench(tmp_path)
    tenants = {"acme": Applies("tenant:acme", Budget(monthly=NANO))}
    bench.jobs = Jobs(
        bench.store,
        bench.queue,
        bench.blobs,
        bench.clock,
        Settings(lease_s=LEASE_S, worker_url="http://worker", tenant_jobs=100),
        budgets=BudgetPolicy(tenants=tenants),
    )
    job = bench.create(terms=replace(TERMS, budgets=()))
    key = ManagedKey("k", "", "acme", Tier.BASIC, frozenset(), (), 0.0, "root", budget=Budget(daily=NANO))
    bench.store.transact(lambda transaction: transaction.put("keys", "k", managed_keys.to_document(key)))
    assert bench.jobs.finish(bench.claimed(job), DONE)
    assert cents(bench) == cents(bench, "tenant:acme") == (5, 0)


def test_a_budget_that_went_after_the_reservation_is_charged(bench: Bench) -> None:
    job = bench.create(terms=TERMS)
    assert bench.jobs.finish(bench.claimed(job), DONE)
    assert cents(bench) == cents(bench, "tenant:acme") == (5, 0)


def test_a_job_that_could_cost_nothing_is_charged_what_it_costs(bench: Bench) -> None:
    """What was reserved is a guess; whose budgets count is not."""
    job = bench.create(terms=replace(TERMS, most=0))
    assert bench.jobs.finish(bench.claimed(job), DONE)
    assert cents(bench) == cents(bench, "tenant:acme") == (5, 0)


def test_seconds_are_those_of_the_run_that_succeeded(bench: Bench) -> None:
    """Not those of the runs before it, nor of the wait between them."""
    second = Terms(Price(second=CENT * 1000), 1500 * CENT, ())
    job = bench.create(terms=second)
    bench.claimed(job)
    bench.clock.advance(LEASE_S)
    bench.jobs.reap()
    bench.clock.advance(600)
    run = bench.claimed(bench.now(job))
    bench.clock.advance(3)
    done = bench.jobs.finish(run, Succeeded({}, usage={"completion_tokens": 1}))
    assert done is not None
    assert done.usage is not None
    assert done.usage["cost_usd"] == 0.03


def test_usage_counts_each_run(bench: Bench) -> None:
    job = failed(bench)
    bench.jobs.finish(bench.claimed(bench.jobs.retry("acme", job.id, RETRY)), DONE)
    UsageRecords(bench.store, 30).roll_up(Sweeps(bench.store, bench.clock, 5).begin("usage_rollup", ROWS))
    assert rows(bench) == [{"requests": 2, "failed": 1, "cost": 5 * CENT}]
