"""`omni bench <name>`."""

import signal
import sys

from bench.processes import BenchError

NAMES = ("gateway", "worker")


def run(name: str, args: list[str]) -> int:
    """Runs a bench and prints what it found; the exit status."""
    if name not in NAMES:
        print(f"omni bench: there is no bench {name!r}; choose one of: {', '.join(NAMES)}", file=sys.stderr)
        return 2
    if sys.platform != "linux":
        print("omni bench: it pins processes to cores and reads /proc, so it runs on Linux only", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what was started is stopped then, too
    try:
        return _run(name, args)
    except BenchError as error:
        print(f"omni bench: {error}", file=sys.stderr)
        return 1


def _run(name: str, args: list[str]) -> int:
    if name == "worker":
        from bench import worker

        return worker.run(args)
    from bench import gateway

    return gateway.run(args)
