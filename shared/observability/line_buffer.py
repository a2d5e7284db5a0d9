"""Lines of the log on their way to standard error, several in one write.

They are written when no request is in flight any more (the platform may then take the processor away), 20 ms after the
first of them, or before they are more than a pipe takes whole: lines of other writers never come between.
"""

import asyncio
import os
from collections.abc import Callable
from select import PIPE_BUF

LONGEST_S = 0.02


def to_standard_error(data: bytes) -> None:
    while data:
        data = data[os.write(2, data) :]


class LineBuffer:
    def __init__(self, write: Callable[[bytes], object] = to_standard_error) -> None:
        self._write = write
        self._lines: list[bytes] = []
        self._size = 0
        self._in_flight = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """A request is in flight that will have a line."""
        self._in_flight += 1

    def end(self) -> None:
        """It has had its line."""
        self._in_flight -= 1
        if not self._in_flight:
            self.flush()

    def append(self, line: bytes) -> None:
        if self._size + len(line) > PIPE_BUF:
            self.flush()
        self._lines.append(line)
        self._size += len(line)
        if self._timer is None and self._in_flight > 1:
            self._timer = asyncio.get_running_loop().call_later(LONGEST_S, self.flush)

    def flush(self) -> None:
        """Writes what waits."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._lines:
            lines, self._lines, self._size = self._lines, [], 0
            self._write(b"".join(lines))
