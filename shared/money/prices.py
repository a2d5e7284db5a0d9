"""Prices and budgets as models.toml has them, in US dollars: tokens by the million, requests and seconds each."""

from collections.abc import Callable
from decimal import Decimal

import msgspec

from shared.core.budgets import Budget
from shared.core.pricing import BadPrice, Price, each, nano, per_million


class PriceRow(msgspec.Struct, forbid_unknown_fields=True):
    input: Decimal = Decimal(0)
    """A million tokens of requests ..."""
    output: Decimal = Decimal(0)
    """... and of answers."""
    cached_input: Decimal | None = None
    """A million of those tokens of requests that the upstream had cached; as `input` when it is not said."""
    per_request: Decimal = Decimal(0)
    per_second: Decimal = Decimal(0)
    """From the request to the upstream until the end of its answer: for a GPU that is paid by time."""


class PricesTable(msgspec.Struct, forbid_unknown_fields=True):
    fallback: PriceRow | None = None
    """For models without a price of their own."""
    required: bool = False
    """Whether a model without any price stops the start."""


class BudgetRow(msgspec.Struct, forbid_unknown_fields=True):
    daily_usd: Decimal | None = None
    monthly_usd: Decimal | None = None


def budget(row: BudgetRow) -> Budget:
    """BadPrice names the field."""
    return Budget(
        None if row.daily_usd is None else _read("daily_usd", row.daily_usd, nano),
        None if row.monthly_usd is None else _read("monthly_usd", row.monthly_usd, nano),
    )


def price(row: PriceRow) -> Price:
    """BadPrice names the field."""
    cached = row.input if row.cached_input is None else row.cached_input
    return Price(
        _read("input", row.input, per_million),
        _read("output", row.output, per_million),
        _read("cached_input", cached, per_million),
        _read("per_request", row.per_request, each),
        _read("per_second", row.per_second, each),
    )


def _read(name: str, amount: Decimal, convert: Callable[[Decimal], int]) -> int:
    try:
        return convert(amount)
    except BadPrice as error:
        raise BadPrice(f"`{name}`: {error}") from None
