"""A document that cannot be read hides no other, in Firestore as in SQLite."""

import sqlite3
from functools import partial
from pathlib import Path

from shared.adapters.firestore_store import _stored
from shared.adapters.sqlite_store import SqliteStore
from shared.firestore import BODY
from shared.pages import every_entry
from shared.ports.store import Query, Store, Transaction
from tests.fakes import FakeClock
from tests.firestore_emulator import FirestoreEmulator

LATE = Query("uploads", (("purge_at", "<=", 10.0),), "purge_at", limit=1)


def check(store: Store) -> None:
    found = [(key, document.get("id"), document["purge_at"]) for key, document in every_entry(store, LATE)]
    assert found == [("a", "a", 1.0), ("b", "b", 2.0), ("c", "c", 3.0)]
    assert store.get("uploads", "b") == {"id": "b"}
    assert store.transact(lambda transaction: transaction.get("uploads", "b")) == {"id": "b"}


def fill(store: Store) -> None:
    for number, key in enumerate("abc", start=1):
        store.transact(partial(_put, key, float(number)))


def _put(key: str, purge_at: float, transaction: Transaction) -> None:
    transaction.put("uploads", key, {"id": key, "purge_at": purge_at})


def test_sqlite(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "omni.db", FakeClock())
    fill(store)
    with sqlite3.connect(tmp_path / "omni.db") as connection:
        connection.execute("UPDATE uploads SET body = '{\"much\":1e999,' || substr(body, 2) WHERE id = 'b'")
    check(store)


def test_firestore(firestore: FirestoreEmulator) -> None:
    from google.cloud.firestore_v1.types import Value, Write

    store = firestore.store()
    try:
        fill(store)
        path = store._firestore.path("uploads", "b")
        broken = _stored(path, "uploads", {"id": "b", "purge_at": 2.0}, "mark")
        broken.fields[BODY] = Value(string_value="{")
        store._firestore.commit([Write(update=broken)])
        check(store)
    finally:
        store.close()
