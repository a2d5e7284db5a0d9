"""Processes that authenticate managed keys against one real store."""

from collections.abc import Callable
from pathlib import Path

import pytest

from shared.adapters.environment_secrets import EnvironmentSecrets
from shared.adapters.sqlite_store import SqliteStore
from shared.core.errors import Unauthenticated, Unavailable
from shared.core.keys import Caller
from shared.keys.authentication import Authenticator
from shared.keys.memory import KeyMemory
from shared.ports.store import Document, Page, Query
from tests.fakes import FakeClock
from tests.managed_keys import KeyOffice

MAX_AGE_S = 4.0
GRACE_S = 60.0


class CountingStore(SqliteStore):
    """A real store that counts what it is asked outside transactions, and may be out of reach."""

    def __init__(self, path: Path, clock: FakeClock) -> None:
        super().__init__(path, clock)
        self.reads = 0
        self.is_down = False
        self.refusals = 0
        self.before_answering: Callable[[], None] = lambda: None

    def get(self, collection: str, key: str) -> Document | None:
        self._count(1)
        found = super().get(collection, key)
        self.before_answering()
        return found

    def query(self, query: Query) -> Page:
        page = super().query(query)
        self._count(max(1, len(page.documents)))
        return page

    def _count(self, documents: int) -> None:
        if self.is_down:
            self.refusals += 1
            raise Unavailable
        self.reads += documents


class Process:
    """One that authenticates; its background work is done at once."""

    def __init__(self, store: CountingStore, clock: FakeClock, pepper: str = "pepper") -> None:
        self._ahead: list[Callable[[], None]] = []
        memory = KeyMemory(store, clock, MAX_AGE_S, GRACE_S, self._ahead.append)
        self.authenticator = Authenticator(EnvironmentSecrets({"OMNI_KEY_PEPPER": pepper}), memory, clock)

    def who(self, key: str) -> Caller | None:
        try:
            return self.authenticator.authenticate(key)
        except Unauthenticated:
            return None

    def request(self, key: str) -> Caller | None:
        """As the gateway does: from memory if that will do."""
        try:
            found = self.authenticator.remembered(key)
        except Unauthenticated:
            return None
        finally:
            while self._ahead:
                self._ahead.pop()()
        return found or self.who(key)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> CountingStore:
    return CountingStore(tmp_path / "omni.db", clock)


@pytest.fixture
def office(store: CountingStore) -> KeyOffice:
    return KeyOffice(store)


@pytest.fixture
def process(store: CountingStore, clock: FakeClock) -> Process:
    return Process(store, clock)
