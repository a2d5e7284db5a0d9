"""Requests that the model's server fails on each time: after the second failure they are not sent to it for a while.

A body that crashes or stalls an engine does so again, and on the next server too. The memory is bounded: the body that
failed longest ago gives way.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from shared.core.backoff import Backoff

FAILURES_TO_REFUSE = 2
REFUSALS = Backoff(60.0, 600.0)
REMEMBERED_S = 900.0
MOST_BODIES = 1000


@dataclass(slots=True)
class _Failures:
    count: int = 0
    last_at: float = 0.0
    refused_until: float = 0.0


class RepeatedFailures:
    """By a digest of the body. Times are seconds on a clock that never runs backwards."""

    def __init__(self) -> None:
        self._bodies: OrderedDict[bytes, _Failures] = OrderedDict()

    def __len__(self) -> int:
        return len(self._bodies)

    def add(self, digest: bytes, now: float) -> None:
        """The server failed on this body once more."""
        found = self._remembered(digest, now) or _Failures()
        found.count, found.last_at = found.count + 1, now
        if found.count >= FAILURES_TO_REFUSE:
            found.refused_until = now + REFUSALS.after(found.count - FAILURES_TO_REFUSE + 1)
        self._bodies[digest] = found
        self._bodies.move_to_end(digest)
        if len(self._bodies) > MOST_BODIES:
            self._bodies.popitem(last=False)

    def refused_for_s(self, digest: bytes, now: float) -> float:
        """How long the body is still refused; 0 when it may be sent."""
        found = self._remembered(digest, now)
        return max(0.0, found.refused_until - now) if found else 0.0

    def forget(self, digests: Iterable[bytes]) -> None:
        """They were answered, or it was the server that failed on everything."""
        for digest in digests:
            self._bodies.pop(digest, None)

    def _remembered(self, digest: bytes, now: float) -> _Failures | None:
        found = self._bodies.get(digest)
        if found and now >= found.last_at + REMEMBERED_S:
            del self._bodies[digest]
            return None
        return found
