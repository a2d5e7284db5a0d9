"""What a request costs, in whole nano-dollars.

Prices are kept in pico-dollars for each token, request or second: with that, a price in dollars for a million tokens is
exact to six decimals. A sum is rounded once, up to the next nano-dollar.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

NANO = 10**9
"""Nano-dollars in a dollar."""
PICO_IN_NANO = 1000
PICO = NANO * PICO_IN_NANO
MILLION = 10**6
DEAREST = Decimal(1_000_000)
"""Dollars; a price above is a slip of the pen."""


class BadPrice(ValueError):
    """The message says what is wrong with the number."""


@dataclass(frozen=True, slots=True)
class Price:
    """Pico-dollars. All of them 0: it costs nothing, which is not the same as having no price."""

    input: int = 0
    """Each token of the request ..."""
    output: int = 0
    """... and of the answer."""
    cached: int = 0
    """Each token of the request that the upstream had in its own cache."""
    request: int = 0
    second: int = 0
    """Each second from the request to the upstream until the end of its answer."""

    @property
    def is_free(self) -> bool:
        return self == FREE


class Use(NamedTuple):
    """What a request took. Cached tokens are among those of the input."""

    input: int = 0
    output: int = 0
    cached: int = 0
    seconds: float = 0.0


FREE = Price()


def cost(price: Price, use: Use) -> int:
    """Nano-dollars, rounded up."""
    cached = min(use.cached, use.input)
    pico = price.request + (use.input - cached) * price.input + cached * price.cached + use.output * price.output
    if price.second:
        pico += price.second * round(use.seconds * MILLION) // MILLION
    return -(-pico // PICO_IN_NANO)


def dearest_input(price: Price) -> Price:
    """The same without the discount for cached tokens, or with the surcharge: for a request that has not run yet."""
    dearest = max(price.input, price.cached)
    return Price(dearest, price.output, dearest, price.request, price.second)


def per_million(dollars: Decimal) -> int:
    """Pico-dollars for each, of dollars for a million; BadPrice."""
    return _whole(dollars, PICO // MILLION, "six")


def each(dollars: Decimal) -> int:
    """Pico-dollars of dollars; BadPrice."""
    return _whole(dollars, PICO, "twelve")


def nano(dollars: Decimal) -> int:
    """Nano-dollars of dollars; BadPrice."""
    return _whole(dollars, NANO, "nine")


def dollars(nano_dollars: int) -> str:
    """Exact, without an exponent and without needless zeros: `0.00123`."""
    if not nano_dollars:
        return "0"
    whole, rest = divmod(abs(nano_dollars), NANO)
    sign = "-" if nano_dollars < 0 else ""
    return f"{sign}{whole}.{rest:09d}".rstrip("0").rstrip(".")


def _whole(amount: Decimal, units: int, decimals: str) -> int:
    if not amount.is_finite() or not 0 <= amount <= DEAREST:
        raise BadPrice(f"{amount} is not between 0 and {DEAREST:,}")
    found = amount * units
    if found != found.to_integral_value():
        raise BadPrice(f"{amount} has more than {decimals} decimals")
    return int(found)
