"""Queries that take more than one page, and lists of what a caller may see of a query's documents."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from shared.core.errors import BadDocument
from shared.core.positions import Position, to_cursor
from shared.ports.store import Document, Entry, Query, Store

MOST_READ = 100_000
"""Documents that one list reads for a page; only then may a page be shorter than asked for and have a next."""
MOST_AT_ONCE = 1000

T = TypeVar("T")

log = logging.getLogger("omni.lists")


@dataclass(frozen=True, slots=True)
class Listed(Generic[T]):
    items: list[T]
    next_cursor: str
    """Empty on the last page."""

    @property
    def has_more(self) -> bool:
        return bool(self.next_cursor)


def every(store: Store, query: Query) -> Iterator[Document]:
    """All documents of the query; no more than its limit are read at a time."""
    return (entry.document for entry in every_entry(store, query))


def every_entry(store: Store, query: Query) -> Iterator[Entry]:
    """The same with their keys."""
    cursor: str | None = query.cursor
    while cursor is not None:
        found = store.query(replace(query, cursor=cursor))
        yield from found.entries
        cursor = found.next_cursor or None


def listed(store: Store, query: Query, limit: int, shown: Callable[[Document], T | None]) -> Listed[T]:
    """The first `limit` items of the query, without the documents of which `shown` makes None.

    A page is full unless it is the last: clients stop at the first page that is empty.
    """
    items: list[T] = []
    cursor = query.cursor
    for read, (key, document) in enumerate(_growing(store, query, limit + 1), start=1):
        item = _read(query.collection, key, document, shown)
        if item is not None and len(items) == limit:
            return Listed(items, cursor)
        if item is not None:
            items.append(item)
            cursor = to_cursor(Position(document[query.order_by], key))
        if read == MOST_READ:
            return Listed(items, to_cursor(Position(document[query.order_by], key)))
    return Listed(items, "")


def readable(collection: str, documents: Iterable[Document], read: Callable[[Document], T | None]) -> Iterator[T]:
    """What `read` makes of a collection's documents, without those that it cannot read."""
    for document in documents:
        if (item := _read(collection, str(document.get("id")), document, read)) is not None:
            yield item


def cursor_at(document: Document, order_by: str = "created_at") -> str:
    """The cursor of the page that begins after the document, which may be deleted meanwhile."""
    return to_cursor(Position(document[order_by], document["id"]))


def _read(collection: str, key: str, document: Document, read: Callable[[Document], T | None]) -> T | None:
    try:
        return read(document)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one document must not hide the others
        reason = str(error) if isinstance(error, BadDocument) else type(error).__qualname__
        fields = {"collection": collection, "document": key, "reason": reason}
        log.error("a document is left out of a list", extra={"fields": fields})
        return None


def _growing(store: Store, query: Query, at_once: int) -> Iterator[Entry]:
    """All documents, more of them at a time the further it goes."""
    cursor: str | None = query.cursor
    while cursor is not None:
        found = store.query(replace(query, cursor=cursor, limit=min(at_once, MOST_AT_ONCE)))
        yield from found.entries
        cursor, at_once = found.next_cursor or None, at_once * 2
