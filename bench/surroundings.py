"""How much of the machine others use while something is measured: with much of it, the figures mean nothing."""

import os
import time
from pathlib import Path

from bench.processes import TICKS_PER_S, Server

MOST = 0.05
"""Of all cores together. Beyond it no goal is judged."""
IDLE_FIELDS = {3, 4}
"""`idle` and `iowait` among the numbers of /proc/stat; those from the ninth on are contained in the first two."""


class Surroundings:
    """Watches from its making on. The servers must live until it is asked."""

    def __init__(self, *servers: Server) -> None:
        self._servers = servers
        self._others_before, self._started = self._others_s(), time.perf_counter()

    def others_share(self) -> float:
        """Of all cores' time since then, what went neither to the servers nor to this process."""
        available = (time.perf_counter() - self._started) * (os.cpu_count() or 1)
        return max(0.0, (self._others_s() - self._others_before) / available)

    def _others_s(self) -> float:
        return _busy_s() - time.process_time() - sum(server.cpu_s() for server in self._servers)


def _busy_s() -> float:
    """Time that all cores together have worked since the machine's start."""
    numbers = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    return sum(int(ticks) for field, ticks in enumerate(numbers) if field not in IDLE_FIELDS) / TICKS_PER_S


def verdict(others: float, goals: dict[str, bool]) -> str:
    """The goals for a terminal, or why they are not judged."""
    if others > MOST:
        return f"others used {others:.0%} of the machine: these figures do not hold, and no goal is judged by them"
    lines = [f"{'reached' if reached else 'MISSED '}  {goal}" for goal, reached in goals.items()]
    return "\n".join(["goals:", *lines]) if lines else ""
