"""Programs that tests use but whose packages must not mix with ours: each has an environment of its own, made once."""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = CHECKOUT / ".omni" / "tools"
UV = str(Path(sys.executable).with_name("uv"))


def environment_with(requirements: Path) -> Path:
    """The Python of an environment that holds what the file says; a skip where it cannot be made."""
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()[:16]
    folder = ENVIRONMENTS / f"{requirements.stem}-{wanted}"
    ENVIRONMENTS.mkdir(parents=True, exist_ok=True)
    with (ENVIRONMENTS / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "made").exists():
            shutil.rmtree(folder, ignore_errors=True)
            _call("venv", "--quiet", "--python", sys.executable, str(folder))
            _call("pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), "-r", str(requirements))
            (folder / "made").touch()
    return folder / "bin" / "python"


def _call(*words: str) -> None:
    done = subprocess.run([UV, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"the packages of a test's tool cannot be installed: {done.stderr.strip()[-300:]}")
