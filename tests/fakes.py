"""In-memory stand-ins for the ports, for tests that must not wait, draw lots or open a socket."""

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, TypeVar

import msgspec

from shared.core.errors import Unauthenticated, Unavailable
from shared.ports.store import AlreadyExists, Document, Page, Query, Transaction
from shared.ports.upstream import OutgoingRequest, Response, Take, UpstreamError

T = TypeVar("T")


class FakeClock:
    """Stands still until told to move."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.time = now

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += seconds


@dataclass
class FakeResponse:
    """What a fake upstream answers; an exception among the chunks breaks the body off there."""

    status: int = 200
    parts: list[bytes | UpstreamError] = field(default_factory=list)
    headers: list[tuple[str, str]] = field(default_factory=lambda: [("content-type", "application/json")])

    @classmethod
    def json(cls, value: Any, status: int = 200) -> "FakeResponse":
        return cls(status, [msgspec.json.encode(value)])

    @classmethod
    def stream(cls, *parts: bytes | UpstreamError) -> "FakeResponse":
        return cls(200, list(parts), [("content-type", "text/event-stream")])

    def header(self, name: bytes) -> bytes:
        return dict(self.headers).get(name.decode(), "").encode("latin-1")

    async def read(self) -> bytes:
        return b"".join([part async for part in self.chunks()])

    async def chunks(self, take: Take | None = None) -> AsyncIterator[bytes]:
        for part in self.parts:
            if isinstance(part, UpstreamError):
                raise part
            if not (take and take(part)):
                yield part


class FakeUpstream:
    """Answers by a function of the request, and remembers every request."""

    def __init__(self, answer: Callable[[OutgoingRequest], FakeResponse | UpstreamError]) -> None:
        self.answer = answer
        self.requests: list[OutgoingRequest] = []

    @asynccontextmanager
    async def send(self, request: OutgoingRequest) -> AsyncIterator[Response]:
        self.requests.append(request)
        answer = self.answer(request)
        if isinstance(answer, UpstreamError):
            raise answer
        response = copy(answer)
        yield response
        response.status = 0  # the real one's connection is another exchange's by then

    async def close(self) -> None:
        """Nothing to close."""


class FakeSecrets:
    """A source whose secrets the test changes, and that may be down. Its values are at hand once they were read."""

    def __init__(self, **values: str) -> None:
        self.values = values
        self.is_down = False
        self.waits = 0
        """How often somebody had to wait for the source."""
        self._read: dict[str, str | None] = {}

    @property
    def is_failing(self) -> bool:
        return self.is_down

    def get(self, name: str, max_age_s: float | None = None) -> str | None:
        if name not in self._read or max_age_s is not None:
            self._ask(name)
        return self._read[name]

    def is_at_hand(self, name: str) -> bool:
        return name in self._read

    def grow_old(self) -> None:
        """All that was read has to be read again."""
        self._read.clear()

    def _ask(self, name: str) -> None:
        self.waits += 1
        if self.is_down:
            raise Unavailable
        self._read[name] = self.values.get(name)


class FakeVerifier:
    """Knows one token, of whoever it is told."""

    def __init__(self, token: str, account: str) -> None:
        self._token = token
        self._account = account

    def account(self, token: str, audiences: Collection[str]) -> str:
        if token != self._token:
            raise Unauthenticated
        return self._account


class FakeStore:
    """A dictionary; counts its reads."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.documents: dict[tuple[str, str], Document] = {}
        self.reads = 0

    @property
    def now(self) -> float:
        return self._clock.now()

    def get(self, collection: str, key: str) -> Document | None:
        self.reads += 1
        return self.documents.get((collection, key))

    def create(self, collection: str, key: str, document: Document) -> None:
        if (collection, key) in self.documents:
            raise AlreadyExists(key)
        self.documents[collection, key] = document

    def put(self, collection: str, key: str, document: Document) -> None:
        self.documents[collection, key] = document

    def delete(self, collection: str, key: str) -> None:
        self.documents.pop((collection, key), None)

    def query(self, query: Query) -> Page:
        """The documents in which the ordering field is greater than a bound: all that is asked of a fake."""
        ((name, _, bound),) = query.where
        found = [document for (collection, _), document in self.documents.items() if collection == query.collection]
        found = sorted((each for each in found if (each.get(name) or bound) > bound), key=itemgetter(name))
        self.reads += max(1, len(found))
        keys = tuple(str(each["id"]) for each in found[: query.limit])
        return Page(found[: query.limit], "more" if len(found) > query.limit else "", keys)

    def count(self, query: Query) -> int:
        return len(self.query(query).documents)

    def transact(self, work: Callable[[Transaction], T]) -> T:
        return work(self)

    def ping(self) -> None:
        """Always there."""
