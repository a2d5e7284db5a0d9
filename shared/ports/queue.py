"""Deferred HTTP calls, delivered at least once and in no order: Cloud Tasks' contract.

A delivery that is not answered with 2xx is repeated with backoff. The task is a wake-up only; what is true stands
in the store.
"""

import hashlib
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
    audience: str = ""
    """The receiver's base URL: for whom the queue's proof of identity is made, where it gives one."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A task with what is known of its attempts so far."""

    task: Task
    """`not_before` is when this attempt was due."""
    retries: int = 0
    executions: int = 0
    """Attempts that were answered, and not with 5xx."""
    previous_status: int = 0
    """0: not answered, or not tried yet."""


def task_name(text: str) -> str:
    """Hashed, because names that share a beginning would all fall on one of the queue's servers."""
    return hashlib.sha256(text.encode()).hexdigest()[:40]


class Queue(Protocol):
    """Both methods raise Unavailable when the queue cannot be reached."""

    def enqueue(self, task: Task) -> bool:
        """Accepts the task. False when a task of that name was accepted before: it is not delivered twice as often.

        A name stays taken for at least an hour after its task was delivered.
        """
        ...

    def ping(self) -> None:
        """Reads a little, for readiness."""
        ...


class LocalQueue(Queue, Protocol):
    """A queue that does not deliver by itself, and what its dispatcher asks of it. Unavailable, as above."""

    def due(self, queue: str, limit: int) -> list[Delivery]:
        """The tasks longest due, those being delivered among them."""
        ...

    def done(self, delivery: Delivery) -> None:
        """The task was answered with 2xx."""
        ...

    def retry(self, delivery: Delivery, status: int) -> None:
        """The task was answered with another status, or not at all (0): it is due again after a backoff."""
        ...

    def forget_old_names(self) -> None:
        """Lets the names of tasks that were done an hour ago be used again."""
        ...
