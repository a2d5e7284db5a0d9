"""What SQLite must keep when several processes use one file, and when some of them are killed."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from shared.adapters.sqlite_store import SqliteStore
from shared.adapters.system_clock import SystemClock
from shared.core.errors import Unavailable
from shared.ports.store import INDEXES, Query
from tests.waiting import wait_until

CHECKOUT = Path(__file__).resolve().parents[2]
PRELUDE = """
import os, signal, sys
from pathlib import Path
from shared.adapters.sqlite_store import SqliteStore
from shared.adapters.system_clock import SystemClock
store = SqliteStore(Path(sys.argv[1]), SystemClock())
"""
COUNT = """
def count(transaction):
    value = (transaction.get("jobs", "counter") or {"value": 0})["value"]
    transaction.put("jobs", "counter", {"id": "counter", "value": value + 1})
for _ in range(100):
    store.transact(count)
"""
DIE_HALFWAY = """
def die(transaction):
    transaction.put("jobs", "first", {"id": "first"})
    os.kill(os.getpid(), signal.SIGKILL)
store.transact(die)
"""
WRITE_PAIRS = """
n = 0
while True:
    n += 1
    def write(transaction):
        transaction.put("jobs", "left", {"id": "left", "n": n})
        transaction.put("jobs", "right", {"id": "right", "n": n})
    store.transact(write)
    print(n, flush=True)
"""
WRITE_AFTER_FORK = """
store.transact(lambda transaction: transaction.put("jobs", "a", {"id": "a"}))
before = store._database.connection()
child = os.fork()
assert (store._database.connection() is before) == bool(child)
for _ in range(50):
    store.transact(lambda transaction: transaction.put("jobs", str(os.getpid()), {"id": "a"}))
if child:
    assert os.waitpid(child, 0)[1] == 0
    assert store.get("jobs", str(child)) and store.get("jobs", str(os.getpid()))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "omni.db"


def start(code: str, path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PRELUDE + code, str(path)]
    return subprocess.Popen(command, cwd=CHECKOUT, text=True, stdout=subprocess.PIPE)


def run(code: str, path: Path) -> int:
    with start(code, path) as process:
        return process.wait(60)


def opened(path: Path) -> SqliteStore:
    return SqliteStore(path, SystemClock())


def test_processes_that_start_together_share_a_new_file_and_lose_no_update(path: Path) -> None:
    processes = [start(COUNT, path) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    for process in processes:
        process.communicate()
    assert (opened(path).get("jobs", "counter") or {})["value"] == 400


def test_a_writer_killed_in_a_transaction_leaves_nothing_of_it_and_no_lock(path: Path) -> None:
    store = opened(path)
    store.ping()
    assert run(DIE_HALFWAY, path) == -signal.SIGKILL
    assert store.get("jobs", "first") is None
    store.transact(lambda transaction: transaction.put("jobs", "next", {"id": "next"}))


def test_what_a_killed_writer_had_committed_stays_and_is_whole(path: Path) -> None:
    store = opened(path)
    for _ in range(5):
        with start(WRITE_PAIRS, path) as process:
            assert process.stdout is not None
            told = [int(process.stdout.readline()) for _ in range(20)][-1]
            process.kill()
            process.wait()
            rest = process.stdout.read().split("\n")
        told = max([told, *(int(line) for line in rest[:-1])])
        left, right = (store.get("jobs", side) or {} for side in ("left", "right"))
        assert left["n"] == right["n"] >= told


def test_a_store_that_was_used_can_be_used_on_both_sides_of_a_fork(path: Path) -> None:
    """The functions' server forks after it has built the application."""
    assert run(WRITE_AFTER_FORK, path) == 0


def test_a_thread_that_ends_closes_its_connection(path: Path) -> None:
    store = opened(path)
    store.ping()
    before = _open_files()
    for _ in range(20):
        thread = threading.Thread(target=store.ping)
        thread.start()
        thread.join()
    wait_until(lambda: _open_files() <= before + 2, description="files closed")


def test_a_file_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "omni.db").mkdir()
    with pytest.raises(Unavailable):
        opened(tmp_path / "omni.db").ping()


def test_every_index_is_used_from_its_beginning_and_for_the_order(path: Path) -> None:
    """Else a list or a sweep would read the whole table, or sort it."""
    store = opened(path)
    for collection, indexes in INDEXES.items():
        for *equal, order in indexes:
            where = (*((field, "==", "x") for field in equal), (order, "<=", 5.0))
            plan = _plan(store, Query(collection, where, order))  # type: ignore[arg-type]
            assert f"USING INDEX {collection}_by_{'_'.join((*equal, order))} " in plan
            assert plan.count("<expr>=?") == len(equal)
            assert "<expr><?" in plan
            assert "TEMP B-TREE" not in plan


def _open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def _plan(store: SqliteStore, query: Query) -> str:
    from shared.adapters.sqlite_store import _select

    sql, values = _select(query)
    rows = store._database.connection().execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall()
    return "\n".join(row[3] for row in rows)
