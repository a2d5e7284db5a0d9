"""`./omni lock`: the locked requirements, from pyproject.toml."""

import subprocess
import sys
from pathlib import Path

import click

CHECKOUT = Path(__file__).resolve().parent.parent
UV = str(Path(sys.executable).with_name("uv"))
FILES = {
    "requirements/dev.txt": ("pyproject.toml", "--all-extras"),
    "requirements.txt": ("pyproject.toml", "--extra", "gcp"),
    "requirements/worker.txt": ("pyproject.toml", "--extra", "ml", "--extra", "gcp"),
    "requirements/local.txt": ("pyproject.toml", "--extra", "local"),
    "requirements/cloud.txt": ("pyproject.toml", "--extra", "local", "--extra", "gcp"),
    "requirements/checkov.txt": ("requirements/checkov.in",),
    "requirements/linters.txt": ("requirements/linters.in",),
}
"""Each file with what it is made from. The first one holds all that is made from pyproject.toml; the last two are of
programs that tests run in environments of their own."""
WHOLE = next(iter(FILES))
COMPILE = (
    UV, "pip", "compile", "--universal", "--generate-hashes", "--no-emit-index-url", "--quiet",
    "--python-version", "3.11", "--custom-compile-command", "./omni lock",
)  # fmt: skip


def run() -> int:
    """Writes every file anew; the exit status."""
    for file, sources in FILES.items():
        click.echo(f"Locking {file}")
        same = ("--constraints", WHOLE) if "pyproject.toml" in sources and file != WHOLE else ()
        done = subprocess.run([*COMPILE, *sources, *same, "-o", file], cwd=CHECKOUT, check=False)
        if done.returncode:
            return done.returncode
    return 0
