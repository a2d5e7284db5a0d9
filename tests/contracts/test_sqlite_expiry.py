"""What has expired leaves the embedded store, as a Firestore policy would have it."""

from pathlib import Path

from shared.adapters.sqlite_store import FORGET_EVERY_S, FORGET_MOST, SqliteStore
from shared.ports.store import Transaction
from tests.fakes import FakeClock


def test_an_expired_document_is_deleted_along_with_a_later_write(tmp_path: Path, clock: FakeClock) -> None:
    store = SqliteStore(tmp_path / "omni.db", clock)
    put(store, ["soon"], clock.now() + 1)
    put(store, ["later"], clock.now() + 1000)
    clock.advance(FORGET_EVERY_S + 1)
    put(store, ["new"], clock.now() + 1000)
    assert [store.get("idempotency", key) is not None for key in ("soon", "later", "new")] == [False, True, True]


def test_many_expired_documents_go_a_part_at_a_time(tmp_path: Path, clock: FakeClock) -> None:
    store = SqliteStore(tmp_path / "omni.db", clock)
    old = [str(n) for n in range(FORGET_MOST + 10)]
    put(store, old, clock.now() + 1)
    left = []
    for n in range(2):
        clock.advance(FORGET_EVERY_S + 1)
        put(store, [f"new {n}"], clock.now() + 1000)
        left.append(sum(store.get("idempotency", key) is not None for key in old))
    assert left == [10, 0]


def test_a_document_of_a_collection_that_never_expires_stays(tmp_path: Path, clock: FakeClock) -> None:
    store = SqliteStore(tmp_path / "omni.db", clock)
    store.transact(lambda transaction: transaction.put("keys", "old", {"id": "old", "expire_at": clock.now()}))
    clock.advance(FORGET_EVERY_S + 1)
    put(store, ["new"], clock.now() + 1000)
    assert store.get("keys", "old") is not None


def put(store: SqliteStore, keys: list[str], expire_at: float) -> None:
    def work(transaction: Transaction) -> None:
        for key in keys:
            transaction.put("idempotency", key, {"id": key, "expire_at": expire_at})

    store.transact(work)
