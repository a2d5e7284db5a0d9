"""The slowest that a caller may send a file, or read one: a transfer holds a thread of a route function."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class TooSlow(Exception):
    """The caller stayed below the least rate."""


class TransferRate:
    """Only the time in which the caller is waited for counts, so a function that is slow is not the caller's fault."""

    def __init__(self, least: int, window_s: float, now: Callable[[], float]) -> None:
        """`least` bytes a second, over each `window_s` of waiting; 0: any rate."""
        self._least = least
        self._window_s = window_s
        self._now = now
        self._waited_s = 0.0
        self._bytes = 0

    async def wait_for(self, step: Coroutine[Any, Any, T]) -> T:
        """The step's result; TooSlow, and the step cancelled, when the caller is too slow meanwhile."""
        if not self._least:
            return await step
        running = asyncio.ensure_future(step)
        try:
            while True:
                began = self._now()
                done, _ = await asyncio.wait({running}, timeout=self._window_s - self._waited_s)
                self._waited_s += self._now() - began
                if done:
                    return running.result()
                self._next_window()
        finally:
            running.cancel()

    def moved(self, size: int) -> None:
        """So many bytes came or went."""
        self._bytes += size
        if self._least and self._waited_s >= self._window_s:
            self._next_window()

    def _next_window(self) -> None:
        if self._bytes < self._least * self._window_s:
            raise TooSlow
        self._waited_s, self._bytes = 0.0, 0
