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


class Connection(sqlite3.Connection):
    """Closes with the thread that opened it, which nobody else can know the end of."""

    def __del__(self) -> None:
        self.close()


class Database:
    """One file in WAL mode: readers never wait, writers take turns, and a killed process loses no commit."""

    def __init__(self, path: Path, schema: str) -> None:
        self._path = path
        self._schema = schema
        self._thread = threading.local()

    def connection(self) -> Connection:
        """The calling thread's connection, in autocommit mode."""
        opened: dict[int, Connection] = self._thread.__dict__.setdefault("by_process", {})
        process = os.getpid()
        if process not in opened:
            opened[process] = _while_busy(self._open)
        return opened[process]

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that holds the write lock from its first statement, so that what it reads stays true."""
        connection = self.connection()
        _while_busy(lambda: connection.execute("BEGIN IMMEDIATE"))
        try:
            yield connection
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def _open(self) -> Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, factory=Connection
        )
        connection.execute("PRAGMA journal_mode = WAL")
        # A commit survives the end of every process; only a power cut can take back the last ones, never tear one.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(self._schema)
        return connection


@contextmanager
def availability(what: str) -> Iterator[None]:
    """Turns SQLite's refusals (locked for too long, unreadable, disk full) into Unavailable."""
    try:
        yield
    except sqlite3.OperationalError as error:
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
