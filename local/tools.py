"""Programs whose packages must not mix with ours: each set has an environment of its own, made once."""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ENVIRONMENTS = Path(__file__).resolve().parent.parent / ".omni" / "tools"
UV = str(Path(sys.executable).with_name("uv"))


class NotInstalled(Exception):
    """The packages cannot be had; the message is what the installer said."""


def environment_with(requirements: Path) -> Path:
    """The Python of an environment that holds what the file says; NotInstalled where it cannot be made."""
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
        raise NotInstalled(done.stderr.strip()[-300:])
