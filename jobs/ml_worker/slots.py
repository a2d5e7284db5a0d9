"""How many requests and jobs the worker runs now, out of how many it can run at the same time."""

from shared import telemetry


class Slots:
    """Requests always count, also those that wait in the engine's queue; a job starts only when a slot is free."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.busy = 0
        self.waiting = 0
        """Jobs that wait for a slot."""

    def try_acquire(self) -> bool:
        """Takes a slot if one is free."""
        if self.busy >= self.total:
            return False
        self.acquire()
        return True

    def try_acquire_spare(self) -> bool:
        """Takes a slot that no waiting job wants, if one is left for callers besides."""
        if self.busy + self.waiting + 1 >= self.total:
            return False
        self.acquire()
        return True

    def acquire(self) -> None:
        """Counts a request, beyond the total if need be."""
        self.busy += 1
        telemetry.SLOTS_BUSY.set(self.busy)

    def release(self) -> None:
        self.busy -= 1
        telemetry.SLOTS_BUSY.set(self.busy)
