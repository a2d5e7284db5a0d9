"""Files that callers upload and batches write: a document in the store, the content as a blob."""

import re
import secrets
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from shared.core.errors import InvalidRequest, NotFound, PayloadTooLarge
from shared.files.storage_quota import StorageQuota
from shared.pages import Listed, cursor_at, listed
from shared.ports.blobs import Blobs
from shared.ports.clock import Clock
from shared.ports.store import AlreadyExists, Document, Query, Store, Transaction

FILES = "files"
BATCH, BATCH_OUTPUT = "batch", "batch_output"
UploadPurpose = Literal["assistants", "batch", "fine-tune", "vision", "user_data", "evals"]
"""What a caller's file can be for, as OpenAI has it; ..."""
OutputPurpose = Literal["assistants_output", "batch_output", "fine-tune-results"]
"""... and one that the platform writes."""
PURPOSES = (*get_args(UploadPurpose), *get_args(OutputPurpose))
MOST_BYTES = 200 * 1024 * 1024
RETENTION_S = 30 * 24 * 3600.0
"""How long a file is kept unless its owner says otherwise; never longer."""
UNFINISHED_S = 3600.0
"""What was begun and not finished is deleted after this long."""
DELETED = "deleted:"
"""Stands before the tenant of a file that is deleted; no tenant's name has a colon."""
FILE_ID = re.compile(r"file-[0-9A-Za-z]{1,64}")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """Times are seconds since 1970."""

    id: str
    tenant: str
    key_id: str
    purpose: str
    filename: str
    bytes: int
    uri: str
    """Empty while the content is being written: nobody sees the file yet."""
    created_at: float
    purge_at: float
    """When file and content are deleted."""


@dataclass(frozen=True, slots=True)
class FileTerms:
    """What is known of a file before its content has come."""

    tenant: str
    key_id: str
    purpose: str
    filename: str
    lifetime_s: float = RETENTION_S


