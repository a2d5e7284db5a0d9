"""A job is charged once, in the transaction that ends it, whatever happened on the way."""

from typing import Any

import pytest

from shared.core.budgets import Budget, day_of
from shared.core.errors import BudgetExceeded
from shared.core.jobs import Failed, Job, JobError, Released, State, Stopped, Succeeded
from shared.core.pricing import NANO, Price
from shared.jobs.charges import Terms
from shared.jobs.orders import RetryOrder
from shared.money.ledgers import Ledgers
from shared.money.policy import Applies
from shared.money.usage import UsageRecords
from tests.jobs.conftest import LEASE_S, Bench

KEY, TENANT = Applies("key:k", Budget(daily=NANO)), Applies("tenant:acme", Budget(monthly=2 * NANO))
CENT = NANO // 100
TERMS = Terms(Price(output=CENT * 1000), 40 * CENT, (KEY, TENANT))
"""A cent a token, and 40 of them at most."""
DONE = Succeeded({"ok": True}, usage={"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8})
PASSING = Failed(JobError("busy", "Busy.", retryable=True))


def cents(bench: Bench, subject: str = "key:k") -> tuple[int, int]:
    """Spent, and reserved."""
    ledger = Ledgers(bench.store).get(subject, day_of(bench.clock.now())[:7])
    return ledger.month_spent // CENT, sum(ledger.reserved.values()) // CENT


def rows(bench: Bench) -> list[dict[str, Any]]:
    sums = UsageRecords(bench.store, 30).sums("2000-01-01", "2100-01-01", None)
    return [{"requests": each.requests, "failed": each.failed, "cost": each.cost} for each in sums.values()]


def finished(bench: Bench, job: Job, outcome: Any = DONE) -> Job:
    after = bench.jobs.finish(bench.claimed(job), outcome)
    assert after is not None
    return after


def test_a_job_reserves_what_it_can_cost_and_pays_what_it_did(bench: Bench) -> None:
    job = bench.create(terms=TERMS)
    assert cents(bench) == cents(bench, "tenant:acme") == (0, 40)
    done = finished(bench, job)
    assert cents(bench) == cents(bench, "tenant:acme") == (5, 0)
    assert done.usage == {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8, "cost_usd": 0.05}
    assert rows(bench) == [{"requests": 1, "failed": 0, "cost": 5 * CENT}]


def test_a_job_that_finishes_twice_is_charged_once(bench: Bench) -> None:
    run = bench.claimed(bench.create(terms=TERMS))
    assert bench.jobs.finish(run, DONE)
    assert bench.jobs.finish(run, DONE) is None
    assert cents(bench) == (5, 0)
    assert rows(bench)[0]["requests"] == 1


def test_a_run_that_lost_its_job_is_not_charged(bench: Bench) -> None:
    job = bench.create(terms=TERMS)
    lost = bench.claimed(job)
    bench.clock.advance(LEASE_S + 1)
    bench.jobs.reap()
    bench.clock.advance(10)
    assert bench.jobs.finish(lost, DONE) is None
    assert cents(bench) == (0, 40)
    assert finished(bench, bench.now(job)).usage
    assert cents(bench) == (5, 0)


@pytest.mark.parametrize("outcome", [Failed(JobError("no", "No.", retryable=False)), PASSING, Released()])
def test_an_attempt_that_failed_costs_nothing(bench: Bench, outcome: Any) -> None:
    job = bench.create(terms=TERMS, max_attempts=1)
    after = finished(bench, job, outcome)
    assert cents(bench) == ((0, 0) if after.state.is_final else (0, 40))


def test_a_job_that_runs_out_of_its_time_pays_what_was_generated(bench: Bench) -> None:
    error = JobError("timeout", "The job ran longer than 5 s.", retryable=False)
    job = bench.create(terms=TERMS, max_attempts=1)
    late = finished(bench, job, Failed(error, DONE.usage))
    assert (late.state, late.usage) == (State.FAILED, {**(DONE.usage or {}), "cost_usd": 0.05})
    assert cents(bench) == cents(bench, "tenant:acme") == (5, 0)
    assert rows(bench) == [{"requests": 1, "failed": 1, "cost": 5 * CENT}]


def test_a_job_run_again_after_its_time_was_over_is_charged_for_each_run(bench: Bench) -> None:
    error = JobError("timeout", "The job ran longer than 5 s.", retryable=False)
    late = finished(bench, bench.create(terms=TERMS), Failed(error, DONE.usage))
    again = bench.jobs.retry("acme", late.id, RetryOrder("k", 1, terms=TERMS))
    assert (again.usage, cents(bench)) == (None, (5, 40))
    finished(bench, again)
    assert cents(bench) == (10, 0)


def test_the_row_of_a_job_tells_the_tokens_that_the_model_had_cached(bench: Bench) -> None:
    usage = {**(DONE.usage or {}), "prompt_tokens_details": {"cached_tokens": 2}}
    finished(bench, bench.create(terms=TERMS), Succeeded({}, usage=usage))
    (sums,) = UsageRecords(bench.store, 30).sums("2000-01-01", "2100-01-01", None).values()
    assert (sums.tokens_in, sums.tokens_cached, sums.tokens_out) == (3, 2, 5)


def test_cancelling_a_queued_job_frees_its_reservation(bench: Bench) -> None:
    job = bench.create(terms=TERMS)
    bench.jobs.cancel("acme", job.id)
    assert cents(bench) == (0, 0)
    assert rows(bench) == [{"requests": 1, "failed": 1, "cost": 0}]


@pytest.mark.parametrize("usage", [None, DONE.usage])
def test_a_job_cancelled_while_it_runs_pays_what_was_generated(bench: Bench, usage: Any) -> None:
    job = bench.create(terms=TERMS)
    stopped = finished(bench, job, Stopped(usage))
    assert (stopped.state, stopped.usage) == (State.CANCELLED, usage and {**usage, "cost_usd": 0.05})
    spent = 5 if usage else 0
    assert cents(bench) == cents(bench, "tenant:acme") == (spent, 0)
    assert rows(bench) == [{"requests": 1, "failed": 1, "cost": spent * CENT}]


def test_a_job_that_expires_frees_its_reservation(bench: Bench) -> None:
    bench.create(terms=TERMS)
    day = bench.clock.now()
    bench.clock.advance(25 * 3600)
    bench.jobs.reap()
    assert not Ledgers(bench.store).get("key:k", day_of(day)[:7]).reserved.get(day_of(day))


def test_jobs_beyond_the_budget_are_refused_and_not_made(bench: Bench) -> None:
    jobs = [bench.create(terms=TERMS) for _ in range(3)]
    with pytest.raises(BudgetExceeded, match="The daily budget of \\$1 of this key is reserved"):
        bench.create(terms=TERMS)
    assert cents(bench) == (0, 100)
    for job in jobs:
        finished(bench, job)
    bench.create(terms=TERMS)
    assert cents(bench) == (15, 40)


def test_all_that_jobs_spend_stays_within_the_budget_and_one_result(bench: Bench) -> None:
    dear = Succeeded({"ok": True}, usage={"prompt_tokens": 0, "completion_tokens": 40})
    for _ in range(3):
        finished(bench, bench.create(terms=TERMS), dear)
    with pytest.raises(BudgetExceeded, match="is spent"):
        bench.create(terms=TERMS)
    assert cents(bench) == (120, 0)


def test_without_a_price_the_cost_is_not_known(bench: Bench) -> None:
    done = finished(bench, bench.create(terms=Terms(None, 0)))
    assert done.usage is not None
    assert "cost_usd" not in done.usage


def test_each_budget_costs_a_job_two_reads_and_two_writes_and_its_usage_a_write(bench: Bench) -> None:
    """And one that costs something a read of its key, whose budget may be another one by then."""

    def counted(**order: Any) -> tuple[int, int]:
        before = bench.store.reads, bench.store.writes
        finished(bench, bench.create(**order))
        return bench.store.reads - before[0], bench.store.writes - before[1]

    reads, writes = counted()
    assert counted(terms=Terms(Price(output=1), 100)) == (reads + 1, writes + 1)
    assert counted(terms=Terms(Price(), 0)) == (reads, writes + 1)
    assert counted(terms=Terms(Price(output=1), 100, (KEY,))) == (reads + 3, writes + 3)
    assert writes + 1 <= 6
    assert reads <= 5
