"""Documents that schedules could not work on: how often each failed, and those that are set aside for it.

A mark stands in a collection of its own. The document stays as it is, for whoever looks at what is wrong with it, and
releasing it takes the mark away. A mark is forgotten in the end, and the document is tried again.
"""

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

import msgspec

from shared.core.document_ids import digest_id
from shared.core.errors import NotFound
from shared.pages import Listed, every, listed
from shared.ports.store import Document, Query, Store, Transaction

COLLECTION = "quarantine"
FAILING_KEPT_S = 2 * 24 * 3600.0
QUARANTINED_KEPT_S = 30 * 24 * 3600.0
MOST_REASON = 300
"""Characters."""
PAGE = 1000
MARK_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Mark:
    """What is known of a document that a schedule fails on. Times are seconds since 1970."""

    id: str
    schedule: str
    collection: str
    key: str
    """The document's."""
    reason: str
    """Of the last failure."""
    failures: int
    first_at: float
    last_at: float
    expire_at: float
    quarantined_at: float | None = None
    """None: it is still tried in each round."""


class Quarantine:
    def __init__(self, store: Store, after: int) -> None:
        """A document is set aside when so many rounds in a row have failed on it."""
        self._store = store
        self._after = after

    def marks(self, collection: str) -> Iterator[Mark]:
        """Of the documents of that collection, set aside or not."""
        query = Query(COLLECTION, (("collection", "==", collection),), "last_at", limit=PAGE)
        for document in every(self._store, query):
            if mark := _read(document):
                yield mark

    def strike(self, schedule: str, collection: str, key: str, reason: str) -> Mark:
        """Notes one more round that failed on the document; the mark as it then stands."""
        mark_id = digest_id(schedule, collection, key)[:32]

        def work(transaction: Transaction) -> Mark:
            now = transaction.now
            new = Mark(mark_id, schedule, collection, key, "", 0, now, now, now)
            before = _read(transaction.get(COLLECTION, mark_id) or {}) or new
            failures = before.failures + 1
            quarantined_at = before.quarantined_at or (now if failures >= self._after else None)
            kept_s = QUARANTINED_KEPT_S if quarantined_at else FAILING_KEPT_S
            mark = replace(
                before,
                reason=reason[:MOST_REASON],
                failures=failures,
                last_at=now,
                expire_at=now + kept_s,
                quarantined_at=quarantined_at,
            )
            transaction.put(COLLECTION, mark_id, asdict(mark))
            return mark

        return self._store.transact(work)

    def clear(self, mark: Mark) -> None:
        """Forgets the failures of a document that could be worked on after all."""
        self._store.transact(lambda transaction: transaction.delete(COLLECTION, mark.id))

    def list(self, limit: int, after: str) -> Listed[Mark]:
        """Those that are set aside, the longest first."""
        return listed(self._store, Query(COLLECTION, (), "quarantined_at", cursor=after), limit, _read)

    def release(self, mark_id: str) -> Mark:
        """Puts a document back, so that the next round tries it again; NotFound when it is not set aside."""

        def work(transaction: Transaction) -> Mark:
            mark = _read(transaction.get(COLLECTION, mark_id) or {}) if MARK_ID.fullmatch(mark_id) else None
            if mark is None or mark.quarantined_at is None:
                raise NotFound(f"No document is set aside under '{mark_id[:100]}'.", code="not_quarantined")
            transaction.delete(COLLECTION, mark_id)
            return mark

        return self._store.transact(work)


def _read(document: Document) -> Mark | None:
    """None for what is no mark: of all documents these must not stop a schedule."""
    try:
        return msgspec.convert(document, Mark)
    except msgspec.ValidationError:
        return None
