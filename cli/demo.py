"""omni demo."""

import click
from rich.console import Console

from cli.client import Client
from cli.connection import connected
from cli.demo_steps import STEPS, Stage, perform
from cli.models import first_model
from cli.narration import Narrator


@click.command()
@click.option("--model", metavar="ID", help="Model to ask. Default: the first of the catalogue that chats.")
@connected
def command(client: Client, model: str | None) -> None:
    """Sends real requests to a running platform and times them: chat, stream, job, batch, webhook, limit.

    \b
    Example:
      omni demo
    """
    began = client.monotonic()
    stage = Stage(client, model or first_model(client), Narrator(Console()))
    click.echo(f"{client.base_url}, model {stage.model}")
    outcomes = [perform(stage, number, title, step) for number, (title, step) in enumerate(STEPS, 1)]
    stage.narrator.summary(outcomes, client.monotonic() - began)
    if not all(outcome.worked for outcome in outcomes):
        raise click.exceptions.Exit(1)
