"""Waiting for what another process or thread does."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_S = 0.02


def wait_until(condition: Callable[[], T], *, description: str, within_s: float = 60.0) -> T:
    """The condition's first true value; AssertionError with the description when there is none in time."""
    deadline = time.monotonic() + within_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{description}: not within {within_s:g} s")
        time.sleep(POLL_S)
    return value
