"""`./omni lock`: the locked requirements, from pyproject.toml."""

import subprocess
import sys
from pathlib import Path

import click

CHECKOUT = Path(__file__).resolve().parent.parent
UV = str(Path(sys.executable).with_name("uv"))
FILES = {
    "requirements.txt": ("--extra", "gcp"),
    "requirements/worker.txt": ("--extra", "ml", "--extra", "gcp"),
    "requirements/local.txt": ("--extra", "local"),
    "requirements/dev.txt": ("--all-extras",),
}
"""Each file with the extras that it holds. A test sees to it that the last one holds all of the others."""
COMPILE = (
    UV, "pip", "compile", "pyproject.toml", "--universal", "--generate-hashes", "--no-emit-index-url", "--quiet",
    "--python-version", "3.11", "--custom-compile-command", "./omni lock",
)  # fmt: skip


def run() -> int:
    """Writes every file anew; the exit status."""
    for file, extras in FILES.items():
        click.echo(f"Locking {file}")
        done = subprocess.run([*COMPILE, *extras, "-o", file], cwd=CHECKOUT, check=False)
        if done.returncode:
            return done.returncode
    return 0
