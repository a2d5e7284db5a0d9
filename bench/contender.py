"""What every contender is to the bench."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bench import mock
from bench.load import Question
from bench.processes import Program


class Unavailable(Exception):
    """The contender cannot be measured on this machine; the message says why."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where a run takes place."""

    upstream: str
    """The mock upstream's address, up to the port."""
    scratch: Path
    """Emptied after the run."""
    cache: Path
    """Keeps what was installed for the next run."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A contender that only needs to be started."""

    version: str
    program: Program
    headers: tuple[tuple[str, str], ...] = ()
    """What a request must carry beside its content type."""
    path: str = mock.PATH
    model: str = mock.MODEL
    """How this contender calls the mock's model."""

    def question(self, port: int) -> Question:
        """The request for a whole completion; `port` is where the program listens."""
        return question(port, self.headers, self.path, self.model)

    def streamed(self, port: int, events: int) -> Question:
        """The request for a stream of so many events."""
        return replace(self.question(port), body=mock.streamed_request(events, self.model), expected=b"")


@dataclass(frozen=True, slots=True)
class Contender:
    name: str
    does: str
    """What it checks and counts of a request beside passing it on, so that unlike things are seen to be unlike."""
    prepare: Callable[[Site], Prepared]
    """Raises Unavailable."""


def question(
    port: int, headers: tuple[tuple[str, str], ...] = (), path: str = mock.PATH, model: str = mock.MODEL
) -> Question:
    """The request that everyone gets."""
    content_type = ("content-type", "application/json")
    return Question(port, path, (content_type, *headers), mock.request(model), mock.TEXT.encode())
