"""A whole run of `omni chaos`, in a folder that is gone afterwards."""

import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import httpx

from local import firestore_emulator
from local.addresses import HOST, free_port
from local.chaos.flood import measure_flood, report_flood
from local.chaos.harness import Chaos
from local.chaos.report import report
from local.firestore_emulator import EmulatorMissing
from shared import telemetry
from shared.settings import StateKeeper


def run(minutes: float, jobs: int, seed: int, keeper: StateKeeper, *, flood: bool) -> int:
    """The exit status: 0 when nothing was lost or doubled, and no tenant kept another waiting."""
    telemetry.start_logging("chaos", "CRITICAL")  # what is passed over is meant to be
    click.echo(f"{keeper.value}, seed {seed}: {jobs} jobs over {minutes:g} min")
    try:
        with TemporaryDirectory(prefix="omni-chaos-") as name, state(keeper, Path(name)) as environment:
            is_sound = _broken(Path(name) / "broken", environment, minutes, jobs, seed)
            is_fair = not flood or _flooded(Path(name) / "flood", environment, seed)
    except EmulatorMissing as error:
        click.echo(f"Error: {error}", err=True)
        return 1
    return 0 if is_sound and is_fair else 1


def _broken(folder: Path, environment: dict[str, str], minutes: float, jobs: int, seed: int) -> bool:
    folder.mkdir()
    began = time.monotonic()
    chaos = Chaos(folder, environment, seed)
    try:
        totals = chaos.run(jobs, minutes * 60)
    finally:
        chaos.fleet.end()
    report(chaos.fleet.injected, totals, chaos.recoveries.times, time.monotonic() - began)
    return totals.is_sound


def _flooded(folder: Path, environment: dict[str, str], seed: int) -> bool:
    folder.mkdir()
    found = measure_flood(folder, environment, seed)
    report_flood(found)
    return found.is_fair


@contextmanager
def state(keeper: StateKeeper, folder: Path) -> Iterator[dict[str, str]]:
    """The settings that choose a store, with an emulator of its own if it is Firestore. EmulatorMissing."""
    if keeper is StateKeeper.SQLITE:
        yield {"OMNI_STATE": keeper.value}
        return
    port = free_port(random.SystemRandom().choice)
    command = firestore_emulator.command(HOST, port)
    with (folder / "firestore.log").open("wb") as log:
        emulator = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait_for(f"http://{HOST}:{port}/")
        yield {"OMNI_STATE": keeper.value, "FIRESTORE_EMULATOR_HOST": f"{HOST}:{port}"}
    finally:
        emulator.kill()
        emulator.wait()


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            if httpx.get(url, trust_env=False).is_success:
                return
        time.sleep(0.1)
    raise EmulatorMissing(f"the Firestore emulator did not answer at {url} within 60 s")
