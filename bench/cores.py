"""Which core does what, so that "requests/s a core" is true: the server under test has one core for itself."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cores:
    server: int
    load: int
    """The load generator and the mock upstream."""

    @property
    def shared(self) -> bool:
        """Whether the machine has a single core, which makes every rate too low."""
        return self.server == self.load

    @classmethod
    def choose(cls) -> "Cores":
        """The last core for the server, because interrupts are mostly served by the first."""
        allowed = sorted(os.sched_getaffinity(0))
        return cls(server=allowed[-1], load=allowed[0])


@contextmanager
def pinned(*cores: int) -> Iterator[None]:
    """Runs what is inside, and every process started there, on these cores only; none named: as before."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
