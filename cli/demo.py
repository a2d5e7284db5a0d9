"""omni demo."""

import click
from rich.console import Console

from cli.client import Client
from cli.connection import connected
from cli.demo_steps import STEPS, Stage
from cli.errors import CliError
from cli.models import first_model
from cli.narration import Narrator, Outcome


@click.command()
@click.option("--model", metavar="ID", help="Model to ask. Default: the first of the catalogue that chats.")
@connected
def command(client: Client, model: str | None) -> None:
    """Shows a running platform at work: chat, stream, job, batch, a limit being hit. Every answer is real and timed.

    \b
    Example:
      omni demo
    """
    began = client.monotonic()
    stage = Stage(client, model or first_model(client), Narrator(Console()))
    click.echo(f"{client.base_url}, model {stage.model}")
    outcomes = [_perform(stage, number) for number in range(len(STEPS))]
    stage.narrator.summary(outcomes, client.monotonic() - began)
    if not all(outcome.worked for outcome in outcomes):
        raise click.exceptions.Exit(1)


def _perform(stage: Stage, number: int) -> Outcome:
    """One step; a failure is told and the next step goes on."""
    title, step = STEPS[number]
    stage.narrator.begin(number + 1, title)
    try:
        return Outcome(title, worked=True, measured=step(stage))
    except CliError as error:
        stage.narrator.failed(error.format_message())
        return Outcome(title, worked=False, measured=error.message)
