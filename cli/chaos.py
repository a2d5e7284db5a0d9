"""omni chaos."""

import click

from shared.settings import StateKeeper


@click.command()
@click.option(
    "--minutes",
    type=click.FloatRange(0.1),
    default=10.0,
    show_default=True,
    help="How long to submit jobs and kill workers.",
)
@click.option("--jobs", type=click.IntRange(1), default=1000, show_default=True, help="Number of jobs.")
@click.option(
    "--seed", type=int, default=1, show_default=True, help="Seed of the faults: the same seed injects the same faults."
)
@click.option(
    "--state",
    type=click.Choice([each.value for each in StateKeeper]),
    default=StateKeeper.SQLITE.value,
    show_default=True,
    help="Document store.",
)
@click.option(
    "--flood/--no-flood",
    default=True,
    show_default=True,
    help="Also measure a quiet tenant beside one that floods the platform.",
)
def command(minutes: float, jobs: int, seed: int, state: str, *, flood: bool) -> None:
    """Kills, stops and stalls workers while jobs run among poisoned documents and retry storms, and counts what was
    lost or done twice: the goal is nothing. Then lets one tenant flood the platform while another waits.

    \b
    Example:
      omni chaos --minutes 5 --seed 7 --state firestore
    """
    from local.chaos import run

    raise SystemExit(run.run(minutes, jobs, seed, StateKeeper(state), flood=flood))
