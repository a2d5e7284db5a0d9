"""Batches in the store: every change is one transaction, on the store's time."""

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import msgspec

from shared.core.batches import OPEN, Batch
from shared.core.errors import BadDocument
from shared.pages import every, readable
from shared.ports.store import Document, Query, Store, Transaction

BATCHES = "batches"
OPEN_BATCHES = tuple(Query(BATCHES, (("status", "==", status.value),)) for status in OPEN)
Step = Callable[[Batch, float], Batch]
"""A transition: the batch as it stands and the store's time in, the batch as it must become out."""


class BatchRecords:
    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, batch_id: str) -> Batch | None:
        document = self._store.get(BATCHES, batch_id)
        return from_document(document) if document else None

    def add(self, make: Callable[[float], Batch]) -> Batch:
        def work(transaction: Transaction) -> Batch:
            batch = make(transaction.now)
            transaction.create(BATCHES, batch.id, to_document(batch))
            return batch

        return self._store.transact(work)

    def change(self, batch_id: str, step: Step, also: tuple[tuple[str, Document], ...] = ()) -> Batch | None:
        """The batch after the step. When that changed it, `also` is put beside it: collections with documents."""

        def work(transaction: Transaction, before: Batch) -> Batch:
            after = step(before, transaction.now)
            if after is not before:
                for collection, other in also:
                    transaction.put(collection, other["id"], other)
            return after

        return self.change_in(batch_id, work)

    def change_in(self, batch_id: str, work: Callable[[Transaction, Batch], Batch]) -> Batch | None:
        """As `change`, with a step that reads and writes more in the same transaction."""

        def change(transaction: Transaction) -> Batch | None:
            document = transaction.get(BATCHES, batch_id)
            if document is None:
                return None
            before = from_document(document)
            after = work(transaction, before)
            if after is not before:
                transaction.put(BATCHES, batch_id, to_document(after))
            return after

        return self._store.transact(change)

    def open(self) -> Iterator[Batch]:
        """Those that are not final and can be read: the sweep sets the others aside."""
        documents = chain.from_iterable(every(self._store, query) for query in OPEN_BATCHES)
        return readable(BATCHES, documents, from_document)

    def reads(self, file_id: str) -> bool:
        """Whether a batch that is not final reads that file. BadDocument when one cannot tell."""
        query = Query(BATCHES, (("input_file_id", "==", file_id),), descending=True)
        return any(not from_document(document).status.is_final for document in every(self._store, query))


def to_document(batch: Batch) -> Document:
    document: dict[str, Any] = msgspec.to_builtins(batch)
    return document


def from_document(document: Document) -> Batch:
    """BadDocument when it is none."""
    try:
        return msgspec.convert(document, Batch)
    except msgspec.ValidationError as error:
        raise BadDocument(f"batch {document.get('id')!r}: {error}") from error
