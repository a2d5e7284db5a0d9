"""Costs are whole nano-dollars, exact but for one rounding up, whatever the prices."""

from decimal import Decimal
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.pricing import NANO, BadPrice, Price, Use, cost, dearest_input, dollars, each, nano, per_million

amounts = st.decimals(0, 1000, places=6)
counts = st.integers(0, 10**9)


@given(amounts, amounts, amounts, amounts, amounts, counts, counts, counts, st.integers(0, 10**6))
def test_a_cost_is_the_exact_sum_rounded_up(
    input_: Decimal,
    output: Decimal,
    cached: Decimal,
    request: Decimal,
    second: Decimal,
    tokens_in: int,
    tokens_out: int,
    tokens_cached: int,
    milliseconds: int,
) -> None:
    price = Price(per_million(input_), per_million(output), per_million(cached), each(request), each(second))
    found = cost(price, Use(tokens_in, tokens_out, tokens_cached, milliseconds / 1000))
    reused = min(tokens_cached, tokens_in)
    exact = (
        Fraction(input_) * (tokens_in - reused) / 10**6
        + Fraction(cached) * reused / 10**6
        + Fraction(output) * tokens_out / 10**6
        + Fraction(request)
        + Fraction(second) * milliseconds / 1000
    )
    assert found == ceil(exact * NANO)


@given(st.lists(counts, min_size=1, max_size=20))
def test_sums_do_not_drift(tokens: list[int]) -> None:
    price = Price(output=per_million(Decimal("0.1")))
    assert sum(cost(price, Use(output=each)) for each in tokens) == sum(tokens) * 100


@given(amounts, amounts, counts, counts)
def test_no_cache_makes_a_request_dearer_than_was_reckoned(
    input_: Decimal, cached: Decimal, tokens_in: int, tokens_cached: int
) -> None:
    price = Price(per_million(input_), cached=per_million(cached))
    assert cost(price, Use(tokens_in, 0, tokens_cached)) <= cost(dearest_input(price), Use(tokens_in))


@given(st.integers(-(10**18), 10**18))
def test_dollars_are_told_exactly(amount: int) -> None:
    told = dollars(amount)
    assert Decimal(told) == Decimal(amount) / NANO
    assert "E" not in told


@pytest.mark.parametrize(("amount", "told"), [(0, "0"), (1, "0.000000001"), (NANO, "1"), (10 * NANO, "10")])
def test_dollars_have_no_needless_zeros(amount: int, told: str) -> None:
    assert dollars(amount) == told


@pytest.mark.parametrize("amount", ["-0.1", "NaN", "Infinity", "1000001", "0.0000001"])
def test_a_price_that_cannot_be_is_refused(amount: str) -> None:
    with pytest.raises(BadPrice):
        per_million(Decimal(amount))


def test_dollars_become_nano_dollars() -> None:
    assert nano(Decimal("1.5")) == 1_500_000_000
