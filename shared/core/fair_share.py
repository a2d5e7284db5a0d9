"""A pool that tenants share: who may take how much of it, and whose turn is next.

Dominant resource fairness (Ghodsi et al., NSDI 2011) over what is held at the moment: next is the tenant that holds the
least for its weight. A tenant alone may hold all of the `capacity`. What is held cannot be taken back, so a `reserve`
lies on top: only small claims of tenants that hold nothing of the capacity get in there. So a tenant that floods the
pool keeps another's first requests waiting for nothing but that tenant's own, and its further ones until something is
given back.

A small claim passes a large one that does not fit yet. One that has waited for `patience_s` while its tenant held less
than its part is passed no more: the capacity drains until it fits, so that none starves.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from math import ceil
from operator import add, le, sub

PATIENCE_S = 10.0
RESERVE = 1 / 8

Amounts = tuple[int, ...]
"""Of each of the pool's resources, such as (slots, tokens)."""
Kind = tuple[bool, tuple[bool, ...]]
"""Whether a claim is small, and which of the resources it needs: a tenant's claims of one kind wait in one line."""


@dataclass(frozen=True, slots=True)
class Claim:
    tenant: str
    amounts: Amounts = (1,)
    """More than the capacity counts as all of it."""
    weight: int = 1


@dataclass(slots=True, eq=False)
class Place:
    """A claim in the pool, or in line for it."""

    claim: Claim
    admit: Callable[[], None]
    """Called once, when what is claimed may be used."""
    number: int
    since: float
    """When it came, by the pool's clock."""
    area: "Area | None" = None
    """Where it was let in; None while it waits."""

    @property
    def is_in(self) -> bool:
        return self.area is not None


class Area:
    """A part of the pool, and what is used of it."""

    def __init__(self, capacity: Amounts) -> None:
        self.capacity = capacity
        self.used = tuple(0 for _ in capacity)

    def fits(self, amounts: Amounts) -> bool:
        return all(map(le, map(add, self.used, amounts), self.capacity))


@dataclass(slots=True)
class Party:
    """A tenant that holds something or waits."""

    nothing: Amounts
    held: Amounts
    held_of_capacity: Amounts
    weight: int = 1
    last_turn: float = 0.0
    places: int = 0
    """Those in line and those that were let in."""
    lines: dict[Kind, deque[Place]] = field(default_factory=dict)

    def first(self) -> Place | None:
        """The one that came first of those that wait."""
        return min((line[0] for line in self.lines.values()), key=_number, default=None)

    def fronts(self) -> list[Place]:
        """The first of each kind, in the order they came."""
        return sorted((line[0] for line in self.lines.values()), key=_number)

    def join(self, place: Place, kind: Kind) -> None:
        self.lines.setdefault(kind, deque()).append(place)

    def quit(self, place: Place, kind: Kind) -> None:
        self.lines[kind].remove(place)
        if not self.lines[kind]:
            del self.lines[kind]


