"""`omni bench <name>`."""

import signal
import sys
from importlib import import_module

from bench.processes import BenchError

BENCHES = {
    "batch": "bench.batch",
    "budget": "bench.budget",
    "gateway": "bench.gateway",
    "jobs": "bench.jobs",
    "limits": "bench.limits",
    "start": "bench.cold_start",
    "stream": "bench.stream",
    "worker": "bench.worker",
}
"""Each with the module whose `run(args)` measures, prints, and returns the exit status."""


def run(name: str, args: list[str]) -> int:
    """Runs a bench and prints what it found; the exit status."""
    if name not in BENCHES:
        print(f"omni bench: there is no bench {name!r}; choose one of: {', '.join(BENCHES)}", file=sys.stderr)
        return 2
    if sys.platform != "linux":
        print("omni bench: it pins processes to cores and reads /proc, so it runs on Linux only", file=sys.stderr)
        return 1
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what was started is stopped then, too
    try:
        return int(import_module(BENCHES[name]).run(args))
    except BenchError as error:
        print(f"omni bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)
