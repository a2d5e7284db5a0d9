"""Whether what a process needs is there."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from shared.core.errors import Unavailable
from shared.ports.clock import Clock
from shared.ports.limiter import Limiter
from shared.ports.secrets import Secrets

OK = "ok"
SILENT = "It does not answer."
REMEMBERED_S = 1.0
PATIENCE_S = 2.0
"""So long a check may take before the service counts as silent."""

Check = Callable[[], object]
"""Raises Unavailable when the service is not there."""


@dataclass(frozen=True, slots=True)
class Services:
    """Each service's name and `ok`, or what is wrong with it."""

    required: Mapping[str, str]
    """Without one of them nothing can be answered."""
    optional: Mapping[str, str] = field(default_factory=dict)
    """Without these the process does less, and goes on: no reason to take it out of service."""


class Remembered:
    """A check's outcome, looked for at most once a second and by one caller at a time: anybody may ask for readiness,
    and must not be able to keep the service busy with that, or this process with waiting for it."""

    def __init__(self, check: Check, clock: Clock) -> None:
        self._check = check
        self._now = clock.monotonic
        self._looking = threading.Lock()
        self._began_at = float("-inf")
        self._state = SILENT

    def __call__(self) -> str:
        is_known = self._state is not SILENT
        if self._looking.acquire(timeout=0 if is_known else PATIENCE_S):
            try:
                self._look()
            finally:
                self._looking.release()
        elif self._now() - self._began_at > PATIENCE_S:
            return SILENT
        return self._state

    def _look(self) -> None:
        if self._now() - self._began_at < REMEMBERED_S:
            return
        self._began_at = self._now()
        try:
            self._check()
        except Unavailable as error:
            self._state = error.message
        else:
            self._state = OK


def secrets_check(secrets: Secrets, name: str) -> Check:
    """Of a secret without which nothing works. Once it was read, its source may be down: the last value is used."""
    return lambda: secrets.get(name)


def secret_source(secrets: Secrets) -> str:
    """Nothing is asked, as for the limits."""
    return "Secrets cannot be read; the last known ones are used." if secrets.is_failing else OK


def limits(limiter: Limiter) -> str:
    """Nothing is asked: the limiter knows, and looks for what it lost by itself."""
    return "Each instance keeps its part of the limits by itself." if limiter.degraded else OK