class FairShare:
    def __init__(
        self, capacity: Amounts, reserve: Amounts, now: Callable[[], float], patience_s: float = PATIENCE_S
    ) -> None:
        """`now` is a clock that never runs backwards, in seconds."""
        self._nothing = tuple(0 for _ in capacity)
        self._main, self._reserve = Area(capacity), Area(reserve)
        self._now = now
        self._patience_s = patience_s
        self._parties: dict[str, Party] = {}
        self._numbers = count()
        self.waiting = 0
        """Claims in line."""

    @property
    def used(self) -> Amounts:
        return _more(self._main.used, self._reserve.used)

    def held(self, tenant: str) -> Amounts:
        party = self._parties.get(tenant)
        return party.held if party else self._nothing

    def enter(self, claim: Claim, admit: Callable[[], None]) -> Place:
        """The claim's place: let in at once, or in line, and then `admit` is called later. `leave` must follow."""
        place = self._place(claim, admit)
        if not self.waiting and self._main.fits(place.claim.amounts):  # no one else's turn can be before
            self._take(place, self._main)
            admit()
        else:
            self._parties[claim.tenant].join(place, self._kind(place))
            self.waiting += 1
            self._let_in()
        return place

    def try_enter(self, claim: Claim) -> Place | None:
        """The claim's place if it is let in at once, else None."""
        place = self.enter(claim, lambda: None)
        if place.is_in:
            return place
        self.leave(place)
        return None

    def leave(self, place: Place) -> None:
        """Gives back what the place held; out of the line, where it still waited."""
        party = self._parties[place.claim.tenant]
        if place.area:
            amounts = place.claim.amounts
            place.area.used = _less(place.area.used, amounts)
            party.held = _less(party.held, amounts)
            if place.area is self._main:
                party.held_of_capacity = _less(party.held_of_capacity, amounts)
        else:
            party.quit(place, self._kind(place))
            self.waiting -= 1
        party.places -= 1
        if not party.places:
            del self._parties[place.claim.tenant]
        if self.waiting:
            self._let_in()

    def _place(self, claim: Claim, admit: Callable[[], None]) -> Place:
        amounts = tuple(map(min, claim.amounts, self._main.capacity))
        if amounts != claim.amounts:
            claim = Claim(claim.tenant, amounts, claim.weight)
        party = self._parties.get(claim.tenant)
        if party is None:
            party = self._parties[claim.tenant] = Party(self._nothing, self._nothing, self._nothing)
        party.weight = claim.weight
        party.places += 1
        return Place(claim, admit, next(self._numbers), self._now())

    def _kind(self, place: Place) -> Kind:
        return self._is_small(place), tuple(amount > 0 for amount in place.claim.amounts)

    def _is_small(self, place: Place) -> bool:
        return all(amount <= most for amount, most in zip(place.claim.amounts, self._reserve.capacity, strict=True))

    def _let_in(self) -> None:
        while self.waiting and (found := self._next()):
            self._admit(*found)

    def _admit(self, place: Place, area: Area) -> None:
        self._parties[place.claim.tenant].quit(place, self._kind(place))
        self.waiting -= 1
        self._take(place, area)
        place.admit()

    def _take(self, place: Place, area: Area) -> None:
        party, amounts = self._parties[place.claim.tenant], place.claim.amounts
        place.area = area
        area.used = _more(area.used, amounts)
        party.held = _more(party.held, amounts)
        if area is self._main:
            party.held_of_capacity = _more(party.held_of_capacity, amounts)
        party.last_turn = self._now()

    def _next(self) -> tuple[Place, Area] | None:
        waiting = sorted((party for party in self._parties.values() if party.first()), key=self._rank)
        for party in waiting:
            for place in party.fronts():
                if self._main.fits(place.claim.amounts):
                    return place, self._main
            if self._is_overdue(party):
                break
        for party in waiting:
            for place in party.fronts() if party.held_of_capacity == self._nothing else ():
                if self._is_small(place) and self._reserve.fits(place.claim.amounts):
                    return place, self._reserve
        return None

    def _rank(self, party: Party) -> tuple[float, ...]:
        """Whose turn it is: the least comes first."""
        first = party.first()
        number = first.number if first else 0
        if self._is_overdue(party):
            return 0, self._since(party), number
        return 1, self._share(party) / party.weight, party.last_turn, number

    def _is_overdue(self, party: Party) -> bool:
        everyone = sum(each.weight for each in self._parties.values())
        has_less = self._share(party) < party.weight / everyone
        return has_less and self._now() - self._since(party) >= self._patience_s

    def _since(self, party: Party) -> float:
        """Since when the tenant has been waiting for its turn."""
        first = party.first()
        return max(first.since, party.last_turn) if first else party.last_turn

    def _share(self, party: Party) -> float:
        """Of the resource of which it holds the greatest part."""
        return max(held / most for held, most in zip(party.held, self._main.capacity, strict=True) if most)


def reserve_of(capacity: Amounts) -> Amounts:
    """As it is usual: an eighth, and of what comes in few pieces one at least."""
    return tuple(ceil(most * RESERVE) for most in capacity)


def _number(place: Place) -> int:
    return place.number


def _more(one: Amounts, other: Amounts) -> Amounts:
    return tuple(map(add, one, other))


def _less(one: Amounts, other: Amounts) -> Amounts:
    return tuple(map(sub, one, other))
