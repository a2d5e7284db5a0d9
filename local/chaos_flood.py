"""One tenant floods the platform: how much longer another one waits than it would alone."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from local.chaos import Chaos
from local.chaos_fleet import WORKERS
from shared.core.jobs import Job

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

    @property
    def is_fair(self) -> bool:
        """Twice the time, and the one run that had begun before."""
        return self.beside_s <= 2 * self.alone_s + RUN_S


def flood(folder: Path, environment: Mapping[str, str], seed: int) -> Flood:
    alone = _time(folder / "alone", environment, seed, 0)
    return Flood(alone, _time(folder / "beside", environment, seed, FLOOD))


def report(found: Flood) -> None:
    click.echo(
        f"flood: {NUMBER} jobs take {found.alone_s:.1f} s alone, {found.beside_s:.1f} s beside a tenant with {FLOOD} "
        f"({found.beside_s / found.alone_s:.1f} times)"
    )


def _time(folder: Path, environment: Mapping[str, str], seed: int, others: int) -> float:
    folder.mkdir()
    chaos = Chaos(folder, environment, seed, tenant_jobs=SHARE)
    chaos.fleet.spare()
    try:
        _finish(chaos, [chaos.create(tenant="quiet", seconds=RUN_S) for _ in range(WORKERS)])  # the workers are up
        for _ in range(others):
            chaos.create(tenant="loud", seconds=RUN_S)
        began = time.monotonic()
        _finish(chaos, [chaos.create(tenant="quiet", seconds=RUN_S) for _ in range(NUMBER)])
        return time.monotonic() - began
    finally:
        chaos.fleet.end()


def _finish(chaos: Chaos, job_ids: list[str]) -> None:
    over_at = time.monotonic() + MOST_S
    left = set(job_ids)
    while left and time.monotonic() < over_at:
        chaos.look_after()
        left = {each for each in left if not _job(chaos, each).state.is_final}


def _job(chaos: Chaos, job_id: str) -> Job:
    return chaos.jobs.get("quiet", job_id)
