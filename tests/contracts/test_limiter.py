"""What every limiter promises."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.ports.limiter import Limiter
from tests.fakes import FakeClock


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    limit=st.integers(1, 20),
    steps=st.lists(
        st.tuples(st.sampled_from([0.0, 0.01, 0.3, 7.0, 29.95, 60.0, 61.0]), st.integers(1, 8)), max_size=40
    ),
    subject=st.uuids().map(str),
)
def test_no_window_of_60_s_holds_more_than_the_limit(
    limiter: Limiter, clock: FakeClock, limit: int, steps: list[tuple[float, int]], subject: str
) -> None:
    granted: list[tuple[float, int]] = []
    for wait, want in steps:
        clock.advance(wait)
        grant = limiter.lease(subject, limit, want)
        assert 0 <= grant.granted <= want
        granted.append((clock.now(), grant.granted))
    for start, _ in granted:
        assert sum(count for time, count in granted if start <= time < start + 60) <= limit


def test_what_is_free_is_granted(limiter: Limiter) -> None:
    assert [limiter.lease("a", 3, 1).granted for _ in range(4)] == [1, 1, 1, 0]
    assert limiter.lease("b", 3, 5).granted == 3


def test_subjects_do_not_share(limiter: Limiter) -> None:
    assert limiter.lease("a", 1, 1).granted == 1
    assert limiter.lease("b", 1, 1).granted == 1


def test_a_refusal_tells_when_to_come_again(limiter: Limiter, clock: FakeClock) -> None:
    limiter.lease("a", 1, 1)
    refused = limiter.lease("a", 1, 1)
    assert refused.granted == 0
    assert 0 < refused.retry_after_s <= 60.2
    clock.advance(refused.retry_after_s)
    assert limiter.lease("a", 1, 1).granted == 1


def test_a_grant_tells_what_is_left(limiter: Limiter) -> None:
    grant = limiter.lease("a", 10, 4)
    assert (grant.granted, grant.limit, grant.remaining) == (4, 10, 6)
    assert 59 <= grant.reset_s <= 60.2


def test_a_changed_limit_holds_at_once(limiter: Limiter) -> None:
    assert limiter.lease("a", 10, 5).granted == 5
    assert limiter.lease("a", 2, 1).granted == 0
    assert limiter.lease("a", 10, 10).granted == 5
