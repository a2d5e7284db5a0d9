"""The store in one SQLite file: the embedded default.

A table a collection, a document a row as JSON; the indexes of the port are indexes on expressions over it. What has
expired is deleted along with other writes, now and then.
"""

# ruff: noqa: S608 (the names put into the statements are INDEXES' and identifiers, never a caller's text)

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from shared.core.positions import Position, from_cursor, to_cursor
from shared.ports.clock import Clock
from shared.ports.store import (
    EXPIRY,
    INDEXES,
    AlreadyExists,
    Document,
    Page,
    Query,
    Transaction,
    require_index,
    require_size,
    unreadable,
)
from shared.sqlite import Database, availability

T = TypeVar("T")

FORGET_EVERY_S = 60.0
FORGET_MOST = 1000
"""Documents deleted at a time: others wait for the lock meanwhile."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class SqliteStore:
    def __init__(self, path: Path, clock: Clock) -> None:
        self._database = Database(path, _schema())
        self._clock = clock
        self._forget_at = clock.now()

    def get(self, collection: str, key: str) -> Document | None:
        with availability("store"):
            return _get(self._database.connection(), collection, key)

    def query(self, query: Query) -> Page:
        require_index(query)
        sql, values = _select(query)
        with availability("store"):
            rows = self._database.connection().execute(sql, values).fetchall()
        more = len(rows) > query.limit
        del rows[query.limit :]
        cursor = to_cursor(Position(rows[-1][1], rows[-1][2])) if more else ""
        documents = [_document(body, unreadable(query, key, value)) for body, value, key in rows]
        return Page(documents, cursor, tuple(key for *_, key in rows))

    def count(self, query: Query) -> int:
        require_index(query)
        sql, values = _select(query)
        with availability("store"):
            (number,) = self._database.connection().execute(f"SELECT count(*) FROM ({sql})", values).fetchone()
        return min(int(number), query.limit)

    def transact(self, work: Callable[[Transaction], T]) -> T:
        with availability("store"), self._database.write() as connection:
            now = self._clock.now()
            if now >= self._forget_at:
                self._forget_at = now + FORGET_EVERY_S
                _forget_expired(connection, now)
            return work(SqliteTransaction(connection, now))

    def ping(self) -> None:
        with availability("store"):
            self._database.connection().execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()


class SqliteTransaction:
    def __init__(self, connection: sqlite3.Connection, now: float) -> None:
        self._connection = connection
        self._written = False
        self.now = now

    def get(self, collection: str, key: str) -> Document | None:
        if self._written:
            raise RuntimeError("a transaction's reads come before its writes")
        return _get(self._connection, collection, key)

    def create(self, collection: str, key: str, document: Document) -> None:
        if not self._write(f"INSERT OR IGNORE INTO {_table(collection)} VALUES (?, ?)", key, _text(document)):
            raise AlreadyExists(f"{collection}/{key}")

    def put(self, collection: str, key: str, document: Document) -> None:
        self._write(
            f"INSERT INTO {_table(collection)} VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body",
            key,
            _text(document),
        )

    def delete(self, collection: str, key: str) -> None:
        self._write(f"DELETE FROM {_table(collection)} WHERE id = ?", key)

    def _write(self, sql: str, *values: str) -> int:
        self._written = True
        return self._connection.execute(sql, values).rowcount


def _get(connection: sqlite3.Connection, collection: str, key: str) -> Document | None:
    row = connection.execute(f"SELECT body FROM {_table(collection)} WHERE id = ?", (key,)).fetchone()
    return _document(row[0], {"id": key}) if row else None


def _document(body: str, otherwise: Document) -> Document:
    try:
        return _decode(body)
    except msgspec.DecodeError:
        return otherwise


def _forget_expired(connection: sqlite3.Connection, now: float) -> None:
    for collection in (name for name, indexes in INDEXES.items() if EXPIRY in indexes):
        expired = f"SELECT id FROM {collection} WHERE {_field('expire_at')} <= ? LIMIT {FORGET_MOST}"
        connection.execute(f"DELETE FROM {collection} WHERE id IN ({expired})", (now,))


def _text(document: Document) -> str:
    body = _encode(document)
    require_size(body)
    return body.decode()


def _select(query: Query) -> tuple[str, list[Any]]:
    """The statement for one page and one row more, which tells whether there is a next page."""
    order = _field(query.order_by)
    conditions, values = [f"{order} IS NOT NULL"], []
    for field, operator, value in query.where:
        conditions.append(f"{_field(field)} {'IS' if operator == '==' else operator} ?")
        values.append(value)
    if query.cursor:
        position = from_cursor(query.cursor)
        after = "<" if query.descending else ">"
        # The first comparison is implied by the second, but only it lets SQLite enter the index at the position.
        conditions.append(f"{order} {after}= ? AND ({order}, id) {after} (?, ?)")
        values += [position.value, position.value, position.key]
    direction = "DESC" if query.descending else "ASC"
    sql = (
        f"SELECT body, {order}, id FROM {_table(query.collection)} WHERE {' AND '.join(conditions)} "
        f"ORDER BY {order} {direction}, id {direction} LIMIT {query.limit + 1}"
    )
    return sql, values


def _schema() -> str:
    statements = []
    for collection, indexes in INDEXES.items():
        statements.append(f"CREATE TABLE IF NOT EXISTS {collection} (id TEXT PRIMARY KEY, body TEXT NOT NULL);")
        for fields in indexes:
            name = "_".join((collection, "by", *fields))
            columns = ", ".join(_field(field) for field in fields)
            statements.append(f"CREATE INDEX IF NOT EXISTS {name} ON {collection} ({columns}, id);")
    return "\n".join(statements)


def _table(collection: str) -> str:
    if collection not in INDEXES:
        raise ValueError(f"there is no collection {collection!r} in INDEXES")
    return collection


def _field(name: str) -> str:
    if not name.isidentifier():
        raise ValueError(f"{name!r} is not the name of a field")
    return f"json_extract(body, '$.{name}')"
