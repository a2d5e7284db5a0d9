"""A store whose reads are counted the way Firestore charges for them: by document, an empty query as one.

It also tells whether the store could be reached.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from shared import telemetry
from shared.core.errors import Unavailable
from shared.ports.store import Document, Page, Query, Store, Transaction
from shared.telemetry import series

T = TypeVar("T")
COUNTED_FOR_ONE = 1000
"""A count costs one read for so many documents."""


class MeasuredTransaction:
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self.create = transaction.create
        self.put = transaction.put
        self.delete = transaction.delete

    @property
    def now(self) -> float:
        return self._transaction.now

    def get(self, collection: str, key: str) -> Document | None:
        _count(collection, 1)
        return self._transaction.get(collection, key)


class MeasuredStore:
    def __init__(self, store: Store) -> None:
        self._store = store

    def ping(self) -> None:
        with _watched():
            self._store.ping()

    def get(self, collection: str, key: str) -> Document | None:
        _count(collection, 1)
        with _watched():
            return self._store.get(collection, key)

    def query(self, query: Query) -> Page:
        with _watched():
            page = self._store.query(query)
        _count(query.collection, max(1, len(page.documents)))
        return page

    def count(self, query: Query) -> int:
        with _watched():
            number = self._store.count(query)
        _count(query.collection, max(1, -(-number // COUNTED_FOR_ONE)))
        return number

    def transact(self, work: Callable[[Transaction], T]) -> T:
        with _watched():
            return self._store.transact(lambda transaction: work(MeasuredTransaction(transaction)))


@contextmanager
def _watched() -> Iterator[None]:
    try:
        yield
    except Unavailable:
        telemetry.STORE_FAILING.set(1)
        raise
    telemetry.STORE_FAILING.set(0)


def _count(collection: str, documents: int) -> None:
    series(telemetry.STORE_READS, collection).inc(documents)
