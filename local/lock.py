"""`./omni lock`: the locked requirements, from pyproject.toml."""

import subprocess
import sys
from pathlib import Path

import click

CHECKOUT = Path(__file__).resolve().parent.parent
UV = str(Path(sys.executable).with_name("uv"))
FILES = {
    "requirements/dev.txt": ("--all-extras",),
    "requirements.txt": ("--extra", "gcp"),
    "requirements/worker.txt": ("--extra", "ml", "--extra", "gcp"),
    "requirements/local.txt": ("--extra", "local"),
    "requirements/cloud.txt": ("--extra", "local", "--extra", "gcp"),
}
"""Each file with the extras that it holds. The first one holds all of the others."""
WHOLE = next(iter(FILES))
COMPILE = (
    UV, "pip", "compile", "pyproject.toml", "--universal", "--generate-hashes", "--no-emit-index-url", "--quiet",
    "--python-version", "3.11", "--custom-compile-command", "./omni lock",
)  # fmt: skip


def run() -> int:
    """Writes every file anew; the exit status."""
    for file, extras in FILES.items():
        click.echo(f"Locking {file}")
        same = () if file == WHOLE else ("--constraints", WHOLE)
        done = subprocess.run([*COMPILE, *extras, *same, "-o", file], cwd=CHECKOUT, check=False)
        if done.returncode:
            return done.returncode
    return 0
