"""Whose turn it is."""

import pytest

from shared.core import fairness
from shared.core import job_transitions as transitions
from shared.core.jobs import LIFETIME_S, State, Substate
from shared.core.queues import QUEUES, queue_named
from tests.core.test_jobs import DEADLINE, LEASE_S, NOW, queued, running

WAITING = fairness.kept_waiting(queued(rank_at=NOW + 60))


def test_a_share_is_in_proportion_to_the_weight_and_never_nothing() -> None:
    assert [fairness.share(12, weight) for weight in (1, 2, 4)] == [3, 6, 12]
    assert fairness.share(1, 1) == 2


def test_low_priority_leaves_half_of_the_share_to_others_until_it_has_waited_long() -> None:
    low, normal = (queued(priority=priority, rank_at=fairness.rank_at(priority, NOW)) for priority in ("low", "normal"))
    assert [fairness.most_in_flight(job, 12, NOW) for job in (low, normal)] == [6, 12]
    assert fairness.most_in_flight(low, 12, NOW + 600) == 12


def test_low_priority_comes_up_in_time() -> None:
    assert fairness.rank_at("high", NOW) < fairness.rank_at("normal", NOW) < fairness.rank_at("low", NOW)
    assert fairness.rank_at("low", NOW) < fairness.rank_at("high", NOW + 601)


def test_a_job_that_waits_for_capacity_is_not_claimed_and_needs_no_wake_up() -> None:
    assert transitions.claim(WAITING, 1, "w", DEADLINE - 1, LEASE_S) is WAITING
    assert not transitions.wake_up_is_lost(WAITING, DEADLINE)


def test_a_job_is_let_in_once_and_gets_a_new_wake_up() -> None:
    job = fairness.let_in(WAITING, NOW + 5)
    assert (job.substate, job.outbox, job.dispatch_seq, job.next_run_at) == (
        Substate.PENDING_DISPATCH,
        True,
        2,
        NOW + 5,
    )
    assert fairness.let_in(job, NOW) is job


def test_a_job_counts_where_it_stands() -> None:
    assert (queued().lane, WAITING.lane, running().lane) == ("flight:acme", "waiting:acme", "flight:acme")
    assert transitions.cancel(WAITING, NOW).lane == ""


@pytest.mark.parametrize("state", [State.FAILED, State.EXPIRED])
def test_what_failed_is_replayed_with_all_its_attempts_under_its_next_epoch(state: State) -> None:
    dead = running(state=state, attempt=3, epoch=3, dispatch_seq=3, finished_at=NOW, cancel_requested=True)
    job = fairness.let_in(fairness.replayed(dead, NOW + 9), NOW + 9)
    assert (job.state, job.attempt, job.error, job.finished_at, job.cancel_requested) == (
        State.QUEUED,
        0,
        None,
        None,
        False,
    )
    assert job.deadline_at == NOW + 9 + LIFETIME_S
    assert transitions.claim(job, job.dispatch_seq, "w", NOW + 10, LEASE_S).epoch == 4


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.CANCELLED, State.RUNNING, State.QUEUED])
def test_nothing_else_is_replayed(state: State) -> None:
    job = running(state=state)
    assert fairness.replayed(job, NOW) is job


def test_a_queue_is_known_by_its_name_in_the_service_and_here() -> None:
    """A busy worker puts a wake-up back where it came from."""
    assert [queue_named(f"omni-{name}", "omni-") for name in QUEUES] == list(QUEUES)
    assert [queue_named(name, "omni-") for name in QUEUES] == list(QUEUES)
    assert queue_named("", "omni-") == queue_named("another", "omni-") == "gpu-lo"
