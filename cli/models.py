"""omni models."""

import click

from cli.answers import ModelCard, Page
from cli.client import Answer, Client
from cli.connection import connected
from cli.errors import CliError
from cli.output import show_table, shown_by

PATH = "/v1/models"


def show_models(answer: Answer) -> None:
    show_table(("MODEL", "KINDS", "CONTEXT"), [_row(model) for model in answer.as_type(Page[ModelCard]).data])


@click.command()
@shown_by(show_models)
@connected
def command(client: Client) -> Answer:
    """Lists the models that your key may use.

    \b
    Example:
      omni models
    """
    return client.get(PATH)


def first_model(client: Client, kind: str = "chat") -> str:
    """The first model of the catalogue that can do `kind`; CliError when none can."""
    for model in client.get(PATH).as_type(Page[ModelCard]).data:
        if kind in model.kinds:
            return model.id
    raise CliError(f"The catalogue (models.toml) has no model of the kind '{kind}'.")


def _row(model: ModelCard) -> tuple[str, str, str]:
    return model.id, ", ".join(model.kinds), f"{model.context:,} tokens" if model.context else "-"
