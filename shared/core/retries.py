"""How often a failed request is tried again, and when not to: retries must not multiply the load on what is failing."""

from dataclasses import dataclass

from shared.core.backoff import Backoff

MOST_RETRIES = 2
BACKOFF = Backoff(0.1, 2.0)


def delay_s(retry: int, jitter: float) -> float:
    """Seconds to wait before retry number `retry` (from 1): exponential, and spread by `jitter` in [0, 1)."""
    return BACKOFF.after(retry) * (0.5 + jitter / 2)


@dataclass(slots=True)
class RetryBudget:
    """Allows one retry for every ten requests, and a few more at the start: in an outage nearly nothing is retried."""

    share: float = 0.1
    most: float = 10.0
    _left: float = 10.0

    def earn(self) -> None:
        """For each request."""
        self._left = min(self.most, self._left + self.share)

    def spend(self) -> bool:
        """For each retry; False when it must not be made."""
        if self._left < 1:
            return False
        self._left -= 1
        return True
