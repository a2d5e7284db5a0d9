"""A circuit breaker for one upstream: while it fails for every caller, it is left alone.

Closed, it lets everything through. What opens it is five failures without a success between them that speak of the
upstream. A failed connection does, whoever the caller is. A request that failed there may itself be the reason, so each
body counts once, and each tenant three times at most: no tenant alone, and no body alone, shuts an upstream for the
others. Then nothing goes there until the pause is over, when a single request may probe. Success closes it; failure
opens it again for twice as long, up to a minute, unless the probe is of the tenant whose probe failed last: then the
next request may probe. It never polls: a poll would wake a sleeping GPU, and cost money.
"""

from dataclasses import dataclass, field
from enum import IntEnum

FAILURES_TO_OPEN = 5
MOST_OF_A_TENANT = 3
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0


class BreakerState(IntEnum):
    """As the metric shows it."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


@dataclass(frozen=True, slots=True)
class Suspect:
    """A request that failed once the upstream had it, and may itself be the reason."""

    tenant: str
    digest: bytes
    """Of its body."""


@dataclass(slots=True)
class Breaker:
    """Times are seconds on a clock that never runs backwards."""

    _unreachable: int = 0
    _suspects: dict[bytes, str] = field(default_factory=dict)
    """Bodies that failed since the last success, and their tenants; only those that count, FAILURES_TO_OPEN at most."""
    _pause_s: float = 0.0
    """0 while closed."""
    _opens_until: float = 0.0
    _probing: bool = False
    _last_probe_of: str = ""

    def admits(self, now: float) -> bool:
        """Whether a request may go there. A True while half open makes that request the probe; `record_success`,
        `record_failure` or `forget_probe` must follow."""
        if not self._pause_s:
            return True
        if self._probing or now < self._opens_until:
            return False
        self._probing = True
        return True

    def record_success(self) -> None:
        self._unreachable, self._pause_s, self._probing, self._last_probe_of = 0, 0.0, False, ""
        self._suspects.clear()

    def record_failure(self, now: float, suspect: Suspect | None = None) -> None:
        """`suspect` is the request, if the upstream had it; None when no connection was made."""
        if self._pause_s:
            self._fail_probe(now, suspect)
            return
        if suspect is None:
            self._unreachable += 1
        elif list(self._suspects.values()).count(suspect.tenant) < MOST_OF_A_TENANT:
            self._suspects.setdefault(suspect.digest, suspect.tenant)
        if self._unreachable + len(self._suspects) >= FAILURES_TO_OPEN:
            self._open(now)

    def forget_probe(self) -> None:
        """The request that was let through ended without saying anything of the upstream: its caller left."""
        self._probing = False

    @property
    def suspects(self) -> tuple[bytes, ...]:
        """The bodies that failed since the last success."""
        return tuple(self._suspects)

    @property
    def has_failures(self) -> bool:
        """Since the last success."""
        return bool(self._unreachable or self._suspects)

    def state(self, now: float) -> BreakerState:
        if not self._pause_s:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now < self._opens_until else BreakerState.HALF_OPEN

    def pause_left_s(self, now: float) -> float:
        """Seconds until a probe may go there; 0 when nothing stands in the way."""
        return max(0.0, self._opens_until - now) if self._pause_s else 0.0

    def _fail_probe(self, now: float, suspect: Suspect | None) -> None:
        if not self._probing:
            return  # it was under way when the breaker opened
        self._probing = False
        if suspect and suspect.tenant == self._last_probe_of:
            return
        self._last_probe_of = suspect.tenant if suspect else ""
        self._open(now)

    def _open(self, now: float) -> None:
        self._pause_s = min(LONGEST_PAUSE_S, self._pause_s * 2 or FIRST_PAUSE_S)
        self._opens_until = now + self._pause_s
