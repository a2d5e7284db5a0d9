"""Both stores for every row. `CHAOS_SEED` gives other draws."""

import os
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

import pytest

from shared.adapters.sqlite_store import SqliteStore
from shared.core.errors import Unavailable
from shared.ports.clock import Clock
from shared.ports.store import Document, Page, Query, Store, Transaction
from tests.firestore_emulator import FirestoreEmulator
from tests.jobs.conftest import Bench

T = TypeVar("T")
MakeBench = Callable[..., Bench]


class ClockedTransaction:
    """On a time that the test moves."""

    def __init__(self, transaction: Transaction, now: float) -> None:
        self.now = now
        self.get: Callable[[str, str], Document | None] = transaction.get
        self.create, self.put, self.delete = transaction.create, transaction.put, transaction.delete


class ClockedStore:
    """A store whose server's time the test moves, and whose answers to commits it may lose."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.answers_to_lose = 0
        self.get, self.ping = store.get, store.ping

    def query(self, query: Query) -> Page:
        return self._store.query(query)

    def count(self, query: Query) -> int:
        return self._store.count(query)

    def transact(self, work: Callable[[Transaction], T]) -> T:
        result = self._store.transact(lambda transaction: work(ClockedTransaction(transaction, self._clock.now())))
        if self.answers_to_lose:
            self.answers_to_lose -= 1
            raise Unavailable("The store is not available.")
        return result


@pytest.fixture(params=["sqlite", "firestore"])
def state(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def make_bench(state: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeBench]:
    """Makes benches that share nothing, on the store of this run."""
    emulator: FirestoreEmulator | None = request.getfixturevalue("firestore") if state == "firestore" else None
    with ExitStack() as ending:

        def store_in(folder: Path) -> Callable[[Clock], Store]:
            if emulator is None:
                return lambda clock: ClockedStore(SqliteStore(folder / "omni.db", clock), clock)
            store = emulator.store()
            ending.callback(store.close)
            return lambda clock: ClockedStore(store, clock)

        def make(**options: int) -> Bench:
            folder = tmp_path / str(len(list(tmp_path.iterdir())))
            folder.mkdir()
            return Bench(folder, store=store_in(folder), **options)

        yield make


@pytest.fixture
def bench(make_bench: MakeBench) -> Bench:
    return make_bench()


@pytest.fixture
def chance() -> random.Random:
    return random.Random(int(os.environ.get("CHAOS_SEED", "1")))


@pytest.fixture
def scaled(state: str) -> Callable[[int], int]:
    """The design's number on SQLite; a tenth of it on the emulator, where each call takes milliseconds."""
    return lambda number: number if state == "sqlite" else number // 10
