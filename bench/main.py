"""`omni bench <name>`."""

import signal
import sys
from collections.abc import Callable

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
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what was started is stopped then, too
    try:
        return _bench(name)(args)
    except BenchError as error:
        print(f"omni bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)


def _bench(name: str) -> Callable[[list[str]], int]:
    if name == "worker":
        from bench.worker import run as worker

        return worker
    from bench.gateway import run as gateway

    return gateway
