"""A whole run of `omni chaos`, in a folder that is gone afterwards."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from local.chaos import Chaos, report, state
from local.firestore_emulator import EmulatorMissing
from shared.settings import StateKeeper


def run(minutes: float, jobs: int, seed: int, keeper: StateKeeper) -> int:
    """The exit status: 0 when nothing was lost or doubled."""
    click.echo(f"{keeper.value}, seed {seed}: {jobs} jobs over {minutes:g} min")
    began = time.monotonic()
    try:
        with TemporaryDirectory(prefix="omni-chaos-") as name, state(keeper, Path(name)) as environment:
            chaos = Chaos(Path(name), environment, seed)
            try:
                totals = chaos.run(jobs, minutes * 60)
            finally:
                chaos.fleet.end()
            report(chaos, totals, time.monotonic() - began)
    except EmulatorMissing as error:
        click.echo(f"Error: {error}", err=True)
        return 1
    return 0 if totals.is_sound else 1
