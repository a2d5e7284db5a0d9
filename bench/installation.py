"""Peers are installed once, each into a folder of its own that can be thrown away."""

import shutil
import subprocess
import sys
from pathlib import Path

from bench.contender import Unavailable

PATIENCE_S = 900


def install(folder: Path, *commands: list[str]) -> None:
    """Runs the commands in the folder unless an earlier run finished them; Unavailable with the reason."""
    done = folder / "installed"
    if done.exists():
        return
    print(f"installing into {folder}, once ...", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for command in commands:
        _run(command, folder)
    done.touch()


def install_python(folder: Path, requirement: str, then: tuple[str, ...] = ()) -> Path:
    """The package in a virtual environment of its own, and that one's `bin`; Unavailable with the reason.

    `then` is a program for that environment's Python, with its arguments."""
    python = str(folder / "venv/bin/python")
    install(
        folder,
        [sys.executable, "-m", "venv", "venv"],
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement],
        *([[python, "-c", *then]] if then else []),
    )
    return folder / "venv/bin"


def _run(command: list[str], folder: Path) -> None:
    log = folder / "install.log"
    with log.open("ab") as output:
        try:
            ended = subprocess.run(  # noqa: S603 - the peers' own install commands
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=PATIENCE_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f"it could not be installed: {error}") from error
    if ended.returncode:
        raise Unavailable(f"it could not be installed: {_last_line(log)}")


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "the installer printed nothing"
