"""What shared limits promise of whole minutes of traffic: the bound, that it is used, and how seldom Redis is asked."""

import pytest

from tests.gateway.simulated import Traffic

MOST_CALLS = 50
"""For 1,000 requests."""


@pytest.mark.parametrize(("processes", "seed"), [(1, 0), (4, 0), (8, 0), (8, 1)])
def test_of_1000_a_minute_nearly_all_is_used_and_redis_is_seldom_asked(processes: int, seed: int) -> None:
    traffic = Traffic(processes, 1000, seed=seed)
    assert traffic.worst_window <= 1000
    assert traffic.used >= 0.98
    assert traffic.calls_per_1000 <= MOST_CALLS
    assert min(traffic.by_instance) >= 0.8 * len(traffic.admitted) / processes


def test_it_stays_so_when_what_comes_free_has_spread_over_the_minute() -> None:
    traffic = Traffic(8, 1000, seconds=300)
    assert traffic.worst_window <= 1000
    assert traffic.used >= 0.98
    assert traffic.calls_per_1000 <= MOST_CALLS


def test_what_is_on_its_way_is_not_asked_for_again() -> None:
    """Hundreds of requests arrive while an errand is under way."""
    assert Traffic(4, 60_000, seconds=2).calls_per_1000 <= 10


@pytest.mark.parametrize(("limit", "least_used"), [(5, 0.95), (10, 0.95), (100, 0.98)])
def test_a_low_limit_is_exact_and_used(limit: int, least_used: float) -> None:
    traffic = Traffic(8, limit, seconds=240)
    assert traffic.worst_window == limit
    assert traffic.used >= least_used


def test_below_the_limit_nobody_is_refused() -> None:
    traffic = Traffic(8, 1000, seconds=60, demand=0.8)
    assert len(traffic.admitted) == traffic.requests
