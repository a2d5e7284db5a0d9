"""Kills the local stack's processes when their supervisor dies without stopping them (`kill -9`, out of memory).

A process of its own does this, for it survives the supervisor: its standard input is a pipe from the supervisor, each
line of which names the process groups to kill, and the end of which is the supervisor's end, however it came. A
parent-death signal would reach only direct children, not the workers that a function's server forks.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

LONGEST_DEATH_S = 1.0


class Guard:
    """The supervisor's end of the pipe."""

    def __init__(self, *kept_open: int) -> None:
        """`kept_open` are file descriptors that stay open until all is over; a lock on one holds as long."""
        self._kept_open = kept_open
        self._process = self._start()

    def watch(self, groups: Iterable[int]) -> None:
        """From now on these process groups, and no others, die with the supervisor."""
        line = (" ".join(map(str, groups)) + "\n").encode()
        try:
            self._send(line)
        except BrokenPipeError:  # the guard itself was killed
            self._process.communicate()
            self._process = self._start()
            self._send(line)

    def close(self) -> None:
        with suppress(BrokenPipeError):
            self._send(b"\n")
        self._process.communicate()

    def _send(self, line: bytes) -> None:
        assert self._process.stdin  # noqa: S101  (it was asked for in _start)
        self._process.stdin.write(line)

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            bufsize=0,
            pass_fds=self._kept_open,
            start_new_session=True,  # Ctrl-C and a closing terminal are meant for the supervisor
        )


def main() -> None:
    groups: list[int] = []
    for line in sys.stdin:
        groups = [int(group) for group in line.split()]
    deadline = time.monotonic() + LONGEST_DEATH_S
    while groups and time.monotonic() < deadline:
        groups = [group for group in groups if _kill(group)]
        time.sleep(0.01)


def _kill(group: int) -> bool:
    """Whether there was still something to kill; a zombie counts until its new parent asks about it."""
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    main()
