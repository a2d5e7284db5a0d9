"""Retries: spread out in time, and few when everything fails."""

import pytest

from shared.core.retries import BACKOFF, RetryBudget, delay_s


def test_delays_double_and_stay_bounded() -> None:
    assert [delay_s(retry, 1.0) for retry in (1, 2, 3)] == pytest.approx([0.1, 0.2, 0.4])
    assert delay_s(50, 1.0) == BACKOFF.longest_s


def test_jitter_spreads_a_delay_over_half_of_it() -> None:
    assert delay_s(1, 0.0) == pytest.approx(0.05)


def test_in_an_outage_one_request_in_ten_is_retried() -> None:
    budget, retried = RetryBudget(), 0
    for _ in range(1000):
        budget.earn()
        retried += budget.spend()
    assert 100 <= retried <= 112


def test_a_quiet_hour_does_not_save_up_a_storm() -> None:
    budget = RetryBudget()
    for _ in range(100_000):
        budget.earn()
    assert sum(budget.spend() for _ in range(100)) == 10
