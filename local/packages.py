"""Makes .venv hold what a lock file says. `./omni` runs this before any package is there: standard library only."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class InstallError(Exception):
    """The packages could not be installed; the message is what the installer said."""


class PackageSet:
    """The packages of one file in requirements/, and the environment that holds them."""

    def __init__(self, root: Path, name: str) -> None:
        self.lock_file = root / "requirements" / f"{name}.txt"
        self.venv = root / ".venv"
        self.python = self.venv / "bin" / "python"
        self._stamp = self.venv / f"{name}.stamp"
        self._wanted = f"{root}\n{self.lock_file.read_text()}"

    @property
    def is_installed(self) -> bool:
        return self.python.exists() and self._stamp.exists() and self._stamp.read_text() == self._wanted

    @property
    def count(self) -> int:
        return len(re.findall(r"^[\w.\[\]-]+==", self._wanted, re.MULTILINE))

    def install(self, lock: int) -> None:
        """Brings .venv to the lock file; one that was left half made, was moved or lost its Python is made afresh."""
        afresh = [] if self._is_whole else ["--clear"]
        for stamp in self.venv.glob("*.stamp"):
            stamp.unlink()
        _run([sys.executable, "-m", "venv", *afresh, str(self.venv)], lock)
        self._install_packages(lock)
        self._stamp.write_text(self._wanted)

    @property
    def _is_whole(self) -> bool:
        here = f"{self.venv.parent}\n"
        return self.python.exists() and any(each.read_text().startswith(here) for each in self.venv.glob("*.stamp"))

    def _install_packages(self, lock: int) -> None:
        pinned = ["--require-hashes", "--no-deps", "--quiet", "--requirement", str(self.lock_file)]
        pip = [str(self.python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", *pinned]
        if not (uv := shutil.which("uv")):
            return _run(pip, lock)
        try:
            return _run([uv, "pip", "install", "--python", str(self.python), *pinned], lock)
        except InstallError:
            return _run(pip, lock)  # uv does not read pip's configuration, where a company's own index may stand


def _run(command: list[str], lock: int) -> None:
    # The command inherits the lock: should this process be killed, no other start interferes with what still runs.
    done = subprocess.run(command, pass_fds=[lock], capture_output=True, text=True, check=False)
    if done.returncode:
        raise InstallError((done.stderr + done.stdout).strip())


@contextmanager
def _alone(path: Path) -> Iterator[int]:
    """Holds the lock of a file, so that of two first starts at once one waits for the other."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("Another start of Omni is installing its packages; waiting for it.\n")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def main(name: str) -> int:
    with _alone(ROOT / "requirements" / "local.txt") as lock:
        packages = PackageSet(ROOT, name)
        if packages.is_installed:
            return 0
        started = time.monotonic()
        _say(f"Installing Omni's {packages.count} packages into .venv, once; this takes about a minute ...")
        try:
            packages.install(lock)
        except InstallError as error:
            _say(f"\n{error}\nomni: the packages could not be installed; the same command tries again.\n")
            return 1
        except KeyboardInterrupt:
            _say("\n")
            return 130
        _say(f" done in {time.monotonic() - started:.0f} s.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
