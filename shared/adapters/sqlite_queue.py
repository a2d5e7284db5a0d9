"""The queue in one SQLite file: the embedded default, emptied by local.dispatcher.

What is being delivered is only remembered by the dispatcher, so a killed one has nothing to recover: the tasks it did
not see answered are still due. A finished task leaves its name behind, as in Cloud Tasks, so that it is not accepted
again.
"""

import re
from pathlib import Path

from shared.core.backoff import Backoff
from shared.ports.clock import Clock
from shared.ports.queue import Delivery, Task
from shared.sqlite import Database, availability

NAME_KEPT_S = 3600.0
BACKOFF = Backoff(0.5, 10.0)
NAME = re.compile(r"[A-Za-z0-9_-]{1,500}")

SCHEMA = """
CREATE TABLE IF NOT EXISTS tasks (
    queue TEXT, name TEXT, url TEXT, body BLOB, due_at REAL, done_at REAL,
    retries INTEGER, executions INTEGER, previous_status INTEGER,
    PRIMARY KEY (queue, name)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS tasks_by_due ON tasks (queue, due_at) WHERE done_at IS NULL;
CREATE INDEX IF NOT EXISTS tasks_by_done ON tasks (done_at) WHERE done_at IS NOT NULL;
"""
ENQUEUE = "INSERT OR IGNORE INTO tasks VALUES (?, ?, ?, ?, ?, NULL, 0, 0, 0)"
DUE = """
SELECT name, url, body, due_at, retries, executions, previous_status FROM tasks
WHERE queue = ? AND done_at IS NULL AND due_at <= ? ORDER BY due_at LIMIT ?
"""
DONE = "UPDATE tasks SET done_at = ?, url = '', body = x'' WHERE queue = ? AND name = ?"
RETRY = """
UPDATE tasks SET due_at = ?, retries = ?, executions = ?, previous_status = ? WHERE queue = ? AND name = ?
"""
FORGET = "DELETE FROM tasks WHERE done_at < ?"


class SqliteQueue:
    def __init__(self, path: Path, clock: Clock) -> None:
        self._database = Database(path, SCHEMA)
        self._clock = clock

    def enqueue(self, task: Task) -> bool:
        if not NAME.fullmatch(task.name):
            raise ValueError(f"{task.name!r} is not a task's name")
        due_at = max(task.not_before, self._clock.now())
        return self._write(ENQUEUE, task.queue, task.name, task.url, task.body, due_at) == 1

    def ping(self) -> None:
        with availability("queue"):
            self._database.connection().execute("SELECT 1 FROM tasks LIMIT 1").fetchone()

    def due(self, queue: str, limit: int) -> list[Delivery]:
        with availability("queue"):
            rows = self._database.connection().execute(DUE, (queue, self._clock.now(), limit)).fetchall()
        return [
            Delivery(Task(queue, name, url, body, due_at), retries, executions, previous_status)
            for name, url, body, due_at, retries, executions, previous_status in rows
        ]

    def done(self, delivery: Delivery) -> None:
        self._write(DONE, self._clock.now(), delivery.task.queue, delivery.task.name)

    def retry(self, delivery: Delivery, status: int) -> None:
        due_at = self._clock.now() + BACKOFF.after(delivery.retries + 1)
        executions = delivery.executions + (0 < status < 500)
        task = delivery.task
        self._write(RETRY, due_at, delivery.retries + 1, executions, status, task.queue, task.name)

    def forget_old_names(self) -> None:
        self._write(FORGET, self._clock.now() - NAME_KEPT_S)

    def _write(self, sql: str, *values: str | bytes | float) -> int:
        with availability("queue"), self._database.write() as connection:
            return connection.execute(sql, values).rowcount
