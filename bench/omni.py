"""The platform's own processes, started by the commands that start them in production."""

import secrets
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

from bench.processes import CHECKOUT, Program, free_port
from local.credentials import new_private_key, public_key
from shared.keys.caller_keys import PRIVATE, PUBLIC


def environment(state: Path) -> dict[str, str]:
    """What every process of one platform is told: where the state is, and secrets made for this run."""
    private_key = new_private_key()
    return {
        "OMNI_ENV": "local",
        "OMNI_STATE_DIR": str(state),
        "API_KEYS": f"master-key-bench-{secrets.token_hex(16)}",
        "OMNI_KEY_PEPPER": secrets.token_hex(16),
        PRIVATE: private_key,
        PUBLIC: public_key(private_key),
    }


def function(target: str, environment: dict[str, str], *flags: str, checkout: Path = CHECKOUT) -> Program:
    """A Cloud Function as the Functions Framework serves it."""
    programs = Path(sys.executable).parent if checkout == CHECKOUT else checkout / ".venv/bin"
    framework = str(programs / "functions-framework")
    return replace(_server((framework, "--target", target, *flags), environment), folder=checkout)


def worker(environment: dict[str, str]) -> Program:
    """The ML worker behind the gateway."""
    return _server((sys.executable, "-m", "jobs.ml_worker.main"), {**environment, "RUN_AS_INTERNAL": "1"})


def bare_engine(environment: dict[str, str]) -> Program:
    """The worker's engine without the worker, on a port that it chooses and prints."""
    return Program((sys.executable, "-m", "bench.bare_engine"), 0, environment)


def version() -> str:
    found: str = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"]
    return found


def _server(command: tuple[str, ...], environment: dict[str, str]) -> Program:
    port = free_port()
    return Program(command, port, {**environment, "HOST": "127.0.0.1", "PORT": str(port)})
