"""One tenant floods the platform: how much longer another one waits than it would alone."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from local.chaos.fleet import WORKERS
from local.chaos.harness import Chaos
from shared.core.jobs import Job
from shared.ports.store import Operator, Query

SLOTS = WORKERS * 4
FLOOD = 300
"""Jobs of the tenant that floods ..."""
NUMBER = 2 * SLOTS
"""... and of the other."""
RUN_S = 0.5
SHARE = 18
"""Jobs that a tenant may have in flight: one and a half times the slots, as is the rule."""
MOST_S = 120.0


@dataclass(frozen=True, slots=True)
class Flood:
    alone_s: float
    """From the tenant's first job until its last has ended."""
    beside_s: float
    others: int
    """Jobs of the flood that ended meanwhile."""

    @property
    def is_fair(self) -> bool:
        """Whether the tenant got its half of the slots: beside those of the flood that were in flight when it came, and
        those that ran when it ended, no more of the flood ended than of its own. Seconds are the machine's too, which
        others may load."""
        return self.others <= NUMBER + SHARE + SLOTS


def measure_flood(folder: Path, environment: Mapping[str, str], seed: int) -> Flood:
    alone_s, _ = _measured(folder / "alone", environment, seed, 0)
    beside_s, others = _measured(folder / "beside", environment, seed, FLOOD)
    return Flood(alone_s, beside_s, others)


def report_flood(found: Flood) -> None:
    click.echo(
        f"flood: {NUMBER} jobs take {found.alone_s:.1f} s alone, {found.beside_s:.1f} s beside a tenant with {FLOOD} "
        f"({found.beside_s / found.alone_s:.1f} times); {found.others} of its jobs ended meanwhile"
    )


def _measured(folder: Path, environment: Mapping[str, str], seed: int, others: int) -> tuple[float, int]:
    """Seconds, and how many of the others' jobs ended in them."""
    folder.mkdir()
    chaos = Chaos(folder, environment, seed, tenant_jobs=SHARE)
    chaos.fleet.spare()
    try:
        _finish(chaos, [chaos.create(tenant="quiet", seconds=RUN_S) for _ in range(WORKERS)])  # the workers are up
        for _ in range(others):
            chaos.create(tenant="loud", seconds=RUN_S)
        began, ended = time.monotonic(), _ended(chaos)
        _finish(chaos, [chaos.create(tenant="quiet", seconds=RUN_S) for _ in range(NUMBER)])
        return time.monotonic() - began, _ended(chaos) - ended
    finally:
        chaos.fleet.end()


def _finish(chaos: Chaos, job_ids: list[str]) -> None:
    over_at = time.monotonic() + MOST_S
    left = set(job_ids)
    while left and time.monotonic() < over_at:
        chaos.look_after()
        left = {each for each in left if not _job(chaos, each).state.is_final}


def _ended(chaos: Chaos) -> int:
    where: tuple[tuple[str, Operator, Any], ...] = (("tenant", "==", "loud"), ("state", "==", "succeeded"))
    return chaos.store.count(Query("jobs", where, limit=1000))


def _job(chaos: Chaos, job_id: str) -> Job:
    return chaos.jobs.get("quiet", job_id)
