"""The circuit breaker: it opens after repeated failures, lets one probe through, and never asks by itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.breaker import FAILURES_TO_OPEN, LONGEST_PAUSE_S, Breaker, BreakerState, Suspect


def opened() -> Breaker:
    breaker = Breaker()
    for _ in range(FAILURES_TO_OPEN):
        breaker.record_failure(0.0)
    return breaker


def test_a_few_failures_change_nothing() -> None:
    breaker = Breaker()
    for _ in range(FAILURES_TO_OPEN - 1):
        breaker.record_failure(0.0)
    assert breaker.admits(0.0)
    assert breaker.state(0.0) is BreakerState.CLOSED


def test_failures_in_a_row_open_it() -> None:
    breaker = opened()
    assert not breaker.admits(0.5)
    assert breaker.state(0.5) is BreakerState.OPEN


def test_a_success_between_failures_starts_the_count_again() -> None:
    breaker = Breaker()
    for succeeded in [False, False, False, False, True, False, False, False, False]:
        breaker.record_success() if succeeded else breaker.record_failure(0.0)
    assert breaker.admits(0.0)


def test_after_the_pause_one_request_probes() -> None:
    breaker = opened()
    assert breaker.state(1.0) is BreakerState.HALF_OPEN
    assert [breaker.admits(1.0) for _ in range(3)] == [True, False, False]


def test_a_probe_that_succeeds_closes_it() -> None:
    breaker = opened()
    assert breaker.admits(1.0)
    breaker.record_success()
    assert breaker.state(1.0) is BreakerState.CLOSED


def test_a_probe_whose_caller_left_lets_another_one_through() -> None:
    breaker = opened()
    assert breaker.admits(1.0)
    breaker.forget_probe()
    assert breaker.admits(1.0)


def test_each_failed_probe_doubles_the_pause_up_to_a_minute() -> None:
    breaker, now, pauses = opened(), 0.0, list[float]()
    for _ in range(9):
        pauses.append(breaker.pause_left_s(now))
        now += pauses[-1]
        assert breaker.admits(now)
        breaker.record_failure(now)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, LONGEST_PAUSE_S]


def failed(*suspects: tuple[str, int]) -> Breaker:
    """A breaker after these failures: a tenant each, and the number of its body."""
    breaker = Breaker()
    for tenant, body in suspects:
        breaker.record_failure(0.0, Suspect(tenant, b"%d" % body))
    return breaker


@pytest.mark.parametrize(
    "suspects",
    [
        [("a", 1)] * 1000,
        [("a", number) for number in range(1000)],
        [(f"tenant {number}", 1) for number in range(1000)],
        [*(("a", number) for number in range(1000)), ("b", 1000)],
    ],
    ids=["one request", "one tenant", "one body", "one tenant and another's mistake"],
)
def test_what_one_caller_or_one_body_causes_never_opens_it(suspects: list[tuple[str, int]]) -> None:
    assert failed(*suspects).state(0.0) is BreakerState.CLOSED


@pytest.mark.parametrize(
    "suspects",
    [
        [(f"tenant {number}", number) for number in range(FAILURES_TO_OPEN)],
        [("a", 1), ("b", 2), ("a", 3), ("b", 4), ("c", 5)],
        [("a", 1), ("a", 2), ("a", 3), ("b", 4), ("b", 5)],
    ],
)
def test_what_several_tenants_see_with_several_bodies_opens_it(suspects: list[tuple[str, int]]) -> None:
    assert failed(*suspects).state(0.0) is BreakerState.OPEN
    assert failed(*suspects[:-1]).state(0.0) is BreakerState.CLOSED


def test_that_nobody_can_connect_counts_with_what_others_saw() -> None:
    breaker = failed(("a", 1), ("a", 2))
    for _ in range(FAILURES_TO_OPEN - 2):
        breaker.record_failure(0.0)
    assert breaker.state(0.0) is BreakerState.OPEN


def test_one_tenants_failing_probes_do_not_keep_it_open() -> None:
    breaker = opened()
    assert breaker.admits(1.0)
    breaker.record_failure(1.0, Suspect("a", b"1"))
    assert not breaker.admits(2.9)
    for number in range(100):
        assert breaker.admits(3.0)
        breaker.record_failure(3.0, Suspect("a", b"%d" % number))
    assert breaker.admits(3.0)
    breaker.record_failure(3.0, Suspect("b", b"1"))
    assert breaker.pause_left_s(3.0) == 4


def test_failures_under_way_when_it_opened_make_the_pause_no_longer() -> None:
    breaker = opened()
    for _ in range(100):
        breaker.record_failure(0.5)
    assert breaker.pause_left_s(0.5) == 0.5


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 99))))
def test_it_remembers_no_more_than_it_needs(suspects: list[tuple[str, int]]) -> None:
    assert len(failed(*suspects).suspects) <= FAILURES_TO_OPEN


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans())))
def test_it_never_stays_open_longer_than_the_longest_pause(steps: list[tuple[float, bool]]) -> None:
    breaker, now = Breaker(), 0.0
    for wait, succeeded in steps:
        now += wait
        if breaker.admits(now):
            breaker.record_success() if succeeded else breaker.record_failure(now)
        assert breaker.pause_left_s(now) <= LONGEST_PAUSE_S
    assert breaker.admits(now + LONGEST_PAUSE_S)
