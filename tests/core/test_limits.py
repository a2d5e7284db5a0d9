"""The sliding window against a brute-force model."""

from hypothesis import given
from hypothesis import strategies as st

from shared.core.limits import WINDOW_S, Ring

steps = st.lists(st.tuples(st.floats(0, 20), st.integers(1, 5)), max_size=200)


@given(st.integers(1, 30), steps)
def test_no_window_ever_holds_more_than_the_limit(limit: int, steps: list[tuple[float, int]]) -> None:
    ring, now, granted = Ring(limit), 1000.0, list[float]()
    for wait, want in steps:
        now += wait
        granted += [now] * ring.take(want, now).granted
    for start in granted:
        assert sum(start <= at < start + WINDOW_S for at in granted) <= limit


@given(st.integers(1, 30), steps)
def test_capacity_comes_back_when_the_window_has_passed(limit: int, steps: list[tuple[float, int]]) -> None:
    ring, now = Ring(limit), 1000.0
    for wait, want in steps:
        now += wait
        ring.take(want, now)
    assert ring.take(limit, now + WINDOW_S + 0.2).granted == limit


@given(st.integers(1, 10), steps)
def test_a_refusal_says_when_to_come_back(limit: int, steps: list[tuple[float, int]]) -> None:
    ring, now = Ring(limit), 1000.0
    for wait, want in steps:
        now += wait
        grant = ring.take(want, now)
        if not grant.granted:
            assert 0 < grant.retry_after_s <= WINDOW_S + 0.2
            now += grant.retry_after_s + 0.001
            assert ring.take(1, now).granted == 1


def test_a_grant_tells_what_is_left() -> None:
    ring = Ring(10)
    grant = ring.take(3, 100.0)
    assert (grant.granted, grant.limit, grant.remaining, grant.retry_after_s) == (3, 10, 7, 0.0)
    assert 60.0 <= grant.reset_s <= 60.2


def test_a_lower_limit_holds_at_once() -> None:
    ring = Ring(10)
    ring.take(8, 100.0)
    ring.limit = 5
    grant = ring.take(1, 101.0)
    assert (grant.granted, grant.remaining) == (0, 0)
