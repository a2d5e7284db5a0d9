"""The store in Firestore.

A document's JSON stands whole in one field, `body`, beside copies of the fields that queries compare. Firestore's own
values know no list in a list, no whole number beyond 64 bits and no key like `__x__`, all of which callers may send.

A transaction reads at one moment and takes no locks, which a killed process would leave behind for a minute. It commits
on the condition that what it read is unchanged, or is done again. Every commit carries a mark, by which one whose
answer was lost is known to have happened.
"""

import re
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from shared.core.errors import Unavailable
from shared.core.positions import Position, from_cursor, to_cursor
from shared.firestore import BODY, CLOCK, MARK, Contended, Exists, Firestore
from shared.ports.store import (
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

if TYPE_CHECKING:
    from google.cloud.firestore_v1.types import Document as Stored
    from google.cloud.firestore_v1.types import Value, Write

T = TypeVar("T")

EXPIRY = "expire_at"
"""As a timestamp, which is what Firestore's deletion by age wants."""
MOST_TIME_S = 10.0
"""How long a transaction is tried again while others are faster."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.02, 0.5
RESERVED = re.compile(r"\.{1,2}|__.*__", re.DOTALL)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class FirestoreStore:
    def __init__(self, firestore: Firestore, token: Callable[[], str] = secrets.token_hex) -> None:
        self._firestore = firestore
        self._token = token

    def get(self, collection: str, key: str) -> Document | None:
        path = _path(self._firestore, collection, key)
        return _document(self._firestore.read(path).documents[path])

    def query(self, query: Query) -> Page:
        require_index(query)
        answers = self._firestore.query(_structured(self._firestore, query))
        found = [answer.document for answer in answers if "document" in answer]
        more = len(found) > query.limit
        del found[query.limit :]
        keys = tuple(_key(stored.name) for stored in found)
        values = [_plain(stored.fields[query.order_by]) for stored in found]
        documents = [
            _decoded(stored, unreadable(query, key, value))
            for stored, key, value in zip(found, keys, values, strict=True)
        ]
        return Page(documents, to_cursor(Position(values[-1], keys[-1])) if more else "", keys)

    def count(self, query: Query) -> int:
        require_index(query)
        return self._firestore.count(_structured(self._firestore, query), query.limit)

    def transact(self, work: Callable[[Transaction], T]) -> T:
        from google.api_core.exceptions import RetryError
        from google.api_core.retry import Retry, if_exception_type

        def attempt() -> T:
            transaction = FirestoreTransaction(self._firestore, self._token())
            result = work(transaction)
            transaction.commit()
            return result

        contended = if_exception_type(Contended)
        again = Retry(contended, initial=FIRST_PAUSE_S, maximum=LONGEST_PAUSE_S, timeout=MOST_TIME_S)
        try:
            return again(attempt)()
        except RetryError as error:
            raise Unavailable("The store is busy.", detail=str(error), retry_after_s=1.0) from error

    def ping(self) -> None:
        self._firestore.read(self._firestore.path(*CLOCK))

    def close(self) -> None:
        self._firestore.close()


class FirestoreTransaction:
    def __init__(self, firestore: Firestore, mark: str) -> None:
        self._firestore = firestore
        self._mark = mark
        self._at: datetime | None = None
        self._now = 0.0
        self._seen: dict[str, Stored | None] = {}
        self._puts: dict[str, Stored | None] = {}
        """What becomes of a document; None: deleted."""
        self._creates: set[str] = set()

    @property
    def now(self) -> float:
        self._now = self._now or (self._at.timestamp() if self._at else self._firestore.now())
        return self._now

    def get(self, collection: str, key: str) -> Document | None:
        if self._puts:
            raise RuntimeError("a transaction's reads come before its writes")
        path = _path(self._firestore, collection, key)
        reading = self._firestore.read(path, at=self._at)
        self._at = self._at or reading.at
        self._seen[path] = reading.documents[path]
        return _document(reading.documents[path])

    def create(self, collection: str, key: str, document: Document) -> None:
        path = _path(self._firestore, collection, key)
        if self._seen.get(path) or self._puts.get(path):
            raise AlreadyExists(f"{collection}/{key}")
        self._creates.add(path)
        self._puts[path] = _stored(path, collection, document, self._mark)

    def put(self, collection: str, key: str, document: Document) -> None:
        path = _path(self._firestore, collection, key)
        self._puts[path] = _stored(path, collection, document, self._mark)

    def delete(self, collection: str, key: str) -> None:
        self._puts[_path(self._firestore, collection, key)] = None

    def commit(self) -> None:
        """Contended when it was not, because the work has to be done again."""
        if not self._puts:
            return
        begun = self._hold()
        try:
            self._firestore.commit([self._write(path) for path in self._puts], begun)
        except Exists as error:
            if taken := self._taken():
                raise AlreadyExists(taken) from error
            raise Contended from error
        except Unavailable:
            if not self._has_happened():
                raise

    def _hold(self) -> bytes:
        """Keeps what was read and will not be written as it is: in a transaction of Firestore's own, begun late."""
        if not (paths := self._seen.keys() - self._puts.keys()):
            return b""
        reading = self._firestore.read(*paths, begin=True)
        if any(_version(reading.documents[path]) != _version(self._seen[path]) for path in paths):
            self._firestore.roll_back(reading.transaction)
            raise Contended
        return reading.transaction

    def _write(self, path: str) -> "Write":
        from google.cloud.firestore_v1.types import Precondition, Write

        condition: Precondition | None = None
        if seen := self._seen.get(path):
            condition = Precondition(update_time=seen.update_time)
        elif path in self._seen or path in self._creates:
            condition = Precondition(exists=False)
        stored = self._puts[path]
        if stored is None:
            return Write(delete=path, current_document=condition)
        return Write(update=stored, current_document=condition)

    def _taken(self) -> str:
        """A document that was to be created unread, and is there; empty when there is none."""
        unread = self._creates - self._seen.keys()
        found = self._firestore.read(*unread).documents if unread else {}
        return next((path for path, stored in found.items() if stored), "")

    def _has_happened(self) -> bool:
        path = next(iter(self._puts))
        stored = self._firestore.read(path).documents[path]
        return stored is not None and stored.fields[MARK].string_value == self._mark


def _path(firestore: Firestore, collection: str, key: str) -> str:
    """Keys may be any text but the empty one; Firestore's own are without slashes, and some are reserved."""
    if collection not in INDEXES:
        raise ValueError(f"there is no collection {collection!r} in INDEXES")
    if not key:
        raise ValueError("a document's key is empty")
    escaped = key.replace("%", "%25").replace("/", "%2F")
    if RESERVED.fullmatch(escaped):
        escaped = f"%{ord(escaped[0]):02X}{escaped[1:]}"
    return firestore.path(collection, escaped)


def _key(path: str) -> str:
    escaped = path.rpartition("/")[2]
    return re.sub("%([0-9A-F]{2})", lambda found: chr(int(found[1], 16)), escaped)


def _document(stored: "Stored | None") -> Document | None:
    return _decoded(stored, {"id": _key(stored.name)}) if stored else None


def _decoded(stored: "Stored", otherwise: Document) -> Document:
    try:
        return _decode(stored.fields[BODY].string_value)
    except msgspec.DecodeError:
        return otherwise


def _plain(value: "Value") -> Any:
    """A value of the fields that order documents, as `_value` makes it."""
    from google.cloud.firestore_v1.types import Value

    return getattr(value, Value.pb(value).WhichOneof("value_type"))


def _version(stored: "Stored | None") -> datetime | None:
    return stored.update_time if stored else None


def _stored(path: str, collection: str, document: Document, mark: str) -> "Stored":
    from google.cloud.firestore_v1.types import Document as Stored
    from google.cloud.firestore_v1.types import Value

    body = _encode(document)
    require_size(body)
    fields = {BODY: Value(string_value=body.decode()), MARK: Value(string_value=mark)}
    orders = {index[-1] for index in INDEXES[collection]}
    for name in set().union(*INDEXES[collection]):
        # What orders documents and is not there is left out of its indexes, and so of their pages.
        if document.get(name) is not None or name not in orders:
            fields[name] = _value(document.get(name))
    if document.get(EXPIRY) is not None:
        fields[EXPIRY] = Value(timestamp_value=datetime.fromtimestamp(document[EXPIRY], UTC))
    return Stored(name=path, fields=fields)


def _value(value: Any) -> "Value":
    from google.cloud.firestore_v1.types import Value

    match value:
        case None:
            return Value(null_value=0)
        case bool():
            return Value(boolean_value=value)
        case int():
            return Value(integer_value=value)
        case float():
            return Value(double_value=value)
        case str():
            return Value(string_value=value)
    raise ValueError(f"no query can compare {value!r}")


def _structured(firestore: Firestore, query: Query) -> dict[str, Any]:
    """The query for one page and one document more, which tells whether there is a next page."""
    from google.cloud.firestore_v1.types import StructuredQuery, Value

    direction = StructuredQuery.Direction.DESCENDING if query.descending else StructuredQuery.Direction.ASCENDING
    structured: dict[str, Any] = {
        "from_": [{"collection_id": query.collection}],
        "order_by": [{"field": {"field_path": name}, "direction": direction} for name in (query.order_by, "__name__")],
        "limit": query.limit + 1,
    }
    if filters := [_filter(*condition) for condition in query.where]:
        structured["where"] = {
            "composite_filter": {"op": StructuredQuery.CompositeFilter.Operator.AND, "filters": filters}
        }
    if query.cursor:
        value, key = from_cursor(query.cursor)
        path = _path(firestore, query.collection, key)
        structured["start_at"] = {"values": [_value(value), Value(reference_value=path)], "before": False}
    return structured


def _filter(field: str, operator: str, value: Any) -> dict[str, Any]:
    from google.cloud.firestore_v1.types import StructuredQuery

    name = {"field_path": field}
    if value is None:
        return {"unary_filter": {"field": name, "op": StructuredQuery.UnaryFilter.Operator.IS_NULL}}
    return {"field_filter": {"field": name, "op": _OPERATORS[operator], "value": _value(value)}}


_OPERATORS = {
    "==": "EQUAL",
    "<": "LESS_THAN",
    "<=": "LESS_THAN_OR_EQUAL",
    ">": "GREATER_THAN",
    ">=": "GREATER_THAN_OR_EQUAL",
}