class Files:
    def __init__(
        self,
        store: Store,
        blobs: Blobs,
        clock: Clock,
        storage_bytes: int = 0,
        *,
        token: Callable[[int], str] = secrets.token_hex,
    ) -> None:
        """`storage_bytes` are those that a tenant's files and uploads may take; 0: any number."""
        self.storage = StorageQuota(store, storage_bytes)
        self._store = store
        self._blobs = blobs
        self._clock = clock
        self._token = token

    def create(self, terms: FileTerms, parts: Iterable[bytes], size: int = 0, *, has_room: bool = False) -> StoredFile:
        """Keeps the content, which is never held whole; PayloadTooLarge beyond MOST_BYTES, and `storage_quota_exceeded`
        where the tenant has no room for its `size` (known before) unless `has_room` says that there is.

        The document comes first, so that a content whose writer was killed is found and deleted.
        """
        begun = self._begun(f"file-{self._token(12)}", terms, size, checked=not has_room)
        counted = Counted(parts, MOST_BYTES, "file")
        try:
            uri = self._blobs.put(f"{folder(begun.id)}/content", counted)
            file = replace(begun, bytes=counted.bytes, uri=uri, purge_at=begun.created_at + terms.lifetime_s)
            self._replace(file, checked=not has_room)
        except PayloadTooLarge:
            self._remove(begun)
            raise
        return file

    def prepare(self, file_id: str, version: str, terms: FileTerms, parts: Iterable[bytes]) -> StoredFile:
        """Keeps the content of a file that is there once its document is put with what depends on it. It is counted,
        and kept also where the tenant has no room: it is the result of work that is done.

        Prepared again, under another version, it is the same file.
        """
        begun = self._begun(file_id, terms, 0, checked=False)
        counted = Counted(parts, sys.maxsize, "file")
        uri = self._blobs.put(f"{folder(file_id)}/content-{version}", counted)
        self._replace(replace(begun, bytes=counted.bytes), checked=False)
        return replace(begun, bytes=counted.bytes, uri=uri, purge_at=begun.created_at + terms.lifetime_s)

    def get(self, tenant: str, file_id: str) -> StoredFile:
        """The tenant's file; NotFound for another's, as for none."""
        file = self.find(file_id)
        if file is None or file.tenant != tenant:
            raise NotFound(f"There is no file '{file_id[:100]}'.", code="file_not_found")
        return file

    def find(self, file_id: str) -> StoredFile | None:
        """Anybody's file, while it is kept."""
        document = self._document(file_id)
        return self._kept(document) if document else None

    def list(self, tenant: str, purpose: str, limit: int, after: str, *, newest_first: bool) -> Listed[StoredFile]:
        """At most `limit` files that come after the one with the id `after`; empty: from the start."""
        where: tuple[Any, ...] = (("tenant", "==", tenant),)
        if purpose:
            where += (("purpose", "==", purpose),)
        cursor = self._cursor(tenant, after) if after else ""
        query = Query(FILES, where, descending=newest_first, cursor=cursor)
        return listed(self._store, query, limit, self._kept)

    def read(self, file: StoredFile, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The content or a range of it; FileNotFoundError when it was deleted meanwhile."""
        return self._blobs.read(file.uri, start, length)

    def delete(self, tenant: str, file_id: str) -> StoredFile:
        file = self.get(tenant, file_id)
        self._remove(file)
        return file

    def purge(self, file: StoredFile) -> None:
        self._remove(file)

    def _kept(self, document: Document) -> StoredFile | None:
        """The file, while there is one to be had."""
        file = StoredFile(**document)
        return file if file.uri and file.purge_at > self._clock.now() else None

    def _cursor(self, tenant: str, after: str) -> str:
        document = self._document(after)
        if document is None or document["tenant"] not in {tenant, DELETED + tenant}:
            raise InvalidRequest(f"There is no file '{after[:100]}' to go on from.", param="after")
        return cursor_at(document)

    def _document(self, file_id: str) -> Document | None:
        return self._store.get(FILES, file_id) if FILE_ID.fullmatch(file_id) else None

    def _begun(self, file_id: str, terms: FileTerms, size: int, *, checked: bool) -> StoredFile:
        now = self._clock.now()
        begun = StoredFile(
            file_id, terms.tenant, terms.key_id, terms.purpose, terms.filename, size, "", now, now + UNFINISHED_S
        )

        def work(transaction: Transaction) -> None:
            count = self.storage.count(transaction, terms.tenant, size, checked=checked)
            transaction.create(FILES, file_id, asdict(begun))
            count.write()

        with suppress(AlreadyExists):
            self._store.transact(work)
        return begun

    def _replace(self, file: StoredFile, *, checked: bool) -> None:
        """Puts the document of a file that was begun, and counts the difference."""

        def work(transaction: Transaction) -> None:
            before = transaction.get(FILES, file.id)
            if before is None or before["uri"]:
                return  # deleted, or finished by another run
            count = self.storage.count(transaction, file.tenant, file.bytes - before["bytes"], checked=checked)
            transaction.put(FILES, file.id, asdict(file))
            count.write()

        self._store.transact(work)

    def _remove(self, file: StoredFile) -> None:
        """Deletes the content. The place of a file that was listed stays known for a while: a client that deletes what
        it lists asks for the next page by the id of a deleted file."""
        for uri in self._blobs.list(folder(file.id)):
            self._blobs.delete(uri)
        purge_at = self._clock.now() + UNFINISHED_S
        place = replace(file, tenant=DELETED + file.tenant, filename="", bytes=0, uri="", purge_at=purge_at)

        def work(transaction: Transaction) -> None:
            before = transaction.get(FILES, file.id)
            count = self.storage.count(transaction, file.tenant, -before["bytes"] if before else 0)
            if file.uri:
                transaction.put(FILES, file.id, asdict(place))
            else:
                transaction.delete(FILES, file.id)
            count.write()

        self._store.transact(work)


def folder(file_id: str) -> str:
    """Where a file's content is among the blobs."""
    return f"files/{file_id}"


class Counted:
    """Passes the parts on and counts them; PayloadTooLarge at the first byte too many."""

    def __init__(self, parts: Iterable[bytes], most: int, param: str) -> None:
        self._parts = parts
        self._most = most
        self._param = param
        self.bytes = 0

    def __iter__(self) -> Iterator[bytes]:
        for part in self._parts:
            self.bytes += len(part)
            if self.bytes > self._most:
                raise PayloadTooLarge(f"'{self._param}' may have {self._most} bytes at most.", param=self._param)
            yield part
