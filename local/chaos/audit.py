"""What is looked at while workers die: where they die, and how often each job is brought to its end."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from shared.core.jobs import State
from shared.ports.store import AlreadyExists, Document, Page, Query, Store, Transaction

T = TypeVar("T")

POINTS = ("after claim", "mid-run", "after the blob", "before commit", "after commit", "after the answer")
TASK = "chaos"
RETRIED = "retried"
"""The trace id of a job that was run again."""
DOUBLED = "doubled.log"
KILLED = "killed.log"
AUDIT = "changes"
"""The collection that gets one more document with every final write of a run."""


class Mortality:
    """Ends the process at one point."""

    def __init__(self, folder: Path, point: str, after: int) -> None:
        self._folder = folder
        self._point = point
        self._left = after

    def at(self, point: str) -> None:
        if point != self._point:
            return
        self._left -= 1
        if self._left == 0:
            note(self._folder / KILLED, point)
            os.kill(os.getpid(), signal.SIGKILL)


def note(path: Path, line: str) -> None:
    """Appends a line whole, whatever else is appending."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)


class AuditedTransaction:
    """Creates a document with each final write of a run, in the same commit: a second final write cannot hide."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self.get = transaction.get
        self.create = transaction.create
        self.delete = transaction.delete
        self.ends_a_job = False

    @property
    def now(self) -> float:
        return self._transaction.now

    def put(self, collection: str, key: str, document: Document) -> None:
        self._transaction.put(collection, key, document)
        if collection == "jobs" and State(document["state"]).is_final:
            self.ends_a_job = True
            run = (document["charge"] or {}).get("run", key)
            self._transaction.create(AUDIT, f"final-{run}", {"id": key, "epoch": document["epoch"]})


class AuditedStore:
    def __init__(self, store: Store, folder: Path, mortality: Mortality) -> None:
        self._store = store
        self._folder = folder
        self._mortality = mortality
        self.get = store.get
        self.ping = store.ping

    def query(self, query: Query) -> Page:
        return self._store.query(query)

    def count(self, query: Query) -> int:
        return self._store.count(query)

    def transact(self, work: Callable[[Transaction], T]) -> T:
        ends_a_job = False

        def watched(transaction: Transaction) -> T:
            nonlocal ends_a_job
            audited = AuditedTransaction(transaction)
            result = work(audited)
            ends_a_job = audited.ends_a_job
            if ends_a_job:
                self._mortality.at("before commit")
            return result

        try:
            result = self._store.transact(watched)
        except AlreadyExists as error:
            note(self._folder / DOUBLED, str(error))
            raise
        if ends_a_job:
            self._mortality.at("after commit")
        return result
