"""Every route function on the embedded adapters, and documents that no code of ours would write."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from shared.core.keys import SYSTEM
from shared.ports.store import Document
from tests.routes.conftest import Routes

PAST = 1000.0
POISONS: dict[str, dict[str, Any]] = {
    "without its fields": {},
    "of wrong types": {"attempt": "three", "attempts": 5, "rows": 7, "parts": "none", "counts": "many", "mistakes": 1},
    "in an unknown state": {"state": "asleep", "status_before": "asleep"},
    "of a newer schema": {"schema_version": 99},
    "with another's id": {"id": "another"},
    "with an id of no text": {"id": 7},
}
MET: dict[str, tuple[str, dict[str, Any]]] = {
    "jobs-reap": ("jobs", {"shard": 3, "state": "running", "lease_expires_at": PAST}),
    "jobs-sweep": ("jobs", {"shard": 3, "outbox": True, "next_run_at": PAST}),
    "webhooks-sweep": ("webhooks", {"shard": 3, "next_attempt_at": PAST}),
    "batches-advance": ("batches", {"status": "in_progress", "created_at": PAST}),
    "usage-rollup": ("usage", {"is_summed": False, "created_at": PAST}),
    "files-expire": ("files", {"purge_at": PAST}),
}
"""By schedule: the collection it reads, and by what it finds a document there."""


class Schedules(Routes):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder, internal=True)
        self._folder = folder

    def plant(self, collection: str, key: str, document: Document) -> None:
        self.ports.store.transact(lambda transaction: transaction.put(collection, key, document))

    def poison(self, collection: str, key: str, found_by: dict[str, Any], kind: str) -> None:
        """A document that the schedule finds and cannot work on."""
        wrong = {name: value for name, value in POISONS[kind].items() if name not in found_by}
        self.plant(collection, key, {"id": key} | found_by | wrong)

    def scribble(self, collection: str, key: str) -> None:
        """Makes what is stored under the key unreadable for all but SQLite itself."""
        with sqlite3.connect(self._folder / "omni.db") as connection:
            connection.execute(
                f"UPDATE {collection} SET body = '{{\"much\":1e999,' || substr(body, 2) WHERE id = ?",  # noqa: S608
                (key,),
            )

    def round(self, schedule: str) -> dict[str, Any]:
        answer = self.call("POST", f"/internal/schedules/{schedule}", SYSTEM)
        assert answer.status_code == 200, answer.get_data(as_text=True)
        report: dict[str, Any] = answer.get_json()
        return report


@pytest.fixture
def schedules(tmp_path: Path) -> Schedules:
    return Schedules(tmp_path)
