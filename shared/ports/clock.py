"""Time, passed in so that limits and leases are tested without waiting."""

from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since 1970, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never runs backwards; only differences mean anything."""
        ...
