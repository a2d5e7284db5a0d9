"""Connections to an SQLite file that many threads and processes share.

Each thread opens its own on first use. A connection must not cross a fork, and the functions' server forks after it
has built the application, so each is remembered together with the process that opened it.
"""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from shared.core.errors import Unavailable

BUSY_TIMEOUT_S = 5.0
MOST_ATTEMPTS = 3
BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}

T = TypeVar("T")


class Opened:
    """A connection that is closed when the thread that opened it ends, of which nobody else is told."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def __del__(self) -> None:
        self.connection.close()


class Database:
    """One file in WAL mode: readers never wait, writers take turns, and a killed process loses no commit."""

    def __init__(self, path: Path, schema: str) -> None:
        self._path = path
        self._schema = schema
        self._thread = threading.local()

    def connection(self) -> sqlite3.Connection:
        """The calling thread's connection, in autocommit mode."""
        opened: dict[int, Opened] = self._thread.__dict__.setdefault("by_process", {})
        process = os.getpid()
        if process not in opened:
            opened[process] = _while_busy(self._open)
        return opened[process].connection

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction that holds the write lock from its first statement, so that what it reads stays true."""
        connection = self.connection()
        _while_busy(lambda: connection.execute("BEGIN IMMEDIATE"))
        try:
            yield connection
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def _open(self) -> Opened:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        opened = Opened(
            sqlite3.connect(self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        )
        opened.connection.execute("PRAGMA journal_mode = WAL")
        # A commit survives the end of every process; only a power cut can take back the last ones, never tear one.
        opened.connection.execute("PRAGMA synchronous = NORMAL")
        opened.connection.executescript(self._schema)
        return opened


@contextmanager
def availability(what: str) -> Iterator[None]:
    """Turns SQLite's refusals (locked for too long, unreadable, damaged, disk full) into Unavailable."""
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
        raise
    except (sqlite3.DatabaseError, OSError) as error:
        raise Unavailable(f"The {what} is not available.", detail=str(error), retry_after_s=1.0) from error


def _while_busy(action: Callable[[], T]) -> T:
    """Repeats what the busy timeout does not cover, such as two processes that create the file at once."""
    for _ in range(MOST_ATTEMPTS - 1):
        try:
            return action()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in BUSY:
                raise
    return action()
