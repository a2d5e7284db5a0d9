"""omni smoke."""

import json
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console

from cli import demo_steps, smoke_steps
from cli.client import Client
from cli.connection import connected
from cli.demo_steps import Stage
from cli.errors import CliError
from cli.models import first_model
from cli.narration import Narrator, Outcome
from cli.places import CHECKOUT, named_by_caller

REPORTS = CHECKOUT / ".omni" / "smoke"
STEPS = (("Health", smoke_steps.health), *demo_steps.STEPS, ("Embedding", smoke_steps.embedding))


@click.command()
@click.option("--model", metavar="ID", help="Model to ask. Default: the first of the catalogue that chats.")
@click.option("--to", metavar="FOLDER", help="Where to write the report. Default: .omni/smoke.")
@connected
def command(client: Client, model: str | None, to: str | None) -> None:
    """Tests a platform and writes a report: health, chat, stream, job, limit, embedding, batch. Fails if one fails.

    \b
    Example:
      omni smoke --base-url https://omni-gateway-123.europe-west4.run.app --api-key ...
    """
    raise SystemExit(run(client, model, named_by_caller(to) if to else REPORTS))


def run(client: Client, model: str | None, folder: Path) -> int:
    """The exit status: 0 when every step worked that the platform offers."""
    started, began = datetime.now(UTC), client.monotonic()
    narrator = Narrator(Console())
    outcomes = _outcomes(client, model, narrator)
    narrator.summary(outcomes, client.monotonic() - began)
    for file in _write(folder, started, client.base_url, outcomes):
        click.echo(f"Report: {file}")
    return int(not all(outcome.worked for outcome in outcomes))


def _outcomes(client: Client, model: str | None, narrator: Narrator) -> list[Outcome]:
    try:
        stage = Stage(client, model or first_model(client), narrator)
    except CliError as error:
        return [Outcome("Reach it", worked=False, measured=error.message)]
    return [demo_steps.perform(stage, number, title, step) for number, (title, step) in enumerate(STEPS, 1)]


def _write(folder: Path, started: datetime, base_url: str, outcomes: list[Outcome]) -> tuple[Path, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    name = folder / f"{started:%Y%m%dT%H%M%SZ}"
    steps = [{"step": each.title, "worked": each.worked, "measured": each.measured} for each in outcomes]
    told = {
        "time": started.isoformat(),
        "base_url": base_url,
        "worked": all(e.worked for e in outcomes),
        "steps": steps,
    }
    rows = [f"| {each.title} | {'yes' if each.worked else '**no**'} | {_cell(each.measured)} |" for each in outcomes]
    page = [
        f"# {base_url} at {started:%Y-%m-%d %H:%M:%S} UTC",
        "",
        "| step | worked | measured |",
        "| --- | --- | --- |",
    ]
    (data := name.with_suffix(".json")).write_text(json.dumps(told, indent=2) + "\n")
    (text := name.with_suffix(".md")).write_text("\n".join([*page, *rows]) + "\n")
    return data, text


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
