"""What may be spent on a calendar day and in a calendar month, and the ledger in which that is kept.

There is a ledger for each subject and month. An instance *leases* money from it and spends that from memory; what is
leased counts as spent until the instance gives it back, so that a killed one never frees it. A request for which too
little is left may have all the rest (a *short* grant), and only one at a time over all instances: so a budget is never
exceeded by more than one answer, and a caller who asks alone is never locked out before its money is spent.

Money is in nano-dollars, days and months are UTC.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

LEASE_S = 120.0
"""A lease that was not renewed for so long counts as spent."""
MOST_PARTS = 4
"""Of what is left an instance leases ahead at most a quarter of its share."""
DAY_S = 86_400.0
KEPT_DAYS = 400


@dataclass(frozen=True, slots=True)
class Budget:
    """None: as much as there is. 0: only what costs nothing."""

    daily: int | None = None
    monthly: int | None = None

    def __bool__(self) -> bool:
        return self.daily is not None or self.monthly is not None


@dataclass(frozen=True, slots=True)
class Lease:
    amount: int
    day: str
    number: int
    """Of the ask by which it was made."""
    granted: int
    """By that ask: less than the amount when something was kept."""
    is_short: bool
    until: float


@dataclass(frozen=True, slots=True)
class Ledger:
    """Of one subject in one month. Days are told as `2026-11-24`."""

    spent: Mapping[str, int] = field(default_factory=dict)
    """On each day."""
    reserved: Mapping[str, int] = field(default_factory=dict)
    """For jobs, by the day on which they were admitted."""
    leases: Mapping[str, Lease] = field(default_factory=dict)
    """By instance."""
    short: str = ""
    """The instance or the job that holds a short grant."""

    @property
    def month_spent(self) -> int:
        return sum(self.spent.values())


@dataclass(frozen=True, slots=True)
class Ask:
    """An instance settles what it has spent of its lease, says what it keeps, and leases more."""

    subject: str
    month: str
    budget: Budget
    today: str
    """In the ledger's month."""
    day: str
    """On which it has spent: that of its lease."""
    number: int
    """Another one for each ask: one that is repeated has no further effect."""
    block: int
    """What it held of its last lease, spent or not."""
    used: int
    keep: int
    """Of that, granted in any case."""
    keeps_short: bool
    least: int = 0
    """Less would be of no use but to a short grant; 0 only settles."""
    most: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """Of a budget, when it was last looked at."""

    spent_today: int = 0
    spent_this_month: int = 0
    tied: int = 0
    """Leased by instances, or reserved for jobs."""


@dataclass(frozen=True, slots=True)
class Grant:
    granted: int
    is_short: bool
    free: int
    """What is left for others, and for later."""
    standing: Standing


def is_spent(budget: Budget, told: Standing) -> bool:
    """Whether it is spent, rather than held by requests that are under way."""
    if budget.daily is not None and told.spent_today >= budget.daily:
        return True
    return budget.monthly is not None and told.spent_this_month >= budget.monthly


def binding(budget: Budget, told: Standing, now: float) -> tuple[str, int, int, float]:
    """The tighter of the two: its name, its amount, what of it is spent, and when it begins anew."""
    daily = None if budget.daily is None else budget.daily - told.spent_today
    monthly = None if budget.monthly is None else budget.monthly - told.spent_this_month
    if monthly is None or (daily is not None and daily < monthly):
        return "daily", budget.daily or 0, told.spent_today, day_ends_at(now)
    return "monthly", budget.monthly or 0, told.spent_this_month, month_ends_at(now)


def day_of(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).date().isoformat()


