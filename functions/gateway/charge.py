"""What one inference request costs, as far as is known at each moment until it has ended.

The upstream's count of tokens is charged, or where it tells none the gateway's. A caller who leaves is charged for what
may have been made for it until then; an answer that failed before its first part costs nothing.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType

from functions.gateway.exchange import Exchange
from functions.gateway.spending import Reservation, Spending
from shared import telemetry
from shared.core.keys import Caller
from shared.core.pricing import Use, cost, dollars
from shared.core.routing import Model
from shared.money.refusals import no_price
from shared.money.worst_case import most_output, worst_cost
from shared.surfaces.input_size import InputSize
from shared.surfaces.request import InferenceRequest

HEADER = b"x-omni-cost-usd"
FASTEST_TOKENS_PER_S = 1000
"""No server is faster at one answer: what a whole one can have become at most when its caller left."""


class Charge:
    __slots__ = ("_asked", "_charged", "_default_output", "_exchange", "_model", "_now", "_reservation")

    def __init__(
        self, exchange: Exchange, model: Model, asked: InferenceRequest, default_output: int, now: Callable[[], float]
    ) -> None:
        self._exchange = exchange
        self._model = model
        self._asked = asked
        self._default_output = default_output
        self._now = now
        self._charged: tuple[int, int] | None = None
        """The tokens that the cost was last taken from."""
        self._reservation: Reservation | None = None

    async def reserve(self, spending: Spending, caller: Caller, size: InputSize, most_s: int) -> None:
        """Makes sure of the most that the request can cost, if its caller has a budget.

        BudgetExceeded, Unavailable, or PermissionDenied when nobody knows what it costs.
        """
        budgets = spending.applying_to(caller)
        if not budgets:
            return
        if self._model.price is None:
            raise no_price(self._model)
        most = worst_cost(self._model.price, self._model, self._asked, size, self._default_output, most_s)
        if most:
            self._reservation = await spending.reserve(budgets, most)

    def __enter__(self) -> "Charge":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        exchange = self._exchange
        if exchange.sent_at:
            if exchange.tokens_in or exchange.tokens_out:
                self._charge()
            elif self._charged is None and kind and issubclass(kind, asyncio.CancelledError):
                exchange.tokens_in, exchange.tokens_out = exchange.estimated_input, self._most_made()
                exchange.usage_is_estimated = True
                self._charge()
        if self._reservation:
            self._reservation.settle(exchange.cost or 0)
        if exchange.cost_usd and exchange.caller:
            telemetry.COST.labels(exchange.caller.tenant, self._model.id).inc(exchange.cost_usd)

    def note_answer(self) -> str | None:
        """The tokens of the answer are known. Its cost in dollars, the same as long as they are; None: no price."""
        self._charge()
        return None if self._exchange.cost is None else dollars(self._exchange.cost)

    def _charge(self) -> None:
        counted = self._exchange.tokens_in, self._exchange.tokens_out
        if self._charged != counted:
            self._charged = counted
            self._note(*counted)

    def _most_made(self) -> int:
        """Tokens of an answer that the caller did not wait for; those of a stream would have come."""
        if self._asked.stream:
            return 0
        seconds = self._now() - self._exchange.sent_at
        most = most_output(self._model, self._asked, self._default_output)
        return min(most, int(seconds * FASTEST_TOKENS_PER_S) * self._asked.answers)

    def _note(self, tokens_in: int, tokens_out: int) -> None:
        exchange, price = self._exchange, self._model.price
        if price is None:
            exchange.cost = None
            return
        seconds = self._now() - exchange.sent_at if price.second else 0.0
        exchange.cost = cost(price, Use(tokens_in, tokens_out, exchange.tokens_cached, seconds))


def comment(told: str | None) -> bytes:
    """The cost as a stream can tell it: what begins with a colon is no event."""
    return b": %b: %b\n\n" % (HEADER, told.encode()) if told else b""
