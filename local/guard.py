"""Kills the local stack's processes when their supervisor dies without stopping them (`kill -9`, out of memory).

A process of its own does this, for it survives the supervisor: its standard input is a pipe from the supervisor, each
line of which names the process groups to kill, and the end of which is the supervisor's end, however it came. A
parent-death signal would reach only direct children, not the workers that a function's server forks.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


class Guard:
    """The supervisor's end of the pipe."""

    def __init__(self) -> None:
        self._process = _start()

    def watch(self, groups: Iterable[int]) -> None:
        """From now on these process groups, and no others, die with the supervisor."""
        line = (" ".join(map(str, groups)) + "\n").encode()
        try:
            self._send(line)
        except BrokenPipeError:  # the guard itself was killed
            self._process.communicate()
            self._process = _start()
            self._send(line)

    def close(self) -> None:
        with suppress(BrokenPipeError):
            self._send(b"\n")
        self._process.communicate()

    def _send(self, line: bytes) -> None:
        assert self._process.stdin is not None  # noqa: S101  (it was asked for in _start)
        self._process.stdin.write(line)


def _start() -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C and a closing terminal are meant for the supervisor.
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(Path(__file__).resolve())],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        bufsize=0,
        start_new_session=True,
    )


def main() -> None:
    groups: list[int] = []
    for line in sys.stdin:
        groups = [int(group) for group in line.split()]
    for group in groups:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
