"""Services that a test takes away from a running platform, and brings back."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TypeVar

from shared.core.errors import Unavailable
from shared.ports.store import Document, Page, Query, Store, Transaction
from tests.redis_server import RedisServer
from tests.secret_manager import UNAVAILABLE, SecretManager

T = TypeVar("T")
SILENCE_S = 4.0
"""How long a call to a store that hangs takes, until its adapter gives up."""


class SwitchedStore:
    """A real store that can be made to refuse every call or, with `hangs`, to refuse it after a long silence."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._answers = threading.Event()
        self._answers.set()
        self._hangs = False

    @contextmanager
    def down(self, *, hangs: bool) -> Iterator[None]:
        self._hangs = hangs
        self._answers.clear()
        try:
            yield
        finally:
            self._answers.set()

    def get(self, collection: str, key: str) -> Document | None:
        self._pass()
        return self._store.get(collection, key)

    def query(self, query: Query) -> Page:
        self._pass()
        return self._store.query(query)

    def count(self, query: Query) -> int:
        self._pass()
        return self._store.count(query)

    def transact(self, work: Callable[[Transaction], T]) -> T:
        self._pass()
        return self._store.transact(work)

    def ping(self) -> None:
        self._pass()
        self._store.ping()

    def _pass(self) -> None:
        if not self._answers.is_set() and not (self._hangs and self._answers.wait(SILENCE_S)):
            raise Unavailable("The store is not available.", retry_after_s=1)


@contextmanager
def redis_down(server: RedisServer, *, hangs: bool) -> Iterator[None]:
    if hangs:
        with server.hanging():
            yield
        return
    server.stop()
    yield
    server.start()


@contextmanager
def secrets_down(manager: SecretManager) -> Iterator[None]:
    manager.refusal = UNAVAILABLE
    yield
    manager.refusal = None


class Switch:
    """One outage, begun and ended once."""

    def __init__(self, outage: AbstractContextManager[None]) -> None:
        self._stack = ExitStack()
        self._outage = outage

    def begin(self) -> None:
        self._stack.enter_context(self._outage)

    def end(self) -> None:
        self._stack.close()
