"""A store whose reads and writes are counted as Firestore charges for them: by document, an empty query as one read.

It also tells whether the store could be reached.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from shared import telemetry
from shared.core.errors import Unavailable
from shared.ports.store import Document, Page, Query, Store, Transaction

T = TypeVar("T")
COUNTED_FOR_ONE = 1000
"""A count costs one read for so many documents."""


class MeasuredTransaction:
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self.written: list[str] = []
        """The collection of each document; what a transaction wrote that did not commit is not charged."""

    @property
    def now(self) -> float:
        return self._transaction.now

    def get(self, collection: str, key: str) -> Document | None:
        _count(collection, 1)
        return self._transaction.get(collection, key)

    def create(self, collection: str, key: str, document: Document) -> None:
        self._transaction.create(collection, key, document)
        self.written.append(collection)

    def put(self, collection: str, key: str, document: Document) -> None:
        self._transaction.put(collection, key, document)
        self.written.append(collection)

    def delete(self, collection: str, key: str) -> None:
        self._transaction.delete(collection, key)
        self.written.append(collection)


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
        measured: list[MeasuredTransaction] = []

        def measure(transaction: Transaction) -> T:
            measured.append(MeasuredTransaction(transaction))
            return work(measured[-1])

        with _watched():
            result = self._store.transact(measure)
        for collection in measured[-1].written:
            telemetry.STORE_WRITES.labels(collection).inc()
        return result


@contextmanager
def _watched() -> Iterator[None]:
    try:
        yield
    except Unavailable:
        telemetry.STORE_FAILING.set(1)
        raise
    telemetry.STORE_FAILING.set(0)


def _count(collection: str, documents: int) -> None:
    telemetry.STORE_READS.labels(collection).inc(documents)
