"""Rows 2 and 9: workers die as real processes. `omni chaos` is the same for as long as one likes."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.chaos.audit import POINTS
from local.chaos.harness import Chaos
from local.chaos.report import Totals
from shared.core.jobs import State
from tests.firestore_emulator import FirestoreEmulator, new_project

SEED = int(os.environ.get("CHAOS_SEED", "1"))


@pytest.fixture
def chaos(state: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Chaos]:
    environment = {"OMNI_STATE": state}
    if state == "firestore":
        emulator: FirestoreEmulator = request.getfixturevalue("firestore")
        environment |= {"FIRESTORE_EMULATOR_HOST": emulator.address, "OMNI_PROJECT": new_project()}
    chaos = Chaos(tmp_path, environment, SEED, most_passes=3)
    yield chaos
    chaos.fleet.end()


def say(chaos: Chaos, totals: Totals) -> None:
    sys.stdout.write(f"injected {chaos.fleet.injected}; found {totals}\n")


@pytest.mark.timeout(180)
def test_workers_killed_at_each_of_six_points(chaos: Chaos) -> None:
    """Row 2: SIGKILL at each of six points; all jobs final, none lost or charged twice."""
    totals = chaos.run_until(lambda: set(chaos.fleet.injected.points) == set(POINTS), 90.0)
    say(chaos, totals)
    assert set(chaos.fleet.injected.points) == set(POINTS)
    assert totals.states == {"succeeded": len(chaos.made)}
    assert totals.is_sound, totals


@pytest.mark.timeout(180)
def test_a_job_that_kills_its_worker_each_time(chaos: Chaos) -> None:
    """Row 9: a job that kills its worker each time; dead-lettered after max_attempts, neighbours unharmed."""
    chaos.fleet.spare()
    deadly = chaos.create(max_attempts=2, deadly=True)
    chaos.made.append(deadly)
    totals = chaos.run_until(lambda: len(chaos.made) == 20, 60.0)
    say(chaos, totals)
    dead = chaos.jobs.get("chaos", deadly)
    assert (dead.state, dead.attempt) == (State.FAILED, 2)
    assert dead.error is not None
    assert dead.error.code == "attempts_exhausted"
    assert totals.states == {"succeeded": 19, "failed": 1}
    assert totals.is_sound, totals
