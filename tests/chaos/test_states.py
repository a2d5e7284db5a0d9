"""Row 15: random operations and faults, in any order."""

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from shared.core.budgets import Budget, day_of
from shared.core.errors import Conflict, Unavailable
from shared.core.jobs import Failed, Job, JobError, Outcome, Released, Stopped, Succeeded
from shared.core.pricing import PICO_IN_NANO, Price
from shared.jobs.charges import Terms
from shared.jobs.orders import RetryOrder
from shared.money.ledgers import Ledgers
from shared.money.policy import Applies
from tests.chaos.conftest import MakeBench
from tests.jobs.conftest import LEASE_S, Bench

OUTCOMES: dict[str, Outcome] = {
    "succeeded": Succeeded({"answer": 42}, usage={"total_tokens": 1}),
    "failed for good": Failed(JobError("invalid_request", "No.", retryable=False)),
    "failed for now": Failed(JobError("upstream_failed", "Away.", retryable=True)),
    "stopped": Stopped(),
    "released": Released(),
}
ANY = st.integers(0, 1000)
MOST = 3
TERMS = Terms(Price(request=PICO_IN_NANO), MOST, (Applies("key:k", Budget(monthly=10**9)),))
"""A job that succeeds costs one."""
RETRY = RetryOrder("k", 4, "retried", TERMS)


class JobLives(RuleBasedStateMachine):
    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self.bench = bench
        self.known: dict[str, Job] = {}
        self.runs: list[Job] = []

    def any_job(self, number: int) -> Job:
        return list(self.known.values())[number % len(self.known)]

    @rule(max_attempts=st.integers(1, 3))
    def create(self, max_attempts: int) -> None:
        job = self.bench.create(max_attempts=max_attempts, terms=TERMS)
        self.known[job.id] = job

    @precondition(lambda self: self.known)
    @rule(number=ANY, seq=st.integers(1, 4), loses_answer=st.booleans())
    def claim(self, number: int, seq: int, *, loses_answer: bool) -> None:
        self.lose(loses_answer)
        try:
            if run := self.bench.jobs.claim(self.any_job(number).id, seq, "w"):
                self.runs.append(run)
        except Unavailable:
            return

    @precondition(lambda self: self.runs)
    @rule(number=ANY, outcome=st.sampled_from(sorted(OUTCOMES)), loses_answer=st.booleans())
    def finish(self, number: int, outcome: str, *, loses_answer: bool) -> None:
        self.lose(loses_answer)
        try:
            self.bench.jobs.finish(self.runs[number % len(self.runs)], OUTCOMES[outcome])
        except Unavailable:
            return

    @precondition(lambda self: self.runs)
    @rule(number=ANY)
    def heartbeat(self, number: int) -> None:
        self.bench.jobs.heartbeat(self.runs[number % len(self.runs)])

    @precondition(lambda self: self.known)
    @rule(number=ANY)
    def cancel(self, number: int) -> None:
        try:
            self.bench.jobs.cancel("acme", self.any_job(number).id)
        except Conflict:
            return

    @precondition(lambda self: self.known)
    @rule(number=ANY, loses_answer=st.booleans())
    def retry(self, number: int, *, loses_answer: bool) -> None:
        self.lose(loses_answer)
        job = self.any_job(number)
        with suppress(Conflict, Unavailable):
            self.bench.jobs.retry("acme", job.id, RETRY)
        self.bench.store._store.answers_to_lose = 0  # type: ignore[attr-defined]
        if job.can_be_replayed:
            self.known[job.id] = self.bench.now(job)

    @rule(seconds=st.sampled_from([1.0, LEASE_S, 700.0]))
    def time_passes(self, seconds: float) -> None:
        self.bench.clock.advance(seconds)

    @rule(broken=st.booleans())
    def schedules_run(self, *, broken: bool) -> None:
        self.bench.queue.broken = broken
        self.bench.jobs.reap()
        self.bench.jobs.sweep()
        self.bench.queue.broken = False

    def lose(self, loses_answer: bool) -> None:  # noqa: FBT001
        self.bench.store._store.answers_to_lose = int(loses_answer)  # type: ignore[attr-defined]

    @invariant()
    def what_is_promised_holds(self) -> None:
        self.bench.store._store.answers_to_lose = 0  # type: ignore[attr-defined]
        charged = succeeded = 0
        for before in list(self.known.values()):
            now = self.bench.now(before)
            assert now.epoch >= before.epoch, "epoch only grows"
            assert not before.state.is_final or now == before, "final is final"
            assert now.attempt <= now.max_attempts
            charged += (now.usage or {}).get("total_tokens", 0)
            succeeded += now.state == "succeeded"
            self.known[now.id] = now
        assert charged == succeeded, "what is charged is what succeeded"
        spent, reserved = self.ledger()
        assert spent == succeeded, "the ledger has what succeeded"
        assert reserved == MOST * sum(not job.state.is_final for job in self.known.values()), "and what may still cost"

    def ledger(self) -> tuple[int, int]:
        """What was spent, and what is reserved: as the days go by, in more than one month."""
        months = {"2027-01", "2027-02", day_of(self.bench.clock.now())[:7]}
        found = [Ledgers(self.bench.store).get("key:k", month) for month in months]
        return sum(each.month_spent for each in found), sum(sum(each.reserved.values()) for each in found)


@pytest.mark.timeout(300)
def test_random_operations_and_faults(make_bench: MakeBench, scaled: Callable[[int], int]) -> None:
    """Row 15: random operations and faults; epoch only grows, final is final, Σ charges = Σ succeeded."""

    class Lives(JobLives):
        def __init__(self) -> None:
            super().__init__(make_bench())

    run_state_machine_as_test(
        Lives,
        settings=settings(
            max_examples=scaled(40),
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
