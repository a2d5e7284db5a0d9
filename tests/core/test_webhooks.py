"""When a webhook is sent, again, and no more."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.jobs import Job, State
from shared.core.webhooks import (
    EVENTS,
    JITTER,
    LEASE_S,
    MOST_ATTEMPTS_KEPT,
    RETRY_AFTER_S,
    Attempt,
    Delivery,
    announced,
    claim,
    redeliver,
    settle,
)
from shared.core.webhooks import State as DeliveryState

NOW = 1_800_000_000.0
ENDED = Job(
    id="job_1", tenant="acme", key_id="k", task="t", model="m", priority="normal", shard=0, max_attempts=3,
    timeout_s=1.0, input_sha256="", created_at=NOW, next_run_at=NOW, deadline_at=NOW, lease_expires_at=None,
    expire_at=NOW, state=State.SUCCEEDED, webhook={"url": "https://hook.example/", "events": None},
)  # fmt: skip


def fresh() -> Delivery:
    delivery = announced(ENDED, "{}", NOW)
    assert delivery is not None
    return delivery


def attempted(delivery: Delivery, status: int, now: float, jitter: float = 0.0) -> Delivery:
    begun = claim(delivery, delivery.seq, now)
    assert begun is not delivery
    return settle(begun, begun.seq, Attempt(now, status, "", 0.1), now, jitter)


def test_the_retries_are_those_that_are_promised() -> None:
    waits, delivery, now = [], fresh(), NOW
    while delivery.next_attempt_at is not None:
        now = delivery.next_attempt_at
        delivery = attempted(delivery, 500, now)
        if delivery.next_attempt_at is not None:
            waits.append(delivery.next_attempt_at - now)
    hours = [2, 5, 10, 14, 20, 24]
    assert waits == [5, 5 * 60, 30 * 60, *(hour * 3600 for hour in hours)]
    assert delivery.state is DeliveryState.FAILED
    assert len(delivery.attempts) == 10


@given(st.floats(0, 1, exclude_max=True), st.integers(0, len(RETRY_AFTER_S) - 1))
def test_jitter_makes_a_wait_longer_and_never_shorter(jitter: float, failures: int) -> None:
    after = attempted(replace(fresh(), failures=failures), 503, NOW, jitter)
    assert after.next_attempt_at is not None
    assert RETRY_AFTER_S[failures] <= after.next_attempt_at - NOW <= RETRY_AFTER_S[failures] * (1 + JITTER)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (200, DeliveryState.DELIVERED),
        (204, DeliveryState.DELIVERED),
        (0, DeliveryState.PENDING),
        (302, DeliveryState.PENDING),
        (404, DeliveryState.PENDING),
        (410, DeliveryState.DISABLED),
        (500, DeliveryState.PENDING),
    ],
)
def test_what_an_answer_makes_of_a_delivery(status: int, state: DeliveryState) -> None:
    assert attempted(fresh(), status, NOW).state is state


def test_a_wake_up_that_comes_twice_begins_one_attempt() -> None:
    begun = claim(fresh(), 1, NOW)
    assert claim(begun, 1, NOW) is begun


def test_an_attempt_that_was_not_heard_of_is_made_again_and_the_first_may_not_write() -> None:
    lost = claim(fresh(), 1, NOW)
    again = claim(lost, 99, NOW + LEASE_S)
    assert again is not lost
    assert settle(again, lost.seq, Attempt(NOW, 200, "", 0.1), NOW, 0.0) is again


def test_a_wake_up_of_an_earlier_attempt_does_not_cut_the_wait_short() -> None:
    waiting = attempted(fresh(), 500, NOW)
    assert claim(waiting, 1, NOW + 1) is waiting


def test_an_ended_delivery_is_sent_again_by_hand_only_and_under_its_id() -> None:
    failed = attempted(replace(fresh(), failures=9), 500, NOW)
    assert claim(failed, failed.seq, NOW + 10**6) is failed
    again = redeliver(failed, NOW)
    assert (again.id, again.state, again.next_attempt_at, again.failures) == (failed.id, "pending", NOW, 0)
    assert attempted(again, 200, NOW).state is DeliveryState.DELIVERED


def test_the_log_of_attempts_is_bounded() -> None:
    delivery = fresh()
    for _ in range(30):
        delivery = attempted(redeliver(delivery, NOW), 500, NOW)
    assert len(delivery.attempts) == MOST_ATTEMPTS_KEPT


def test_there_is_one_id_for_each_job_event_and_run() -> None:
    ids = {
        found.id
        for job in (ENDED, ENDED, replace(ENDED, state=State.FAILED), replace(ENDED, dispatch_seq=2))
        if (found := announced(job, "{}", NOW))
    }
    assert len(ids) == 3


def test_only_the_ends_that_were_asked_for_are_told() -> None:
    picky = replace(ENDED, webhook={"url": "https://hook.example/", "events": ["job.failed"]})
    assert announced(picky, "{}", NOW) is None
    assert announced(replace(picky, state=State.FAILED), "{}", NOW) is not None
    assert announced(replace(ENDED, state=State.RUNNING), "{}", NOW) is None
    assert announced(replace(ENDED, webhook=None), "{}", NOW) is None
    assert EVENTS == ("job.succeeded", "job.failed", "job.cancelled", "job.expired")
