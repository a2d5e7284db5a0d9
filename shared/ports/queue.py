"""Deferred HTTP calls, delivered at least once and in no order: Cloud Tasks' contract.

A delivery that is not answered with 2xx is repeated with backoff. The task is a wake-up only; what is true stands
in the store.
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Task:
    queue: str
    name: str
    """Unique within the queue, ≤ 500 characters of [A-Za-z0-9_-]; not sequential, or one server gets them all."""
    url: str
    body: bytes
    not_before: float = 0.0
    """Seconds since 1970; 0 means now."""


class Queue(Protocol):
    def enqueue(self, task: Task) -> bool:
        """Accepts the task. False when a task of that name was accepted before: it is not delivered twice as often."""
        ...

    def ping(self) -> None:
        """Raises Unavailable when the queue cannot take tasks."""
        ...
