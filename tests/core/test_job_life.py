"""Random lives of a job, with wake-ups, workers and the reaper in any order: what must hold in all of them."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from shared.core import job_transitions as transitions
from shared.core.jobs import Failed, Job, JobError, Outcome, Released, State, Stopped, Succeeded
from tests.core.test_jobs import NOW, queued

LEASE_S = 60.0
OUTCOMES = st.sampled_from(
    [
        Succeeded({"answer": 42}),
        Failed(JobError("upstream_failed", "", retryable=True)),
        Failed(JobError("invalid_request", "", retryable=False)),
        Stopped(),
        Released(),
    ]
)


class JobLife(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.job = queued()
        self.runs: list[int] = []
        """Epochs under which some worker believes to run the job."""
        self.successes = 0

    def become(self, after: Job) -> None:
        before, self.job = self.job, after
        if before.state.is_final:
            assert after is before
        assert after.epoch >= before.epoch
        assert after.dispatch_seq >= before.dispatch_seq
        assert after.attempt <= after.max_attempts
        self.successes += after.state is State.SUCCEEDED and before.state is not State.SUCCEEDED

    @rule(seconds=st.sampled_from([0.1, 5.0, 19.0, 61.0, 700.0, 90_000.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(back=st.integers(0, 3))
    def wake_up(self, back: int) -> None:
        """The current one, or an earlier one that is delivered again."""
        before = self.job
        had_lease = transitions.has_live_lease(before, self.now)
        self.become(transitions.claim(before, before.dispatch_seq - back, "w", self.now, LEASE_S))
        if self.job is not before and self.job.state is State.RUNNING:
            assert not had_lease
            assert self.job.epoch == before.epoch + 1
            self.runs.append(self.job.epoch)

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def heartbeat(self, data: st.DataObject) -> None:
        epoch = data.draw(st.sampled_from(self.runs))
        after = transitions.heartbeat(self.job, epoch, self.now, LEASE_S, None)
        assert (after is not self.job) == (self.job.state is State.RUNNING and epoch == self.job.epoch)
        self.become(after)

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), outcome=OUTCOMES, jitter=st.floats(0, 1, exclude_max=True))
    def finish(self, data: st.DataObject, outcome: Outcome, jitter: float) -> None:
        epoch = data.draw(st.sampled_from(self.runs))
        before = self.job
        self.become(transitions.finish(before, epoch, outcome, self.now, jitter))
        if epoch != before.epoch:
            assert self.job is before

    @rule()
    def cancel(self) -> None:
        self.become(transitions.cancel(self.job, self.now))

    @rule(jitter=st.floats(0, 1, exclude_max=True))
    def reap(self, jitter: float) -> None:
        before = self.job
        self.become(transitions.reap(before, self.now, jitter))
        if transitions.has_live_lease(before, self.now):
            assert self.job is before

    @rule()
    def sweep(self) -> None:
        if transitions.wake_up_is_lost(self.job, self.now):
            self.become(transitions.dispatched(self.job, self.job.dispatch_seq))

    @invariant()
    def only_one_success(self) -> None:
        assert self.successes <= 1
        assert (self.job.result is not None) == (self.job.state is State.SUCCEEDED)

    @invariant()
    def fields_agree_with_the_state(self) -> None:
        job = self.job
        assert (job.finished_at is not None) == job.state.is_final
        assert (job.substate is not None) == (job.state is State.QUEUED)
        assert (job.lease_owner != "") == (job.state is State.RUNNING)
        assert (job.lease_expires_at is None) == job.state.is_final
        assert not job.outbox or job.state is State.QUEUED

    @invariant()
    def the_job_can_still_end(self) -> None:
        """Whatever happened, the reaper, a wake-up and a worker bring the job to a final state."""
        job, now = self.job, self.now
        for _ in range(job.max_attempts + 1):
            now = max(now, job.next_run_at, job.lease_expires_at or 0.0) + 1 if job.state is State.RUNNING else now
            job = transitions.reap(job, now, 0.0)
            job = transitions.claim(job, job.dispatch_seq, "w", now, LEASE_S)
            job = transitions.finish(job, job.epoch, Succeeded({}), now, 0.0)
        assert job.state.is_final


JobLife.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestJobLife = JobLife.TestCase
