"""A round that is out of time is gone on with by the next one."""

from collections import Counter
from pathlib import Path

from shared.adapters.sqlite_store import SqliteStore
from shared.ports.store import Document, Query
from shared.sweeps.report import MOST_TIME_S
from shared.sweeps.sweep import Sweeps
from tests.fakes import FakeClock

QUERIES = [Query("batches", (("status", "==", status),), limit=7) for status in ("validating", "in_progress")]
EACH = 40
"""Documents that each query finds, in each round again, and that take a second each."""


def test_no_document_waits_for_ever_behind_those_that_come_first(tmp_path: Path) -> None:
    clock = FakeClock()
    store = SqliteStore(tmp_path / "omni.db", clock)
    for number in range(EACH):
        for status in ("validating", "in_progress"):
            key = f"{status}-{number}"
            document = {"id": key, "status": status, "created_at": float(number)}
            store.transact(lambda transaction, key=key, document=document: transaction.put("batches", key, document))  # type: ignore[misc]
    seen: Counter[str] = Counter()
    sweeps = Sweeps(store, clock, 5)

    def look(document: Document) -> bool:
        clock.advance(1)
        seen[document["id"]] += 1
        return False

    rounds = -(-2 * EACH // int(MOST_TIME_S))
    reports = [sweeps.begin("batches_advance", "batches").over(QUERIES, look) for _ in range(rounds)]
    assert len(seen) == 2 * EACH
    assert max(seen.values()) <= 2
    assert not any(report.complete for report in reports[:-1])


def test_a_round_that_goes_on_ends_where_it_began(tmp_path: Path) -> None:
    clock = FakeClock()
    store = SqliteStore(tmp_path / "omni.db", clock)
    for number in range(30):
        document = {"id": f"b{number}", "status": "validating", "created_at": float(number)}
        store.transact(lambda transaction, each=document: transaction.put("batches", each["id"], each))  # type: ignore[misc]
    sweeps = Sweeps(store, clock, 5)

    def look(_: Document) -> bool:
        clock.advance(1)
        return False

    assert not sweeps.begin("batches_advance", "batches").over(QUERIES, look).complete
    report = sweeps.begin("batches_advance", "batches").over(QUERIES, lambda _: False)
    assert (report.examined, report.complete) == (30, True)
