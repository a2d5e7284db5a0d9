"""A Redis server for benches, which keeps nothing on disk."""

import shutil
import sys
from pathlib import Path

from redis import Redis

from bench.processes import BenchError, Program, free_port


def program() -> Program:
    """BenchError where there is none."""
    found = shutil.which("redis-server") or shutil.which("redis-server", path=str(Path(sys.executable).parent))
    if not found:
        raise BenchError("there is no redis-server on PATH (on Debian: apt-get install redis-server)")
    port = free_port()
    return Program((found, "--port", str(port), "--bind", "127.0.0.1", "--save", ""), port)


def url(running: Program) -> str:
    return f"redis://127.0.0.1:{running.port}/0"


def calls(running: Program) -> int:
    """Scripts that the server ran so far: each is one round trip of a gateway."""
    with Redis(host="127.0.0.1", port=running.port) as client:
        stats = client.info("commandstats")
    return sum(int(each["calls"]) for name, each in stats.items() if name in ("cmdstat_eval", "cmdstat_evalsha"))
