"""Queries that take more than one page, and lists whose cursor is the last id of the page before, as OpenAI's
clients page."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from shared.ports.store import Document, Query, Store


@dataclass(frozen=True, slots=True)
class IdPage:
    documents: list[Document]
    has_more: bool


def every(store: Store, query: Query) -> Iterator[Document]:
    """All documents of the query; no more than its limit are read at a time."""
    cursor: str | None = query.cursor
    while cursor is not None:
        found = store.query(replace(query, cursor=cursor))
        yield from found.documents
        cursor = found.next_cursor or None


def page(store: Store, query: Query, limit: int, after: Document | None) -> IdPage:
    """At most `limit` documents of the query that come after the document `after`, by `created_at` and then by id."""
    if after is not None:
        bound: Any = ("created_at", "<=" if query.descending else ">=", after["created_at"])
        query = replace(query, where=(*query.where, bound))
    found: list[Document] = []
    passed, cursor = after is None, ""
    while len(found) <= limit:
        answer = store.query(replace(query, limit=limit + 2, cursor=cursor))
        for document in answer.documents:
            if passed:
                found.append(document)
            passed = passed or (after is not None and document["id"] == after["id"])
        if not (cursor := answer.next_cursor):
            break
    return IdPage(found[:limit], len(found) > limit)
