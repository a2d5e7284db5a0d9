"""What one instance holds of a limit in a window: units leased from the limiter and spent from memory.

The first block is as large as the demand that waits for it. A block that is used up within its lease makes the next
one twice as large, up to the demand of one lease time or the instance's share of the limit in it, whichever is more;
one that is left over makes it half as large. A refusal is remembered until the limiter has room again.
"""

from collections.abc import Container

from shared.core.limits import Ask, Grant, Limit, Trip, Units

TURN_S = 0.05
"""Pause after a refusal for each instance there is, so that they take turns at what becomes free ..."""
LONGEST_TURN_S = 0.5
FIRST_PATIENCE_S = 2.0
"""... and the longest while a first refusal is believed: until then others have returned what they leased in vain."""
PATIENCE_GROWS = 8
"""So many times with each further refusal."""


class Allowance:
    """Times are seconds on the instance's own monotonic clock; sub-windows are numbered by the limiter's."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.label = limit.label
        self.free = limit.amount
        """What the limit had left when the limiter was last asked."""
        self._window = limit.window
        self._ceiling = limit.amount
        self._held = 0
        self._until = 0.0
        self._offset = 0.0
        """From this clock to the limiter's: rather too much than too little, so that no unit is counted too early."""
        self._block = (0, 0)
        """The leased block: its sub-window, and all its units."""
        self._spent: dict[int, int] = {}
        self._returned: dict[int, int] = {}
        self._charged: dict[int, int] = {}
        self._waiting: list[int] = []
        self._last_units = 1
        self._size = 1
        self._asked = 0
        self._demand = 0.0
        self._demand_since = 0.0
        self._refused_until = 0.0
        self._retry_at = 0.0
        self._patience_s = FIRST_PATIENCE_S
        self._reset_at = 0.0

    def change(self, limit: Limit) -> None:
        """The limit has another amount from now on. What is held stays; a refusal is forgotten."""
        self.limit, self._ceiling, self._refused_until = limit, limit.amount, 0.0

    def covers(self, units: int, now: float) -> bool:
        return (units <= self._held or self._ceiling <= self._held) and now <= self._until

    def spend(self, units: int, now: float) -> tuple[int, int]:
        """Takes units that are covered. The sub-window in which they count, and how many: at most the whole limit."""
        units = min(units, self._ceiling)
        self._held -= units
        self._asked += units
        self._last_units = units
        at = self._window.index(now + self._offset)
        self._spent[at] = self._spent.get(at, 0) + units
        return at, units

    def refused_for_s(self, units: int, now: float) -> float:
        """How long the limiter is known to have no room for these units; 0 when it may be asked."""
        if now >= self._refused_until or min(units, self._ceiling) <= self.remaining:
            return 0.0
        self._asked += units
        return max(self._refused_until, self._retry_at) - now

    def wait_for(self, units: int) -> None:
        """The next ask is to cover these units, too."""
        self._waiting.append(units)

    def give_back(self, at: int, units: int) -> None:
        """These units, counted in that sub-window, were not needed."""
        self._refused_until = 0.0
        unsettled = min(units, self._spent.get(at, 0))
        if unsettled:
            self._spent[at] -= unsettled
            self._held += unsettled
        if units > unsettled:
            self._returned[at] = self._returned.get(at, 0) + units - unsettled

    def charge(self, units: int, now: float) -> None:
        """So many more units were used than had been spent."""
        covered = min(units, self._held) if now <= self._until else 0
        at = self._window.index(now + self._offset)
        self._held -= covered
        self._spent[at] = self._spent.get(at, 0) + covered
        self._charged[at] = self._charged.get(at, 0) + units - covered

    @property
    def is_waited_for(self) -> bool:
        return bool(self._waiting)

    def renew(self, now: float, waiting: Container[str]) -> bool:
        """Whether a block in use is soon at its end: then the next ask, by whomever, is for another one, too. One that
        has ended is renewed for its subject only, if that is among those who wait: it needs all its limits together."""
        is_in_use = bool(self._spent) and not self._waiting and self._refused_until <= now
        if now > self._until and self.limit.subject not in waiting:
            return False
        if not is_in_use or (now < self._until - self._window.lease_s / 2 and 2 * self._held > self._block[1]):
            return False
        self._waiting.append(self._last_units)
        return True

    def is_unsettled(self, now: float) -> bool:
        """Whether the limiter ought to be told something even if nothing more is asked for."""
        return any(self._charged.values()) or bool(self._returned) or (self._held > 0 and now > self._until)

    def is_idle(self, now: float) -> bool:
        """Whether it holds nothing, and has nothing to tell or to remember."""
        return now > max(self._until, self._refused_until) and not self.is_unsettled(now)

    def ask(self, now: float, instances: int) -> Ask:
        """Settles the block, and asks for what waits, if anything does. Until the answer nothing is held."""
        least = most = 0
        if self._waiting:
            least = min(self._waiting)
            most = max(sum(self._waiting), self._next_size(max(self._waiting), now, instances))
        sub_window, units = self._block
        self._returned[sub_window] = self._returned.get(sub_window, 0) + units
        for at, spent in self._spent.items():
            self._charged[at] = self._charged.get(at, 0) + spent
        ask = Ask(self.limit, least, most, _units(self._returned), _units(self._charged))
        self._held, self._block, self._waiting = 0, (0, 0), []
        self._spent, self._returned, self._charged = {}, {}, {}
        return ask

    def receive(self, ask: Ask, grant: Grant, trip: Trip) -> None:
        """The limiter's answer to the ask. Who has begun to wait since looks again first."""
        self._waiting = []
        self.free, self._ceiling = grant.free, grant.ceiling
        self._reset_at = trip.back_at + grant.reset_s
        self._offset = trip.limiter_time - trip.sent_at
        if grant.granted:
            self._held, self._block = grant.granted, (grant.sub_window, grant.granted)
            self._until = trip.sent_at + self._window.lease_s
            self._patience_s = FIRST_PATIENCE_S
        if grant.granted < ask.most:
            self._retry_at = trip.back_at + grant.retry_after_s
            self._refused_until = self._believed_until(grant, trip)

    @property
    def remaining(self) -> int:
        return self.free + self._held

    def standing(self, now: float) -> tuple[int, float]:
        """What remains of the limit as far as is known here, and the seconds until all of it is free again."""
        return self.free + self._held, max(0.0, self._reset_at - now)

    def _next_size(self, units: int, now: float, instances: int) -> int:
        window = self._window
        if now - self._demand_since >= window.lease_s:
            self._demand = self._asked * window.lease_s / (now - self._demand_since)
            self._asked, self._demand_since = 0, now
        if now <= self._until:
            self._size = max(self._size, units) * 2
        elif self._held:
            self._size = max(1, self._size // 2)
        share = self._ceiling * window.lease_us // window.length_us // instances + 1
        self._size = min(self._size, max(share, self._asked, int(self._demand)))
        return self._size

    def _believed_until(self, grant: Grant, trip: Trip) -> float:
        if trip.instances <= 1:
            return self._retry_at
        turn_s = min(LONGEST_TURN_S, TURN_S * trip.instances)
        believed_s = max(turn_s, min(grant.retry_after_s, self._patience_s))
        if not grant.granted:
            self._patience_s *= PATIENCE_GROWS
        return trip.back_at + believed_s


def _units(by_sub_window: dict[int, int]) -> Units:
    return tuple((at, units) for at, units in by_sub_window.items() if units)
