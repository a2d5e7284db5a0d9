"""Calls to Firestore: bounded in time, with its failures as ours, over a channel that each process makes for itself.

The generated client is used instead of the handwritten one, which commits with a timeout of its own of a minute. It
takes long to import, so that is left to the first call. Firestore speaks gRPC, whose channels do not survive a fork:
the functions' server forks once the application is built, so nothing may call Firestore before.
"""

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared.core.errors import NotInstalled, Unavailable

if TYPE_CHECKING:
    from google.cloud.firestore_v1.services.firestore import FirestoreClient
    from google.cloud.firestore_v1.types import Document, RunQueryResponse, Write

BODY, MARK = "body", "mark"
"""The fields of a document that hold its JSON, and what its last commit is known by."""
NOT_AVAILABLE = "The store is not available."
TIMEOUT_S = 5.0
"""Connecting included."""
TIME_KEPT_S = 60.0
"""How long the server's time is believed; what a clock that only measures differences is off by then is nothing."""
CLOCK = ("clock", "now")
"""A document that is never there: reading it tells the server's time."""
CHANNEL_OPTIONS = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.max_receive_message_length", -1),
    # Else a server that was away for minutes is looked for only every two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)


class Contended(Exception):
    """A document is not as it was when it was read: nothing was written, and it may be tried again."""


class Exists(Exception):
    """A document that a write was to create is there already; nothing was written."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Documents as they were at one moment."""

    documents: "Mapping[str, Document | None]"
    """By path; None: there is none."""
    at: datetime
    """The server's time."""
    transaction: bytes = b""
    """The one that was begun by reading, if any."""


class Firestore:
    """Every method raises Unavailable when the service does not answer in time, or not with what was asked for."""

    def __init__(self, project: str, database: str, emulator: str = "", timeout_s: float = TIMEOUT_S) -> None:
        """`emulator`: host and port of an emulator to use in place of the service. `timeout_s`: of one call."""
        self.root = f"projects/{project}/databases/{database}"
        self._emulator = emulator
        self._timeout_s = timeout_s
        self._metadata = [("google-cloud-resource-prefix", self.root)]
        if emulator:
            self._metadata.append(("authorization", "Bearer owner"))
        self._client: tuple[int, FirestoreClient] | None = None
        """With the process that made it."""
        self._making = threading.Lock()
        self._told = 0.0, 0.0
        """The server's time when it was last heard, and ours (monotonic) then."""

    def path(self, collection: str, key: str) -> str:
        return f"{self.root}/documents/{collection}/{key}"

    def read(self, *paths: str, at: datetime | None = None, begin: bool = False) -> Reading:
        """The documents as they are now, or `at` a time of an hour ago at most.

        With `begin` in a new transaction: until it is committed, or a minute has passed, others cannot change them.
        """
        request: dict[str, Any] = {"database": self.root, "documents": paths}
        if begin:
            request["new_transaction"] = {"read_write": {}}
        elif at:
            request["read_time"] = at
        with _failures():
            # The transaction's name may come in an answer of its own.
            answers = list(self._connected().batch_get_documents(request, **self._call()))
        documents: dict[str, Document | None] = {answer.missing: None for answer in answers if "missing" in answer}
        documents |= {answer.found.name: answer.found for answer in answers if "found" in answer}
        if documents.keys() != set(paths):
            raise Unavailable(NOT_AVAILABLE, detail="Firestore's answer lacks documents that were asked for")
        at = answers[-1].read_time
        self._told = at.timestamp(), time.monotonic()
        return Reading(documents, at, b"".join(answer.transaction for answer in answers))

    def now(self) -> float:
        """The server's time, seconds since 1970: what it told last and what has passed since, or else what it tells."""
        told, at = self._told
        passed_s = time.monotonic() - at
        if told and passed_s < TIME_KEPT_S:
            return told + passed_s
        return self.read(self.path(*CLOCK)).at.timestamp()

    def commit(self, writes: "Sequence[Write]", transaction: bytes = b"") -> None:
        """All or nothing; Contended or Exists when a write's precondition fails. After Unavailable it is not known
        whether it happened."""
        from google.api_core import exceptions

        request = {"database": self.root, "writes": writes, "transaction": transaction}
        with _failures():
            try:
                self._connected().commit(request, **self._call())
            except (exceptions.Aborted, exceptions.FailedPrecondition, exceptions.NotFound) as error:
                raise Contended(str(error)) from error
            except exceptions.AlreadyExists as error:
                raise Exists(str(error)) from error

    def roll_back(self, transaction: bytes) -> None:
        """Lets others change what the transaction has read."""
        with _failures():
            self._connected().rollback({"database": self.root, "transaction": transaction}, **self._call())

    def query(self, structured: dict[str, Any]) -> "list[RunQueryResponse]":
        with _failures():
            request = {"parent": f"{self.root}/documents", "structured_query": structured}
            return list(self._connected().run_query(request, **self._call()))

    def count(self, structured: dict[str, Any], most: int) -> int:
        """How many documents match; counting ends at `most`."""
        query = {"structured_query": structured, "aggregations": [{"count": {"up_to": most}, "alias": "number"}]}
        request = {"parent": f"{self.root}/documents", "structured_aggregation_query": query}
        with _failures():
            answers = list(self._connected().run_aggregation_query(request, **self._call()))
        return sum(answer.result.aggregate_fields["number"].integer_value for answer in answers)

    def close(self) -> None:
        """Ends the connection; the next call makes a new one."""
        with self._making:
            if self._client and self._client[0] == os.getpid():
                self._client[1].transport.close()  # type: ignore[no-untyped-call]
            self._client = None

    def _call(self) -> dict[str, Any]:
        """No retries by the client: it would repeat a commit of which it is not known whether it happened."""
        return {"metadata": self._metadata, "timeout": self._timeout_s, "retry": None}

    def _connected(self) -> "FirestoreClient":
        client = self._client
        if client is None or client[0] != os.getpid():
            with self._making:
                client = self._client
                if client is None or client[0] != os.getpid():
                    client = self._client = os.getpid(), self._connect()
        return client[1]

    def _connect(self) -> "FirestoreClient":
        import grpc  # type: ignore[import-untyped]
        from google.cloud.firestore_v1.services.firestore import FirestoreClient
        from google.cloud.firestore_v1.services.firestore.transports import FirestoreGrpcTransport

        if self._emulator:
            channel = grpc.insecure_channel(self._emulator, options=CHANNEL_OPTIONS)
            return FirestoreClient(transport=FirestoreGrpcTransport(host=self._emulator, channel=channel))
        host = FirestoreClient.DEFAULT_ENDPOINT
        channel = FirestoreGrpcTransport.create_channel(host, options=CHANNEL_OPTIONS)
        return FirestoreClient(transport=FirestoreGrpcTransport(host=host, channel=channel))


@contextmanager
def _failures() -> Iterator[None]:
    try:
        from google.api_core import exceptions
        from google.auth.exceptions import GoogleAuthError
    except ModuleNotFoundError:
        raise NotInstalled("Firestore needs the package google-cloud-firestore (extra `gcp`).") from None
    try:
        yield
    except (exceptions.GoogleAPIError, GoogleAuthError) as error:
        raise Unavailable(NOT_AVAILABLE, detail=f"Firestore: {error!r}", retry_after_s=1.0) from error
