"""Capacity that all instances share."""

from typing import Protocol

from shared.core.limits import Grant


class Limiter(Protocol):
    def lease(self, subject: str, limit: int, want: int) -> Grant:
        """Takes up to `want` requests of `subject`'s `limit` per minute (`limit` ≥ 1, `want` ≥ 1).

        In every window of 60 s, over all instances, what is granted is at most `limit`.
        """
        ...
