"""The transitions of a job, one promise a test."""

from dataclasses import replace
from typing import Any

import pytest

from shared.core import job_transitions as transitions
from shared.core.jobs import (
    DEADLINE_PASSED,
    RETENTION_S,
    SEND_WITHIN_S,
    WORKER_LOST,
    Failed,
    Job,
    JobError,
    Outcome,
    Progress,
    Released,
    State,
    Stopped,
    Substate,
    Succeeded,
)

NOW = 1_800_000_000.0
LEASE_S = 60.0
DEADLINE = NOW + 86_400
PASSING = JobError("upstream_failed", "The model's server gave no usable answer.", retryable=True)
LASTING = JobError("invalid_request", "The request is not valid.", retryable=False)


def queued(**changes: Any) -> Job:
    job = Job(
        id="job_1",
        tenant="acme",
        key_id="k",
        task="chat_completions",
        model="m",
        priority="normal",
        shard=3,
        max_attempts=3,
        timeout_s=1500.0,
        input_sha256="",
        created_at=NOW,
        next_run_at=NOW,
        deadline_at=DEADLINE,
        lease_expires_at=DEADLINE,
        expire_at=DEADLINE + RETENTION_S,
    )
    return replace(job, **changes)


def running(**changes: Any) -> Job:
    return replace(transitions.claim(queued(), 1, "worker-a", NOW, LEASE_S), **changes)


def ended(state: State) -> Job:
    return queued(state=state, substate=None, outbox=False, lease_expires_at=None, finished_at=NOW)


FINAL = [ended(state) for state in State if state.is_final]


def test_a_claim_starts_the_job_under_a_new_epoch() -> None:
    job = running()
    assert (job.state, job.epoch, job.attempt) == (State.RUNNING, 1, 1)
    assert (job.lease_owner, job.lease_expires_at, job.started_at) == ("worker-a", NOW + LEASE_S, NOW)
    assert (job.outbox, job.substate) == (False, None)


@pytest.mark.parametrize("job", FINAL, ids=lambda job: job.state)
def test_nothing_changes_a_job_that_has_ended(job: Job) -> None:
    late = DEADLINE + 1
    assert transitions.claim(job, 1, "w", late, LEASE_S) is job
    assert transitions.heartbeat(job, job.epoch, late, LEASE_S, None) is job
    assert transitions.finish(job, job.epoch, Succeeded({}), late, 0.0) is job
    assert transitions.cancel(job, late) is job
    assert transitions.reap(job, late, 0.0) is job
    assert transitions.dispatched(job, 1) is job


def test_a_wake_up_leaves_a_live_lease_alone() -> None:
    job = running()
    assert transitions.claim(job, 1, "worker-b", NOW + LEASE_S - 1, LEASE_S) is job


def test_a_wake_up_takes_over_a_dead_lease() -> None:
    job = transitions.claim(running(), 1, "worker-b", NOW + LEASE_S, LEASE_S)
    assert (job.epoch, job.attempt, job.lease_owner) == (2, 2, "worker-b")


def test_a_wake_up_does_not_begin_an_attempt_too_many() -> None:
    job = transitions.claim(running(attempt=3), 1, "worker-b", NOW + LEASE_S, LEASE_S)
    assert job.state is State.FAILED
    assert job.error is not None
    assert job.error.code == "attempts_exhausted"


def test_a_claim_past_the_deadline_expires_the_job() -> None:
    job = transitions.claim(queued(), 1, "w", DEADLINE, LEASE_S)
    assert (job.state, job.epoch, job.finished_at) == (State.EXPIRED, 0, DEADLINE)
    assert job.error == DEADLINE_PASSED


def test_a_late_wake_up_of_an_earlier_attempt_does_not_cut_the_wait_short() -> None:
    waiting = transitions.finish(running(), 1, Failed(PASSING), NOW, 0.0)
    assert transitions.claim(waiting, 1, "w", NOW + 1, LEASE_S) is waiting
    assert transitions.claim(waiting, 2, "w", NOW + 1, LEASE_S).state is State.RUNNING
    assert transitions.claim(waiting, 1, "w", waiting.next_run_at, LEASE_S).state is State.RUNNING


def test_a_heartbeat_extends_the_lease_and_writes_progress() -> None:
    job = transitions.heartbeat(running(), 1, NOW + 20, LEASE_S, Progress(0.5, "half"))
    assert (job.lease_expires_at, job.progress) == (NOW + 80, Progress(0.5, "half"))
    assert transitions.heartbeat(job, 1, NOW + 40, LEASE_S, None).progress == Progress(0.5, "half")


@pytest.mark.parametrize("epoch", [0, 2])
def test_a_run_with_another_epoch_may_write_nothing(epoch: int) -> None:
    job = running()
    assert transitions.heartbeat(job, epoch, NOW, LEASE_S, None) is job
    for outcome in (Succeeded({}), Failed(PASSING), Stopped(), Released()):
        assert transitions.finish(job, epoch, outcome, NOW, 0.0) is job


