"""A circuit breaker for one upstream: after repeated failures it is left alone for a while.

Closed, it lets everything through. Five failures in a row open it; then nothing goes there until the pause is over,
when a single request may probe. Success closes it, failure opens it again for twice as long, up to a minute. It never
polls: a poll would wake a sleeping GPU, and cost money.
"""

from dataclasses import dataclass
from enum import IntEnum

FAILURES_TO_OPEN = 5
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0


class BreakerState(IntEnum):
    """As the metric shows it."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


@dataclass(slots=True)
class Breaker:
    """Times are seconds on a clock that never runs backwards."""

    _failures: int = 0
    _pause_s: float = 0.0
    _opens_until: float = 0.0
    _probing: bool = False

    def admits(self, now: float) -> bool:
        """Whether a request may go there. A True while half open makes that request the probe; `record` must follow."""
        if self._failures < FAILURES_TO_OPEN:
            return True
        if self._probing or now < self._opens_until:
            return False
        self._probing = True
        return True

    def record(self, now: float, *, succeeded: bool) -> None:
        self._probing = False
        if succeeded:
            self._failures, self._pause_s = 0, 0.0
            return
        self._failures += 1
        if self._failures >= FAILURES_TO_OPEN:
            self._pause_s = min(LONGEST_PAUSE_S, self._pause_s * 2 or FIRST_PAUSE_S)
            self._opens_until = now + self._pause_s

    def forget_probe(self) -> None:
        """The request that was let through ended without telling anything of the upstream: its caller left."""
        self._probing = False

    def state(self, now: float) -> BreakerState:
        if self._failures < FAILURES_TO_OPEN:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now < self._opens_until else BreakerState.HALF_OPEN

    def pause_left_s(self, now: float) -> float:
        """Seconds until a probe may go there; 0 when nothing stands in the way."""
        return max(0.0, self._opens_until - now) if self._failures >= FAILURES_TO_OPEN else 0.0
