"""Documents that no code of the platform writes, of several kinds, in every collection that a schedule reads."""

import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from shared.core.job_documents import to_document
from shared.core.jobs import Job
from shared.ports.store import Document, Store, Transaction

PAST = 1000.0
FOUND_BY: dict[str, tuple[Document, ...]] = {
    "jobs": (
        {"shard": 3, "state": "running", "lease_expires_at": PAST},
        {"shard": 5, "state": "queued", "outbox": True, "next_run_at": PAST},
    ),
    "webhooks": ({"shard": 3, "next_attempt_at": PAST},),
    "batches": ({"status": "in_progress", "created_at": PAST}, {"status": "validating", "created_at": PAST}),
    "usage": ({"is_summed": False, "created_at": PAST},),
    "files": ({"purge_at": PAST},),
    "uploads": ({"purge_at": PAST},),
}
"""By collection: by what its schedules find a document."""
WRONG: dict[str, Document] = {
    "empty": {},
    "types": {"attempt": "three", "attempts": 5, "rows": 7, "parts": "none", "counts": "many", "tenant": 1},
    "schema": {"schema_version": 99},
    "another-id": {"id": "another"},
    "no-id": {"id": None},
}


def plant(store: Store, whole: Job) -> int:
    """Writes them; how many there are. `whole` is a job with a charge."""
    documents = list(_documents(whole))
    for place in documents:
        store.transact(partial(_put, place))
    return len(documents)


def _put(place: tuple[str, str, Document], transaction: Transaction) -> None:
    transaction.put(*place)


def scribble(database: Path, collection: str, key: str) -> None:
    """Makes a document of the SQLite store unreadable for all but SQLite itself."""
    with sqlite3.connect(database, timeout=30) as connection:
        connection.execute(
            f"UPDATE {collection} SET body = '{{\"much\":1e999,' || substr(body, 2) WHERE id = ?",  # noqa: S608
            (key,),
        )


def _documents(whole: Job) -> Iterator[tuple[str, str, Document]]:
    for collection, places in FOUND_BY.items():
        for number, found_by in enumerate(places):
            for kind, wrong in WRONG.items():
                key = f"poison-{number}-{kind}"
                yield collection, key, {"id": key} | found_by | wrong
    for kind, changes in _jobs(whole.charge or {}).items():
        key = f"job_poison{kind}"
        found_by = {"shard": 3, "state": "running", "lease_expires_at": PAST, "attempt": whole.max_attempts}
        yield "jobs", key, to_document(whole) | found_by | {"id": key, "tenant": "poison", "lane": ""} | changes


def _jobs(charge: dict[str, Any]) -> dict[str, Document]:
    """Whole ones, but for what would have to be settled with them, or where they are."""
    return {
        "negative": {"charge": charge | {"reserved": {"key:poison": -5}}},
        "uncharged": {"charge": {"run": 1}},
        "substate": {"substate": "asleep"},
        "deadline": {"deadline_at": "tomorrow"},
    }
