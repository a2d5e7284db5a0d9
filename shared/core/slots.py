"""Concurrent requests: slots that all instances share, and what one instance holds of them.

An instance holds its slots under a lease that it renews (a heartbeat), so those of a killed one become free. It keeps a
few more than it uses, so that most requests find one in memory, and gives back what it has not needed for a while.
"""

from shared.core.limits import SLOT_LEASE_S, Claim, Limit, Trip

SPARE_SHARE = 4
"""Of its share of the slots an instance keeps at most a quarter unused ..."""
FEWEST_INSTANCES = 4
"""... where it reckons with so many at least: new ones may have come that it has not heard of."""
REFUSAL_S = 0.1
"""How long a refusal is believed: a slot may become free at any time."""


class SlotBook:
    """Who holds how many slots of one limit. Times are seconds on a clock that never runs backwards."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[int, float]] = {}

    def claim(self, instance: str, claim: Claim, now: float) -> int:
        """How many slots the instance holds from now on: what it uses in any case, more as far as there are any."""
        self._held = {
            name: (held, until) for name, (held, until) in self._held.items() if until > now and name != instance
        }
        others = sum(held for held, _ in self._held.values())
        held = max(claim.in_use, min(claim.want, claim.limit.amount - others))
        if held:
            self._held[instance] = held, now + SLOT_LEASE_S
        return held


class HeldSlots:
    """What one instance holds and uses. Times are seconds on its own monotonic clock."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.held = 0
        self.in_use = 0
        self._until = 0.0
        self._peak = self._recent_peak = 0
        """The most that was in use at once, since the last look and before it."""
        self._waiting = 0
        self._refused_until = 0.0

    def covers(self, now: float) -> bool:
        return self.in_use < self.held and now < self._until

    def take(self) -> None:
        """Uses a slot that is covered."""
        self.in_use += 1
        self._peak = max(self._peak, self.in_use)

    def release(self) -> None:
        self.in_use -= 1

    def refused_for_s(self, now: float) -> float:
        return max(0.0, self._refused_until - now)

    def is_idle(self, now: float) -> bool:
        """Whether nothing is held; unused slots lapse unless they are claimed again."""
        return not self.in_use and (not self.held or now >= self._until)

    def wait(self) -> None:
        """The next claim is to cover one more request."""
        self._waiting += 1

    def spare(self, instances: int) -> int:
        """How many unused slots may be kept; none of a small limit."""
        return self.limit.amount // max(instances, FEWEST_INSTANCES) // SPARE_SHARE

    def has_too_many(self, instances: int) -> bool:
        """Whether some must be given back at once: any of a small limit, else more than a burst will need again."""
        return self.held - self.in_use > 2 * self.spare(instances)

    def look(self, instances: int) -> bool:
        """Whether more slots than the spare ones were not needed since the last look."""
        self._recent_peak, self._peak = self._peak, self.in_use
        return self.held > self._recent_peak + self.spare(instances)

    def claim(self, instances: int) -> Claim:
        """What to claim: the slots in use, those waited for, and some spare ones. What is not claimed is not held."""
        is_busy = self._waiting or self._peak or self._recent_peak
        want = self.in_use + (max(self._waiting, self.spare(instances)) if is_busy else 0)
        self.held, self._waiting = min(self.held, want), 0
        return Claim(self.limit, self.in_use, want)

    def receive(self, claim: Claim, held: int, trip: Trip) -> None:
        """The limiter's answer to the claim."""
        self.held = max(held, self.in_use)
        self._until = trip.sent_at + SLOT_LEASE_S
        if held < claim.want and held <= claim.in_use:
            self._refused_until = trip.back_at + REFUSAL_S
