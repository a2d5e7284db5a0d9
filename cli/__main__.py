"""The `omni` command. Each command's module is imported only when that command runs, so that help is quick."""

import os
import sys
from contextlib import suppress
from importlib import import_module

import click

COMMANDS = {
    "up": "Starts the whole platform on this machine.",
    "demo": "Runs chat, job, batch, webhook and limit on a running platform.",
    "chat": "Asks a model and prints the answer as it comes.",
    "models": "Lists the models that your key may use.",
    "keys": "Creates, lists, changes, rotates and revokes API keys.",
    "usage": "Shows usage and cost.",
    "jobs": "Submits, watches, cancels and retries jobs.",
    "batch": "Submits, watches and fetches files of requests.",
    "files": "Uploads, lists, fetches and deletes files.",
    "webhooks": "Manages webhook secrets and deliveries; runs a receiver.",
    "quarantine": "Lists and releases documents that were set aside.",
    "test": "Runs every test that this machine can run.",
    "bench": "Measures this platform beside its peers.",
    "deploy": "Puts the platform on Google Cloud.",
    "destroy": "Removes the platform from Google Cloud.",
    "cost": "Estimates the monthly bill.",
    "smoke": "Tests a running platform and writes a report.",
    "chaos": "Kills and stops workers while jobs run, and counts what was lost.",
    "lint": "Checks style, types and import rules.",
    "sbom": "Lists every package that runs, as CycloneDX.",
    "package": "Packs the Cloud Functions for Terraform.",
    "lock": "Regenerates the locked requirements.",
}
"""Every command with the sentence that the overview shows for it; `command` in the module cli.NAME is the command."""


class Commands(click.Group):
    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"cli.{cmd_name}").command
        command.name = cmd_name
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def omni() -> None:
    """A self-hosted AI platform: one OpenAI-compatible address, your own models, durable jobs.

    \b
    Begin with:
      omni up      in one terminal
      omni demo    in another
    """


def main() -> None:
    """The process's edge: what the operating system refuses is told in a sentence."""
    try:
        omni(prog_name="omni")
    except UnicodeError:
        click.echo("Error: An argument holds what is not valid UTF-8.", err=True)
        sys.exit(1)
    except OSError as error:
        named = f"{error.filename}: " if error.filename else ""
        with suppress(OSError):  # also where it is standard error that is closed or full
            click.echo(f"Error: {named}{error.strerror or error}.", err=True)
        os._exit(1)  # at its end Python would try once more to write what cannot be written


if __name__ == "__main__":
    main()
