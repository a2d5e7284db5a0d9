"""Keeps the limits of keys, tenants and models, and tells the caller where it stands, whatever the answer.

A request takes what it needs in two steps: on arrival one request and a slot, and once its body was read, what the
model's limits ask for and the tokens it may use. If the second step is refused, the first counts for nothing. In the
end the tokens are settled on those it used; if its caller left, nobody knows how many, and the estimate stands.
"""

from collections.abc import Sequence

from functions.gateway.exchange import Exchange
from functions.gateway.leasing import Leasing
from functions.gateway.stage import Stage, Wait
from shared.core import tokens
from shared.core.errors import OmniError, Unavailable
from shared.core.keys import Caller
from shared.core.quota import Holdings, Quota, Ticket
from shared.core.routing import Model
from shared.limits.admission import MOST_ERRANDS, Admission, count_admitted
from shared.ports.clock import Clock
from shared.surfaces.input_size import InputSize
from shared.surfaces.request import InferenceRequest


class Admit(Stage):
    def __init__(self, admission: Admission, leasing: Leasing, clock: Clock, default_output: int) -> None:
        self._admission = admission
        self._leasing = leasing
        self._now = clock.monotonic
        self._default_output = default_output

    def enter(self, exchange: Exchange) -> Wait | None:
        if exchange.caller is None:
            return None
        ticket = exchange.ticket = self._admission.ticket(exchange.caller)
        exchange.late_headers = lambda: self._admission.headers(ticket)
        shortage = self._admission.take(ticket, ticket.quotas)
        if shortage and self._leasing.fetch_now(shortage):
            shortage = self._admission.take(ticket, ticket.quotas)
        if shortage:
            return Wait(self._fetch_first(exchange.caller, ticket, shortage))
        count_admitted(exchange.caller)
        return None

    def leave(self, exchange: Exchange) -> None:
        if (ticket := exchange.ticket) is None:
            return
        used: int | None = _used_tokens(exchange)
        if isinstance(exchange.error, OmniError) and not exchange.was_cancelled:
            used = used if exchange.status else 0
        elif exchange.error and not exchange.tally.came:  # its caller left: what it used is not known
            used = None
        if used is not None:
            ticket.settle(used, self._now())
        self._leasing.hand_back(ticket.close())

    async def _fetch_first(self, caller: Caller, ticket: Ticket, shortage: Holdings) -> None:
        await self._leasing.fetch(shortage)
        await self._take(ticket, ticket.quotas)
        count_admitted(caller)

    async def count_refusal(self, exchange: Exchange, caller: Caller) -> None:
        """One request of the caller's limits, for one that is refused; RateLimited when there is none left."""
        ticket = exchange.ticket = self._admission.ticket(caller)
        exchange.late_headers = lambda: self._admission.headers(ticket)
        try:
            await self._take(ticket, ticket.quotas)
        except Unavailable:
            return  # it cannot be counted now, and is refused all the same
        finally:
            self._leasing.hand_back(ticket.close())

    async def to_model(self, exchange: Exchange, model: Model, asked: InferenceRequest, size: InputSize) -> None:
        """The second step. RateLimited, or Unavailable for strict limits."""
        exchange.estimated_input = size.estimated(model.context)
        ticket = exchange.ticket
        if ticket is None:
            return
        output = tokens.estimated_output(asked.most_each, asked.answers, self._default_output, model.context)
        await self._take(ticket, self._admission.model(ticket, model.id), exchange.estimated_input + output)

    async def _take(self, ticket: Ticket, quotas: Sequence[Quota], estimate: int = 0) -> None:
        for _ in range(MOST_ERRANDS):
            shortage = self._admission.take(ticket, quotas, estimate)
            if shortage is None:
                return
            await self._leasing.fetch(shortage)
        raise Unavailable("Too many requests ask for their limits at once.", retry_after_s=1)


def _used_tokens(exchange: Exchange) -> int:
    """What the request used, by its upstream's count or by ours."""
    return 0 if exchange.answered_from else exchange.tokens_in + exchange.tokens_out
