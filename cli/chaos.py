"""omni chaos."""

import click

from shared.settings import StateKeeper


@click.command()
@click.option(
    "--minutes",
    type=click.FloatRange(0.1),
    default=10.0,
    show_default=True,
    help="How long jobs are made and workers killed.",
)
@click.option("--jobs", type=click.IntRange(1), default=1000, show_default=True, help="How many jobs.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of what is done to the workers.")
@click.option(
    "--state",
    type=click.Choice([each.value for each in StateKeeper]),
    default=StateKeeper.SQLITE.value,
    show_default=True,
    help="What holds the documents.",
)
@click.option("--flood/--no-flood", default=True, show_default=True, help="Then let one tenant flood it.")
def command(minutes: float, jobs: int, seed: int, state: str, *, flood: bool) -> None:
    """Kills, stops and stalls workers while jobs run among poisoned documents and retry storms, and counts what was
    lost or done twice: the goal is nothing. Then lets one tenant flood the platform while another waits.

    \b
    Example:
      omni chaos --minutes 5 --seed 7 --state firestore
    """
    from local.chaos import run

    raise SystemExit(run.run(minutes, jobs, seed, StateKeeper(state), flood=flood))
