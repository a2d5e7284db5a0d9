"""What the gateway loads to start: each package is paid for at every cold start, so the list grows on purpose only."""

import subprocess
import sys

from tests.caller_keys import SIGNING

SERVER = {"click", "gunicorn", "packaging", "uvicorn", "uvicorn_worker"}
"""What the framework loads to serve, a moment later if not now."""
BUDGET = SERVER | {
    "anyio", "cachetools", "cython_runtime", "functions", "google", "httptools", "idna", "main", "msgspec",
    "prometheus_client", "shared", "sniffio", "starlette", "typing_extensions",
}  # fmt: skip
"""`google` is the empty namespace that a path file makes; what could stand in it is refused below."""
START = f"""
import os, sys
os.environ.update(API_KEYS="prod-key-acme-1", OMNI_KEY_PEPPER="pepper")
os.environ.update({SIGNING!r})
sys.path.insert(0, os.getcwd())
import main
main.gateway
print(*sys.modules)
"""


def test_the_gateway_loads_nothing_beyond_its_budget() -> None:
    done = subprocess.run([sys.executable, "-c", START], capture_output=True, text=True, check=True)
    modules = done.stdout.split()
    packages = {name.split(".")[0] for name in modules if not name.startswith("_")} - sys.stdlib_module_names
    assert packages <= BUDGET, f"beyond the budget: {sorted(packages - BUDGET)}"
    assert not [name for name in modules if name.startswith(("google.api", "google.auth", "google.cloud."))]
