"""`./omni test`: everything that can be checked on this machine."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import click

CHECKOUT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

Command = tuple[str, ...]

STEPS: Mapping[str, Command] = {
    "format": (f"{BIN}/ruff", "format", "--check", "--quiet"),
    "lint": (f"{BIN}/ruff", "check", "--quiet"),
    "types": (f"{BIN}/mypy",),
    "imports": (f"{BIN}/lint-imports", "--no-logo"),
}
TESTS: Command = (f"{BIN}/pytest",)
PROCESSES = min(4, 1 + (os.cpu_count() or 1))
"""Of tests. One more than there are processors, for many tests wait; not more than memory is sure to hold."""
AT_ONCE: Command = ("-n", str(PROCESSES), "--dist", "loadfile", "--no-loadscope-reorder")
"""tests/processes.py says what begins."""


def run(args: list[str], steps: Mapping[str, Command] = STEPS, tests: Command = TESTS) -> int:
    """With arguments, the tests they choose, one after the other; else every step and then all tests, several at once.

    The exit status.
    """
    if args:
        return _call(*tests, *args)
    failed = lint(steps)
    return _call(*tests, *AT_ONCE) or failed


def lint(steps: Mapping[str, Command] = STEPS) -> int:
    """Every step, and which of them failed; the exit status."""
    failed = [name for name, command in steps.items() if not _passes(name, command)]
    if failed:
        click.secho(f"FAILED before the tests: {', '.join(failed)}", fg="red", bold=True)
    return int(bool(failed))


def _passes(name: str, command: Command) -> bool:
    done = subprocess.run(command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        click.echo(done.stdout)
    click.echo(f"{name:<8}{'FAILED' if done.returncode else 'ok'}")
    return done.returncode == 0


def _call(*command: str) -> int:
    return subprocess.run(command, cwd=CHECKOUT, check=False).returncode