def day_ends_at(now: float) -> float:
    return (now // DAY_S + 1) * DAY_S


def month_ends_at(now: float) -> float:
    first = datetime.fromtimestamp(now, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + timedelta(days=32)).replace(day=1).timestamp()


def exchange(ledger: Ledger, ask: Ask, instance: str, now: float) -> tuple[Ledger, Grant]:
    """The ledger after the ask, and the answer to it."""
    lease = ledger.leases.get(instance)
    if lease and lease.number == ask.number:  # its answer was lost
        return ledger, _grant(ledger, ask, lease.granted, lease.is_short)
    ledger = _without_expired(ledger, instance, now)
    # Without a lease, its block has been counted as spent already.
    owed = ask.used if lease else max(0, ask.used - ask.block)
    others = {name: each for name, each in ledger.leases.items() if name != instance}
    short = "" if ledger.short == instance and not ask.keeps_short else ledger.short
    ledger = replace(ledger, spent=_with(ledger.spent, ask.day, owed), leases=others, short=short)
    granted, is_short = _granted(ledger, ask, _free(ledger, ask) - ask.keep)
    lease = Lease(ask.keep + granted, ask.today, ask.number, granted, is_short, now + LEASE_S)
    ledger = replace(ledger, leases={**others, instance: lease}, short=instance if is_short else ledger.short)
    return ledger, _grant(ledger, ask, granted, is_short)


def reserve(ledger: Ledger, budget: Budget, holder: str, amount: int, today: str, now: float) -> tuple[Ledger, Grant]:
    """A reservation that lasts until it is settled, however long: for a job."""
    ask = Ask("", "", budget, today, today, 0, 0, 0, 0, keeps_short=False, least=amount, most=amount)
    ledger = _without_expired(ledger, "", now)
    granted, is_short = _granted(ledger, ask, _free(ledger, ask))
    ledger = replace(
        ledger, reserved=_with(ledger.reserved, today, granted), short=holder if is_short else ledger.short
    )
    return ledger, _grant(ledger, ask, granted, is_short)


def settle(ledger: Ledger, holder: str, reserved: int, cost: int, day: str) -> Ledger:
    """What was reserved on that day is free again, and the cost is spent. No more is freed than is reserved: what is
    reserved is never less than nothing."""
    freed = max(0, min(reserved, ledger.reserved.get(day, 0)))
    return replace(
        ledger,
        reserved=_with(ledger.reserved, day, -freed),
        spent=_with(ledger.spent, day, cost),
        short="" if ledger.short == holder else ledger.short,
    )


def standing(ledger: Ledger, today: str) -> Standing:
    tied = sum(lease.amount for lease in ledger.leases.values()) + sum(ledger.reserved.values())
    return Standing(ledger.spent.get(today, 0), ledger.month_spent, tied)


def to_document(ledger: Ledger) -> dict[str, Any]:
    return asdict(ledger)


def from_document(document: Mapping[str, Any] | None) -> Ledger:
    if document is None:
        return Ledger()
    leases = {name: Lease(**lease) for name, lease in document["leases"].items()}
    reserved = {day: max(0, amount) for day, amount in document["reserved"].items()}
    return Ledger(document["spent"], reserved, leases, document["short"])


def _granted(ledger: Ledger, ask: Ask, free: int) -> tuple[int, bool]:
    if not ask.least:
        return 0, False
    if ask.least <= free:
        holders = 1 + sum(1 for lease in ledger.leases.values() if lease.amount)
        share = free // MOST_PARTS // holders
        return min(ask.most, max(ask.least, share)), False
    if free > 0 and not ledger.short:
        return free, True
    return 0, False


def _free(ledger: Ledger, ask: Ask) -> int:
    """What neither is spent nor held by anybody."""
    leased = sum(lease.amount for lease in ledger.leases.values())
    free = []
    if ask.budget.daily is not None:
        tied = leased + ledger.reserved.get(ask.today, 0)
        free.append(ask.budget.daily - ledger.spent.get(ask.today, 0) - tied)
    if ask.budget.monthly is not None:
        free.append(ask.budget.monthly - ledger.month_spent - leased - sum(ledger.reserved.values()))
    return min(free, default=ask.most)


def _grant(ledger: Ledger, ask: Ask, granted: int, is_short: bool) -> Grant:  # noqa: FBT001
    return Grant(granted, is_short, max(0, _free(ledger, ask)), standing(ledger, ask.today))


def _without_expired(ledger: Ledger, instance: str, now: float) -> Ledger:
    """Leases of instances that are gone count as spent."""
    spent, leases, short = ledger.spent, dict(ledger.leases), ledger.short
    for name, lease in ledger.leases.items():
        if lease.until <= now and name != instance:
            spent = _with(spent, lease.day, lease.amount)
            del leases[name]
            short = "" if short == name else short
    return replace(ledger, spent=spent, leases=leases, short=short)


def _with(amounts: Mapping[str, int], day: str, more: int) -> Mapping[str, int]:
    if not more:
        return amounts
    return {**amounts, day: amounts.get(day, 0) + more}
