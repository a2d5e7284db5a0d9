"""The sliding window that keeps a limit: in every window of 60 s, what was granted is at most the limit.

A ring of sub-windows holds what was granted and when. A grant counts as if it came at the *end* of its sub-window,
so the bound holds for every window and not only for aligned ones. A token bucket as large as the limit would let
twice the limit through in its first minute.
"""

import math
from collections import deque
from dataclasses import dataclass, field

WINDOW_S = 60.0
SUB_WINDOW_S = 0.1


@dataclass(frozen=True, slots=True)
class Grant:
    """The answer to a request for capacity. A refusal is `granted == 0`, never an exception."""

    granted: int
    limit: int
    """Per window; 0 means no limit."""
    remaining: int
    reset_s: float
    """Seconds until the whole limit is free again."""
    retry_after_s: float
    """Seconds until at least one more can be granted; 0 when something was granted."""


UNLIMITED = Grant(granted=1, limit=0, remaining=0, reset_s=0.0, retry_after_s=0.0)


@dataclass(slots=True)
class Ring:
    """What one subject was granted in the last window. Times are seconds on any clock that never runs backwards."""

    limit: int
    _sub_windows: deque[tuple[float, int]] = field(default_factory=deque)
    _total: int = 0

    def take(self, want: int, now: float) -> Grant:
        """Grants up to `want`, as much as the limit has left."""
        self._expire(now)
        granted = min(want, max(0, self.limit - self._total))
        if granted:
            self._record(granted, now)
        return Grant(
            granted=granted,
            limit=self.limit,
            remaining=max(0, self.limit - self._total),
            reset_s=self._sub_windows[-1][0] + WINDOW_S - now if self._sub_windows else 0.0,
            retry_after_s=0.0
            if granted
            else self._sub_windows[0][0] + WINDOW_S - now
            if self._sub_windows
            else WINDOW_S,
        )

    def idle(self, now: float) -> bool:
        """Whether nothing granted counts any more, so that the ring can be forgotten."""
        self._expire(now)
        return not self._sub_windows

    def _record(self, granted: int, now: float) -> None:
        end = (math.floor(now / SUB_WINDOW_S) + 1) * SUB_WINDOW_S
        self._total += granted
        if self._sub_windows and self._sub_windows[-1][0] == end:
            granted += self._sub_windows.pop()[1]
        self._sub_windows.append((end, granted))

    def _expire(self, now: float) -> None:
        while self._sub_windows and self._sub_windows[0][0] <= now - WINDOW_S:
            self._total -= self._sub_windows.popleft()[1]
