"""`./omni test`: everything that can be checked on this machine."""

import subprocess
import sys
from pathlib import Path

import click

CHECKOUT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
STEPS = {
    "format": ("ruff", "format", "--check", "--quiet"),
    "lint": ("ruff", "check", "--quiet"),
    "types": ("mypy",),
    "imports": ("lint-imports",),
}
PYTEST = ("pytest", "--cov", "--cov-report=term:skip-covered")


def run(args: list[str]) -> int:
    """With arguments, pytest with them; else every step and then the whole suite. The exit status."""
    if args:
        return _call("pytest", *args)
    failed = [name for name, command in STEPS.items() if not _passes(name, command)]
    if failed:
        click.secho(f"FAILED before the tests: {', '.join(failed)}", fg="red", bold=True)
    return _call(*PYTEST) or bool(failed)


def _passes(name: str, command: tuple[str, ...]) -> bool:
    done = subprocess.run(
        [BIN / command[0], *command[1:]], cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode:
        click.echo(done.stdout)
    click.echo(f"{name:<8} {'FAILED' if done.returncode else 'ok'}  ({' '.join(command)})")
    return done.returncode == 0


def _call(program: str, *arguments: str) -> int:
    return subprocess.run([BIN / program, *arguments], cwd=CHECKOUT, check=False).returncode
