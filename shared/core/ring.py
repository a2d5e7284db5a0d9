"""What all instances together were granted of one limit: a ring of sub-windows, each with its units.

Units count until a window after the *end* of their sub-window, so the bound holds for every window and not only for
aligned ones. A token bucket as large as the limit would let twice the limit through in its first minute.
"""

from shared.core.limits import Ask, Grant, Units, Window


class Ring:
    """Times are seconds on a clock that never runs backwards."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._units: dict[int, int] = {}
        self._first = self._last = 0
        """No sub-window before the first or after the last holds units."""
        self._total = 0

    def take(self, ask: Ask, now: float) -> Grant:
        """Settles, then grants up to `most` as far as the limit has room, or nothing when that is less than `least`."""
        self._settle(ask, self._window.index(now) - self._window.sub_windows)
        amount, sub_window = ask.limit.amount, self._window.index(now + self._window.lease_s)
        least, free = min(ask.least, amount), amount - self._total
        granted = min(ask.most, free) if 0 < least <= free else 0
        self._add(sub_window, granted)
        return Grant(
            granted=granted,
            ceiling=amount,
            free=max(0, amount - self._total),
            sub_window=sub_window,
            retry_after_s=self._wait_s(least, amount, now) if granted < ask.most else 0.0,
            reset_s=self._expires_at(self._last) - now if self._total else 0.0,
        )

    def is_idle(self, now: float) -> bool:
        """Whether nothing counts any more, so that the ring can be forgotten."""
        self._forget_before(self._window.index(now) - self._window.sub_windows)
        return not self._total

    def units(self) -> Units:
        """What counts, by sub-window."""
        return tuple(self._units.items())

    def _settle(self, ask: Ask, oldest: int) -> None:
        self._forget_before(oldest)
        for at, units in ask.returned:
            self._add(at, -min(units, self._units.get(at, 0)))
        for at, units in ask.charged:
            if at >= oldest:
                self._add(at, units)

    def _add(self, at: int, units: int) -> None:
        if not units:
            return
        self._total += units
        self._first = min(self._first, at) if self._units else at
        self._last = max(self._last, at) if self._units else at
        self._units[at] = self._units.get(at, 0) + units
        if not self._units[at]:
            del self._units[at]
            while self._last > self._first and self._last not in self._units:
                self._last -= 1

    def _forget_before(self, oldest: int) -> None:
        if self._last < oldest:
            self._units.clear()
            self._total = 0
        while self._total and self._first < oldest:
            self._total -= self._units.pop(self._first, 0)
            self._first += 1

    def _wait_s(self, units: int, amount: int, now: float) -> float:
        """Until so many units are free, if nothing else is granted before."""
        missing, at = units - (amount - self._total), self._first
        while at < self._last and (missing := missing - self._units.get(at, 0)) > 0:
            at += 1
        return self._expires_at(at) - now

    def _expires_at(self, sub_window: int) -> float:
        return (sub_window + 1 + self._window.sub_windows) * self._window.sub_window_us / 1e6
