"""An SQLite file that cannot be used is a store that is not available: 503, and never a crash."""

import subprocess
import sys
from pathlib import Path

import pytest

from shared.adapters.sqlite_store import SqliteStore
from shared.core.errors import Unavailable
from tests.fakes import FakeClock

HOLD = """
import fcntl, sys
with open(sys.argv[1], "r+b") as memory:
    fcntl.lockf(memory, fcntl.LOCK_EX, 8, 120)
    print("held", flush=True)
    sys.stdin.read()
"""
"""Takes the locks of SQLite's shared memory, as a process that hangs in the middle of its work would hold them."""


def use(store: SqliteStore) -> None:
    store.get("jobs", "a")


def write(store: SqliteStore) -> None:
    store.transact(lambda transaction: transaction.put("jobs", "a", {"id": "a"}))


@pytest.mark.parametrize("action", [use, write, SqliteStore.ping])
def test_a_damaged_file(tmp_path: Path, action: object) -> None:
    (tmp_path / "omni.db").write_bytes(b"not a database" * 1000)
    assert callable(action)
    with pytest.raises(Unavailable):
        action(SqliteStore(tmp_path / "omni.db", FakeClock()))


@pytest.mark.parametrize("action", [use, write, SqliteStore.ping])
def test_a_folder_that_cannot_be_made(tmp_path: Path, action: object) -> None:
    (tmp_path / "file").touch()
    assert callable(action)
    with pytest.raises(Unavailable):
        action(SqliteStore(tmp_path / "file" / "omni.db", FakeClock()))


def test_a_process_that_hangs_while_it_holds_the_file(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "omni.db", FakeClock())
    write(store)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path / "omni.db-shm"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdin
        assert other.stdout
        other.stdout.readline()
        with pytest.raises(Unavailable):
            use(store)
        other.stdin.close()
    use(store)
