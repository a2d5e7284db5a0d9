"""The limits of one subject as an instance holds them, and what one request took of all that apply to it.

A request takes from every limit or from none: what is short is leased first, and nothing is spent until all is there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.core.allowance import Allowance
from shared.core.limits import Kind, Limit, Limits
from shared.core.slots import HeldSlots

Need = tuple[Allowance, int]


class Quota:
    """What a key, a tenant or a model may use."""

    def __init__(self, subject: str, limits: Limits) -> None:
        self.subject = subject
        self.limits = Limits()
        self.arrival: tuple[Need, ...] = ()
        """What every request needs, by kinds of requests."""
        self.tokens: Allowance | None = None
        self.slots: HeldSlots | None = None
        self._allowances: dict[Kind, Allowance] = {}
        self.change(limits)

    def change(self, limits: Limits) -> None:
        """Takes other limits from now on; what is held is kept."""
        self.limits = limits
        requests = self._allowance(Kind.REQUESTS, limits.requests_per_minute)
        daily = self._allowance(Kind.DAILY_REQUESTS, limits.requests_per_day)
        self.arrival = tuple((each, 1) for each in (requests, daily) if each)
        self.tokens = self._allowance(Kind.TOKENS, limits.tokens_per_minute)
        if limits.concurrent_requests:
            limit = self._limit(Kind.CONCURRENT_REQUESTS, limits.concurrent_requests)
            self.slots = self.slots or HeldSlots(limit)
            self.slots.limit = limit
        else:
            self.slots = None

    @property
    def allowances(self) -> tuple[Allowance, ...]:
        """Those in force, the requests a minute first."""
        arrival = tuple(allowance for allowance, _ in self.arrival)
        return (*arrival, self.tokens) if self.tokens else arrival

    def _allowance(self, kind: Kind, amount: int) -> Allowance | None:
        if not amount:
            return None
        limit = self._limit(kind, amount)
        allowance = self._allowances.get(kind)
        if allowance is None:
            allowance = self._allowances[kind] = Allowance(limit)
        elif allowance.limit != limit:
            allowance.change(limit)
        return allowance

    def _limit(self, kind: Kind, amount: int) -> Limit:
        return Limit(self.subject, kind, amount, self.limits.strict)


@dataclass(frozen=True, slots=True)
class Refusal:
    """No room in this limit."""

    limit: Limit
    retry_after_s: float


@dataclass(frozen=True, slots=True)
class Shortage:
    """What must be leased before the request can take what it needs."""

    allowances: tuple[Allowance, ...]
    slots: tuple[HeldSlots, ...]


@dataclass(slots=True)
class Ticket:
    """What one request took. Whoever holds it settles the tokens and closes it at the end."""

    quotas: tuple[Quota, ...]
    _spent: list[tuple[Allowance, int, int]] = field(default_factory=list)
    """Allowance, sub-window, units."""
    _tokens: list[tuple[Allowance, int, int]] = field(default_factory=list)
    _slots: list[HeldSlots] = field(default_factory=list)

    def arrive(self, quotas: Sequence[Quota], tokens: int, now: float) -> Refusal | Shortage | None:
        """One request and a slot of each of these quotas, and so many tokens of each quota of the ticket."""
        arrival = [need for quota in quotas for need in quota.arrival]
        estimate = [(quota.tokens, tokens) for quota in self.quotas if quota.tokens] if tokens else []
        slots = [quota.slots for quota in quotas if quota.slots]
        if obstacle := _obstacle((*arrival, *estimate), slots, now):
            return obstacle
        self._spent += [(allowance, *allowance.spend(units, now)) for allowance, units in arrival]
        self._tokens += [(allowance, *allowance.spend(units, now)) for allowance, units in estimate]
        for held in slots:
            held.take()
        self._slots += slots
        return None

    def settle(self, tokens: int, now: float) -> None:
        """The request really used so many tokens."""
        for allowance, at, units in self._tokens:
            if tokens > units:
                allowance.charge(tokens - units, now)
            elif tokens < units:
                allowance.give_back(at, units - tokens, now)
        self._tokens = []

    def cancel(self, now: float) -> None:
        """The request was refused after all: it counts nowhere."""
        self.settle(0, now)
        for allowance, at, units in self._spent:
            allowance.give_back(at, units, now)
        self._spent = []

    def close(self) -> list[HeldSlots]:
        """Releases the slots, and tells which."""
        slots, self._slots = self._slots, []
        for held in slots:
            held.release()
        return slots


def _obstacle(needs: Sequence[Need], slots: Sequence[HeldSlots], now: float) -> Refusal | Shortage | None:
    short = [need for need in needs if not need[0].covers(need[1], now)]
    full = [held for held in slots if not held.covers(now)]
    for allowance, units in short:
        if wait_s := allowance.refused_for_s(units, now):
            return Refusal(allowance.limit, wait_s)
    for held in full:
        if wait_s := held.refused_for_s(now):
            return Refusal(held.limit, wait_s)
    if not short and not full:
        return None
    for allowance, units in short:
        allowance.wait_for(units)
    for held in full:
        held.wait()
    return Shortage(tuple(allowance for allowance, _ in short), tuple(full))
