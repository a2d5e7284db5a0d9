"""`./omni up`: the whole platform on one machine."""

import asyncio
import random
import secrets
import sys
from contextlib import closing
from pathlib import Path

import click
import httpx
from rich.console import Console
from rich.table import Table

from local import model_choice, state_choice
from local.addresses import Addresses, PortTaken
from local.claim import AlreadyUp, UnusableFolder, claimed
from local.credentials import Credentials, UnusableCredentials, write_private
from local.firestore_emulator import EmulatorMissing
from local.guard import Guard
from local.journal import Journal, compact, json_screen, terminal_screen
from local.model_choice import UnknownModel
from local.stack import Stack
from local.supervisor import StartFailed, Supervisor
from shared.catalogue import CatalogueError
from shared.settings import Settings, SettingsError, StateKeeper, environment

PORTS_FILE = "ports.json"
PROBE_TIMEOUT_S = 2.0


def run(port: int, state: StateKeeper, model: str | None) -> int:
    """Runs the stack until Ctrl-C; the exit status. `model` is as in model_choice."""
    try:
        settings = Settings.load()
        with claimed(settings.state_dir) as claim:
            return _run(_stack(settings, port, state, model), claim)
    except (
        AlreadyUp,
        CatalogueError,
        EmulatorMissing,
        PortTaken,
        SettingsError,
        UnknownModel,
        UnusableCredentials,
        UnusableFolder,
    ) as error:
        click.echo(f"Error: {error}", err=True)
        return 1


def _stack(settings: Settings, port: int, state: StateKeeper, model: str | None) -> Stack:
    choice = model_choice.choose(model, settings)
    draw = random.SystemRandom().choice
    addresses = Addresses.choose(port, settings.state_dir / PORTS_FILE, draw)
    keeper = state_choice.choose(state, settings, draw)
    credentials = Credentials.made_once(settings.state_dir, lambda: secrets.token_hex(24))
    return Stack(environment(), keeper, settings.state_dir.resolve(), addresses, credentials, choice)


def _run(stack: Stack, claim: int) -> int:
    screen = terminal_screen if sys.stderr.isatty() else json_screen
    with closing(Journal(stack.state_dir / "logs", screen(sys.stderr))) as journal, closing(Guard(claim)) as guard:
        try:
            asyncio.run(_supervise(stack, journal, guard))
        except StartFailed as failure:
            last_lines = "\n".join(f"  {compact(line)}" for line in journal.last_lines(failure.name))
            click.echo(f"Error: {failure}. The last it said:\n{last_lines}", err=True)
            return 1
    return 0


async def _supervise(stack: Stack, journal: Journal, guard: Guard) -> None:
    async with httpx.AsyncClient(timeout=PROBE_TIMEOUT_S, trust_env=False) as client:

        async def is_ready(url: str) -> bool:
            try:
                return (await client.get(url)).is_success
            except httpx.TransportError:
                return False

        await Supervisor(stack.programs(), journal, guard, is_ready).run(lambda: _announce(stack))


def _announce(stack: Stack) -> None:
    base_url = stack.addresses.gateway_url
    dev_env = stack.state_dir / "dev.env"
    write_private(dev_env, f"OMNI_BASE_URL={base_url}\nOMNI_API_KEY={stack.credentials.master_key}\n")
    table = Table(show_header=False)
    table.add_row("API", f"{base_url}/v1")
    table.add_row("Documentation", f"{base_url}/api/docs")
    table.add_row("Model", stack.model.name)
    table.add_row("State", stack.state.label)
    table.add_row("Key", f"OMNI_API_KEY in {_short(dev_env)}")
    table.add_row("Logs", _short(stack.state_dir / "logs"))
    console = Console(highlight=False)
    console.print(table)
    console.print(f"READY {base_url}")


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