def test_success_keeps_the_result_and_the_usage() -> None:
    job = transitions.finish(running(error=PASSING), 1, Succeeded({"id": "x"}, usage={"total_tokens": 7}), NOW + 5, 0.0)
    assert (job.state, job.result, job.usage, job.error) == (State.SUCCEEDED, {"id": "x"}, {"total_tokens": 7}, None)
    assert (job.finished_at, job.expire_at, job.lease_expires_at) == (NOW + 5, NOW + 5 + RETENTION_S, None)


def test_a_lasting_failure_ends_the_job_at_once() -> None:
    job = transitions.finish(running(), 1, Failed(LASTING), NOW, 0.0)
    assert (job.state, job.error) == (State.FAILED, LASTING)


def test_a_passing_failure_sends_the_job_back_with_a_new_wake_up() -> None:
    job = transitions.finish(running(), 1, Failed(PASSING), NOW, 0.0)
    assert (job.state, job.substate, job.error) == (State.QUEUED, Substate.RETRY_WAIT, PASSING)
    assert (job.dispatch_seq, job.outbox, job.next_run_at) == (2, True, NOW + 5)
    assert (job.lease_owner, job.lease_expires_at) == ("", DEADLINE)


def test_the_last_attempt_makes_a_dead_letter() -> None:
    job = transitions.finish(running(attempt=3), 1, Failed(PASSING), NOW, 0.0)
    assert job.state is State.FAILED
    assert job.error == JobError("attempts_exhausted", f"All 3 attempts failed. The last: {PASSING.message}", False)


def test_backoff_doubles_from_5_s_to_600_s_less_up_to_a_half() -> None:
    assert [transitions.backoff_s(attempt, 0.0) for attempt in range(1, 10)] == [5, 10, 20, 40, 80, 160, 320, 600, 600]
    assert transitions.backoff_s(10_000, 0.0) == 600
    assert 2.5 < transitions.backoff_s(1, 0.999) < 2.6


def test_a_queued_job_is_cancelled_at_once() -> None:
    job = transitions.cancel(queued(), NOW + 1)
    assert (job.state, job.finished_at, job.outbox) == (State.CANCELLED, NOW + 1, False)


def test_a_running_job_is_asked_to_stop_once() -> None:
    asked = transitions.cancel(running(), NOW)
    assert (asked.state, asked.cancel_requested) == (State.RUNNING, True)
    assert transitions.cancel(asked, NOW) is asked
    assert transitions.finish(asked, 1, Stopped(), NOW, 0.0).state is State.CANCELLED


@pytest.mark.parametrize("outcome", [Failed(PASSING), Released()])
def test_a_job_that_was_asked_to_stop_is_not_tried_again(outcome: Outcome) -> None:
    asked = transitions.cancel(running(), NOW)
    assert transitions.finish(asked, 1, outcome, NOW, 0.0).state is State.CANCELLED
    assert transitions.reap(asked, NOW + LEASE_S, 0.0).state is State.CANCELLED


def test_work_that_was_done_before_the_cancellation_was_seen_counts() -> None:
    assert transitions.finish(transitions.cancel(running(), NOW), 1, Succeeded({}), NOW, 0.0).state is State.SUCCEEDED


def test_a_job_that_a_leaving_worker_gives_back_has_lost_no_attempt() -> None:
    job = transitions.finish(running(), 1, Released(), NOW + 1, 0.9)
    assert (job.state, job.attempt, job.epoch, job.next_run_at) == (State.QUEUED, 0, 1, NOW + 1)
    assert (job.dispatch_seq, job.outbox) == (2, True)


def test_the_reaper_leaves_a_live_lease_and_a_waiting_job_alone() -> None:
    assert transitions.reap(job := running(), NOW + LEASE_S - 1, 0.0) is job
    assert transitions.reap(job := queued(), DEADLINE - 1, 0.0) is job


def test_the_reaper_requeues_a_job_whose_worker_died() -> None:
    job = transitions.reap(running(), NOW + LEASE_S, 0.0)
    assert (job.state, job.error, job.attempt, job.dispatch_seq) == (State.QUEUED, WORKER_LOST, 1, 2)


def test_the_reaper_fails_a_job_that_kills_its_worker_each_time() -> None:
    job = transitions.reap(running(attempt=3), NOW + LEASE_S, 0.0)
    assert job.state is State.FAILED
    assert job.error is not None
    assert job.error.code == "attempts_exhausted"


@pytest.mark.parametrize("job", [queued(), running()], ids=lambda job: job.state)
def test_the_reaper_expires_what_is_past_its_deadline(job: Job) -> None:
    assert transitions.reap(job, DEADLINE, 0.0).state is State.EXPIRED


def test_a_wake_up_counts_as_lost_after_a_while() -> None:
    assert not transitions.wake_up_is_lost(queued(), NOW + SEND_WITHIN_S - 0.1)
    assert transitions.wake_up_is_lost(queued(), NOW + SEND_WITHIN_S)
    assert not transitions.wake_up_is_lost(queued(outbox=False), NOW + 3600)
    assert not transitions.wake_up_is_lost(running(), NOW + 3600)


def test_only_the_current_wake_up_clears_the_outbox() -> None:
    sent = transitions.dispatched(queued(), 1)
    assert (sent.outbox, sent.substate) == (False, Substate.DISPATCHED)
    job = queued(dispatch_seq=2)
    assert transitions.dispatched(job, 1) is job
