"""The limits of one subject as an instance holds them, and what one request takes of all that apply to it.

A request takes from every limit or from none: what is short is leased first, and nothing is spent until all is there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.core.allowance import Allowance
from shared.core.limits import Kind, Limit, Limits
from shared.core.slots import HeldSlots


class Quota:
    """What a key, a tenant or a model may use."""

    def __init__(self, subject: str, limits: Limits) -> None:
        self.subject = subject
        self.limits = limits
        self.requests: tuple[Allowance, ...] = ()
        """Of requests in a window: each request needs one of each."""
        self.tokens: Allowance | None = None
        self.slots: HeldSlots | None = None
        self.policy = ""
        """What the header `RateLimit-Policy` says of all of them; empty when there is no limit."""
        self._allowances: dict[Kind, Allowance] = {}
        self.change(limits)

    def change(self, limits: Limits) -> None:
        """Takes other limits from now on; what is held is kept."""
        self.limits = limits
        minute = self._allowance(Kind.REQUESTS, limits.requests_per_minute)
        day = self._allowance(Kind.DAILY_REQUESTS, limits.requests_per_day)
        self.requests = tuple(each for each in (minute, day) if each)
        self.tokens = self._allowance(Kind.TOKENS, limits.tokens_per_minute)
        self.slots = self._held_slots(limits.concurrent_requests)
        in_force = [each.limit for each in (*self.requests, self.tokens, self.slots) if each]
        self.policy = ", ".join(limit.policy for limit in in_force)

    def is_idle(self, now: float) -> bool:
        """Whether nothing is lost when the quota is forgotten."""
        allowances = self._allowances.values()
        return (self.slots is None or self.slots.is_idle(now)) and all(each.is_idle(now) for each in allowances)

    def _allowance(self, kind: Kind, amount: int) -> Allowance | None:
        if not amount:
            return None
        limit = Limit(self.subject, kind, amount, self.limits.strict)
        allowance = self._allowances.get(kind)
        if allowance is None:
            allowance = self._allowances[kind] = Allowance(limit)
        elif allowance.limit != limit:
            allowance.change(limit)
        return allowance

    def _held_slots(self, amount: int) -> HeldSlots | None:
        if not amount:
            return None
        limit = Limit(self.subject, Kind.CONCURRENT_REQUESTS, amount, self.limits.strict)
        slots = self.slots or HeldSlots(limit)
        slots.limit = limit
        return slots


@dataclass(frozen=True, slots=True)
class Refusal:
    """This limit has no room."""

    limit: Limit
    retry_after_s: float


@dataclass(frozen=True, slots=True)
class Holdings:
    """What an errand to the limiter is for."""

    allowances: tuple[Allowance, ...] = ()
    slots: tuple[HeldSlots, ...] = ()


class Ticket:
    """What one request took. Whoever holds it settles the tokens and closes it in the end."""

    __slots__ = ("_requests", "_settled", "_slots", "_tokens", "quotas")

    def __init__(self, quotas: tuple[Quota, ...]) -> None:
        self.quotas = quotas
        """All that apply to the request so far."""
        self._requests: list[Spent] = []
        self._tokens: list[Spent] = []
        self._slots: list[HeldSlots] = []
        self._settled: list[Allowance] = []

    def take(self, quotas: Sequence[Quota], tokens: int, now: float) -> Refusal | Holdings | None:
        """A request and a slot of each of these quotas, and tokens of each quota of the ticket.

        All of it, or nothing: then the limit that refuses, or what has to be leased first.
        """
        short: list[tuple[Allowance, int]] = []
        full: list[HeldSlots] = []
        for quota in quotas:
            short += [(each, 1) for each in quota.requests if not each.covers(1, now)]
            if quota.slots and not quota.slots.covers(now):
                full.append(quota.slots)
        counted = [quota.tokens for quota in self.quotas if quota.tokens] if tokens else ()
        short += [(each, tokens) for each in counted if not each.covers(tokens, now)]
        if short or full:
            return _obstacle(short, full, now)
        for quota in quotas:
            self._requests += [(each, *each.spend(1, now)) for each in quota.requests]
            if quota.slots:
                quota.slots.take()
                self._slots.append(quota.slots)
        self._tokens += [(each, *each.spend(tokens, now)) for each in counted]
        return None

    def settle(self, tokens: int, now: float) -> None:
        """The request really used so many tokens."""
        for allowance, at, units in self._tokens:
            if tokens > units:
                allowance.charge(tokens - units, now)
            elif tokens < units:
                allowance.give_back(at, units - tokens)
            self._settled.append(allowance)
        self._tokens = []

    def cancel(self, now: float) -> None:
        """The request was refused after all: it counts nowhere."""
        self.settle(0, now)
        for allowance, at, units in self._requests:
            allowance.give_back(at, units)
            self._settled.append(allowance)
        self._requests = []

    def close(self) -> Holdings:
        """Releases the slots. Tells which, and where something has been settled."""
        for held in self._slots:
            held.release()
        left = Holdings(tuple(self._settled), tuple(self._slots))
        self._slots, self._settled = [], []
        return left


Spent = tuple[Allowance, int, int]
"""Of which allowance, in which sub-window, and how many units."""


def _obstacle(short: Sequence[tuple[Allowance, int]], full: Sequence[HeldSlots], now: float) -> Refusal | Holdings:
    for allowance, units in short:
        if wait_s := allowance.refused_for_s(units, now):
            return Refusal(allowance.limit, wait_s)
    for held in full:
        if wait_s := held.refused_for_s(now):
            return Refusal(held.limit, wait_s)
    for allowance, units in short:
        allowance.wait_for(units)
    for held in full:
        held.wait()
    return Holdings(tuple(allowance for allowance, _ in short), tuple(full))
