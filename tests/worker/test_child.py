"""How an engine's process is started."""

import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent.parent
START = """
import os, sys, uvloop
from jobs.ml_worker.engines.child import Child

async def start():
    child = await Child.start("echo", [sys.executable, "-c", "print('started')"], {}, reports=True)
    assert await child.report() == b"started\\n"
    await child.stop()

os.register_at_fork(before=lambda: print("forked"))
uvloop.run(start())
"""


def test_no_python_runs_between_fork_and_exec() -> None:
    """It did with uvloop's own subprocesses: a lock that a thread held was held for ever in the child."""
    done = subprocess.run(
        [sys.executable, "-c", START], check=False, cwd=CHECKOUT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
