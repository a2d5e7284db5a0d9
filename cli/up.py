"""omni up."""

import click

from shared.settings import StateKeeper


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="The gateway's port.")
@click.option(
    "--state",
    type=click.Choice([each.value for each in StateKeeper]),
    default=StateKeeper.SQLITE.value,
    show_default=True,
    help="What holds the documents: a file, or Firestore's emulator in memory.",
)
@click.option("--model", metavar="NAME|FILE|none", help="Model of the worker; none starts no worker.")
def command(port: int, state: str, model: str | None) -> None:
    """Starts the whole platform on this machine: gateway, routes, worker, queue and schedules. Ctrl-C stops all of it.

    \b
    Examples:
      omni up
      omni up --port 9000 --model none
      omni up --state firestore
    """
    from local import up

    raise SystemExit(up.run(port, StateKeeper(state), model))
