"""Usage in the store: rows as they come, many in a document, and their sums by day.

A document of rows is added to the sums in one transaction with the note that it was, so each row counts once. The rows
are one text in it: nothing is ever looked for inside, and a store takes its time over every field.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial

import msgspec

from shared.core import usage
from shared.core.errors import BadDocument
from shared.core.usage import Slice, Sums, UsageRow
from shared.pages import readable
from shared.ports.store import AlreadyExists, Document, Query, Store, Transaction
from shared.sweeps.report import Report
from shared.sweeps.sweep import Sweep

ROWS, DAYS = "usage", "usage_days"
MOST_ROWS = 500
"""In a document: some 60 KiB."""
DAY_S = 86_400.0
SUMS_KEPT_DAYS = 400
PAGE = 100
NOT_SUMMED = Query(ROWS, (("is_summed", "==", False),), limit=PAGE)
MOST_PAGES = 200

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[UsageRow]).decode

log = logging.getLogger("omni.usage")


class UsageRecords:
    def __init__(self, store: Store, rows_kept_days: int) -> None:
        self._store = store
        self._rows_kept_days = rows_kept_days

    def add(self, key: str, rows: Sequence[UsageRow]) -> None:
        """Writes at most MOST_ROWS rows under a key of their own."""
        with suppress(AlreadyExists):  # the answer to an earlier try was lost
            self._store.transact(lambda transaction: self.add_in(transaction, key, rows))

    def add_in(self, transaction: Transaction, key: str, rows: Sequence[UsageRow]) -> None:
        """The same as part of a larger transaction."""
        transaction.create(
            ROWS,
            key,
            {
                "id": key,
                "rows": _encode(rows).decode(),
                "is_summed": False,
                "created_at": transaction.now,
                "expire_at": transaction.now + self._rows_kept_days * DAY_S,
            },
        )

    def roll_up(self, sweep: Sweep) -> Report:
        """Adds what is new to the sums; for a schedule."""
        return sweep.over([NOT_SUMMED], lambda document: self._store.transact(partial(_sum_up, key=document["id"])))

    def sums(self, first: str, last: str, tenant: str | None) -> dict[Slice, Sums]:
        """Of the days from the first to the last; of one tenant, or of all."""
        found: dict[Slice, Sums] = {}
        fresh = [
            (whose, sums)
            for rows in readable(ROWS, self._pages(NOT_SUMMED), _rows)
            for whose, sums in usage.by_slice(rows).items()
            if first <= whose.day <= last and tenant in (None, whose.tenant)
        ]
        days = readable(DAYS, self._days(first, last, tenant), usage.from_document)
        for whose, sums in (*days, *fresh):
            found[whose] = found.get(whose, Sums()) + sums
        return found

    def _days(self, first: str, last: str, tenant: str | None) -> Iterator[Document]:
        equal = (("tenant", "==", tenant),) if tenant else ()
        for document in self._pages(Query(DAYS, (*equal, ("day", ">=", first)), "day", limit=1000)):
            if document["day"] > last:
                return
            yield document

    def _pages(self, query: Query) -> Iterator[Document]:
        cursor = ""
        for _ in range(MOST_PAGES):
            page = self._store.query(Query(query.collection, query.where, query.order_by, False, query.limit, cursor))
            yield from page.documents
            cursor = page.next_cursor
            if not cursor:
                return
        log.warning("there is more usage than one look takes")


def _sum_up(transaction: Transaction, key: str) -> bool:
    document = transaction.get(ROWS, key)
    if document is None or document["is_summed"]:
        return False
    more = usage.by_slice(_rows(document))
    before = {whose: transaction.get(DAYS, whose.document_id) for whose in more}
    for whose, sums in more.items():
        known = before[whose]
        total = sums + usage.from_document(known)[1] if known else sums
        expire_at = transaction.now + SUMS_KEPT_DAYS * DAY_S
        transaction.put(DAYS, whose.document_id, usage.to_document(whose, total) | {"expire_at": expire_at})
    transaction.put(ROWS, key, document | {"is_summed": True})
    return True


def _rows(document: Document) -> list[UsageRow]:
    """BadDocument when there are none in it."""
    try:
        return _decode(document["rows"])
    except (KeyError, TypeError, msgspec.DecodeError) as error:
        raise BadDocument(f"usage {document.get('id')!r}: {error!r}") from error
