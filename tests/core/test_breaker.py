"""The circuit breaker: it opens after repeated failures, lets one probe through, and never asks by itself."""

from hypothesis import given
from hypothesis import strategies as st

from shared.core.breaker import FAILURES_TO_OPEN, LONGEST_PAUSE_S, Breaker, BreakerState


def opened() -> Breaker:
    breaker = Breaker()
    for _ in range(FAILURES_TO_OPEN):
        breaker.record(0.0, succeeded=False)
    return breaker


def test_a_few_failures_change_nothing() -> None:
    breaker = Breaker()
    for _ in range(FAILURES_TO_OPEN - 1):
        breaker.record(0.0, succeeded=False)
    assert breaker.admits(0.0)
    assert breaker.state(0.0) is BreakerState.CLOSED


def test_failures_in_a_row_open_it() -> None:
    breaker = opened()
    assert not breaker.admits(0.5)
    assert breaker.state(0.5) is BreakerState.OPEN


def test_a_success_between_failures_starts_the_count_again() -> None:
    breaker = Breaker()
    for succeeded in [False, False, False, False, True, False, False, False, False]:
        breaker.record(0.0, succeeded=succeeded)
    assert breaker.admits(0.0)


def test_after_the_pause_one_request_probes() -> None:
    breaker = opened()
    assert breaker.state(1.0) is BreakerState.HALF_OPEN
    assert [breaker.admits(1.0) for _ in range(3)] == [True, False, False]


def test_a_probe_that_succeeds_closes_it() -> None:
    breaker = opened()
    assert breaker.admits(1.0)
    breaker.record(1.0, succeeded=True)
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
        breaker.record(now, succeeded=False)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, LONGEST_PAUSE_S]


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans())))
def test_it_never_stays_open_longer_than_the_longest_pause(steps: list[tuple[float, bool]]) -> None:
    breaker, now = Breaker(), 0.0
    for wait, succeeded in steps:
        now += wait
        if breaker.admits(now):
            breaker.record(now, succeeded=succeeded)
        assert breaker.pause_left_s(now) <= LONGEST_PAUSE_S
    assert breaker.admits(now + LONGEST_PAUSE_S)
