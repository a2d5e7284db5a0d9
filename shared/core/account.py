"""What one instance holds of a budget: money leased from the ledger, reserved for requests and settled from memory.

It leases ahead what it is likely to need in the next half minute. What it does not need goes back: after a moment
without requests all of it, and at once what is more than its part of a budget that runs out.
"""

from shared.core.budgets import MOST_PARTS, Ask, Budget, Grant, Standing, day_ends_at, day_of, is_spent

HORIZON_S = 30.0
RENEW_S = 30.0
"""How long an instance that goes on spending waits at most before it tells the ledger."""
IDLE_S = 2.0
RETRY_S = 0.25
"""How long a refusal is believed while others hold money that they may give back ..."""
LOOK_AGAIN_S = 30.0
"""... and when all is spent."""


class Account:
    """Times are seconds on the instance's own monotonic clock, but for those since 1970, called `wall`."""

    def __init__(self, subject: str, budget: Budget, *, strict: bool) -> None:
        self.subject = subject
        self.budget = budget
        self.strict = strict
        self.standing = Standing()
        self.is_failing = False
        """Whether the ledger could not be asked the last time."""
        self.retry_at = 0.0
        self._held = 0
        self._reserved = 0
        self._used = 0
        self._free = 0
        self._day = ""
        """Of the lease; the held, the reserved and the used together are what was leased."""
        self._until = 0.0
        self._number = 0
        self._pending: Ask | None = None
        self._waiting: list[int] = []
        self._short = False
        """What is held is a short grant, good for one request of any size."""
        self._short_out = 0
        """Requests with a short reservation: one at most."""
        self._peak = 0
        self._asked_at = 0.0
        self._busy_at = 0.0
        self._refused_until = 0.0
        self._refused = 0
        self._is_resting = False

    def change(self, budget: Budget, *, strict: bool) -> None:
        """Another budget from now on; a refusal is forgotten."""
        self.budget, self.strict, self._refused_until = budget, strict, 0.0

    def covers(self, amount: int, now: float) -> bool:
        return now < self._until and (amount <= self._held or (self._short and self._held > 0))

    def reserve(self, amount: int, now: float) -> int:
        """Takes what is covered; a short grant is less than was asked for, and all there is."""
        reserved = min(amount, self._held)
        if reserved < amount:
            self._short_out += 1
        self._short = False
        self._held -= reserved
        self._reserved += reserved
        self._peak = max(self._peak, self._reserved)
        self._busy_at = now
        return reserved

    def settle(self, amount: int, reserved: int, cost: int, now: float) -> None:
        """The request that asked for an amount and got that reservation cost so much."""
        if reserved < amount:
            self._short_out -= 1
        self._reserved -= reserved
        self._used += cost
        self._held += reserved - cost
        self._busy_at = now
        self._refused_until = 0.0

    def refused_for_s(self, amount: int, now: float) -> float:
        """How long this much is known not to be there; 0 when the ledger may be asked."""
        return self._refused_until - now if now < self._refused_until and amount >= self._refused else 0.0

    def wait_for(self, amount: int) -> None:
        self._waiting.append(amount)

    def has_to_tell(self, now: float) -> bool:
        """Whether the ledger ought to be told something though nobody waits."""
        if self._pending or self._held < 0 or self.has_too_much(now) or self._is_low(now):
            return True
        return bool(self._used or self._reserved) and now - self._asked_at >= RENEW_S

    def has_too_much(self, now: float) -> bool:
        """Whether it holds what others may need more."""
        if self._held <= 0:
            return False
        if self._is_resting:
            return True
        is_idle = not self._reserved and now - self._busy_at >= IDLE_S
        return is_idle or self._held * MOST_PARTS > self._free + self._held

    def is_idle(self, now: float) -> bool:
        """Whether nothing is lost when the account is forgotten."""
        return not (self._held or self._reserved or self._used or self._pending) and now >= self._refused_until

    def ask(self, now: float, wall: float) -> Ask:
        """What to ask the ledger: what was asked before and not answered, else what is due."""
        if self._pending is None:
            self._pending = self._next_ask(now, day_of(wall))
        return self._pending

    def receive(self, ask: Ask, grant: Grant, now: float, wall: float) -> None:
        """The ledger's answer. `now` and `wall` are of before the ask."""
        self._pending, self.is_failing = None, False
        self._held += grant.granted
        self._free, self.standing = grant.free, grant.standing
        self._day = ask.today if ask.keep or grant.granted else ""
        self._until = now + day_ends_at(wall) - wall if ask.today == day_of(wall) else 0.0
        self._short = grant.is_short
        if ask.least and not grant.granted:
            self._refused = ask.least
            self._refused_until = now + (LOOK_AGAIN_S if is_spent(self.budget, grant.standing) else RETRY_S)

    def fail(self, now: float) -> None:
        """The ledger could not be reached; it is not known whether it took the ask."""
        self.is_failing, self.retry_at = True, now + RETRY_S

    def rest(self) -> None:
        """The instance is leaving: what is not needed goes back at once."""
        self._is_resting, self._asked_at = True, float("-inf")

    def _next_ask(self, now: float, today: str) -> Ask:
        """What is due: to settle a ledger whose month is over, to lease what waits, to lease ahead, to give back."""
        is_over = self._day != "" and self._day[:7] != today[:7]
        gives_back = is_over or not self._day or bool(self._waiting) or self.has_too_much(now)
        least = most = 0
        if self._waiting and not is_over:
            least, most = min(self._waiting), sum(self._waiting) + self._ahead(now)
        elif not gives_back and self._is_low(now):
            least = most = self._ahead(now)
        retained = 0 if gives_back else max(0, self._held)
        self._number += 1
        ask = Ask(
            subject=self.subject,
            month=self._day[:7] if is_over else today[:7],
            budget=self.budget,
            today=self._day if is_over else today,
            day=self._day or today,
            number=self._number,
            block=self._held + self._reserved + self._used if self._day else 0,
            used=self._used,
            keep=0 if is_over else self._reserved + retained,
            keeps_short=self._short_out > 0 and not is_over,
            least=least,
            most=most,
        )
        self._held, self._used, self._short, self._asked_at = retained, 0, False, now
        if not is_over:
            self._waiting, self._peak = [], self._reserved
        return ask

    def _ahead(self, now: float) -> int:
        """What is likely to be needed: as much at a time as since the last ask, and as much a second."""
        return self._peak + int(self._used / max(1.0, now - self._asked_at) * HORIZON_S)

    def _is_low(self, now: float) -> bool:
        part = min(self._ahead(now), (self._free + self._held) // MOST_PARTS)
        return not self._short_out and self._held * 2 < part
