"""Files that come in parts, each in a request of its own: how one larger than a request gets in."""

import hashlib
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace

from shared.core.errors import Conflict, InvalidRequest, NotFound, PayloadTooLarge
from shared.files.files import Counted, Files, FileTerms, StoredFile
from shared.ports.blobs import Blobs
from shared.ports.clock import Clock
from shared.ports.store import Store, Transaction

UPLOADS = "uploads"
UPLOAD_ID = re.compile(r"upload_[0-9A-Za-z]{1,64}")
LIFETIME_S = 3600.0
"""An upload must be completed within this time."""
MOST_PARTS = 1000
MOST_SENT = 4
"""How often each byte may be sent: OpenAI's clients try a request three times."""
MOST_PART_BYTES = 64 * 1024 * 1024
PENDING, COMPLETED, CANCELLED = "pending", "completed", "cancelled"


@dataclass(frozen=True, slots=True)
class Upload:
    """Times are seconds since 1970."""

    id: str
    tenant: str
    key_id: str
    purpose: str
    filename: str
    bytes: int
    """What all parts must come to."""
    lifetime_s: float
    """The file's, once it is there."""
    created_at: float
    purge_at: float
    status: str = PENDING
    parts: dict[str, int] = field(default_factory=dict)
    """Their ids, in the order they came, and their sizes."""
    file_id: str = ""

    @property
    def counted(self) -> int:
        """Bytes it takes of its tenant's storage: what was announced from the start on, and what came beyond it."""
        return max(self.bytes, sum(self.parts.values())) if self.status == PENDING else 0


class Uploads:
    def __init__(
        self,
        store: Store,
        blobs: Blobs,
        files: Files,
        clock: Clock,
        *,
        token: Callable[[int], str] = secrets.token_hex,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._files = files
        self._clock = clock
        self._token = token

    def create(self, terms: FileTerms, size: int) -> Upload:
        now = self._clock.now()
        upload = Upload(
            id=f"upload_{self._token(12)}",
            tenant=terms.tenant,
            key_id=terms.key_id,
            purpose=terms.purpose,
            filename=terms.filename,
            bytes=size,
            lifetime_s=terms.lifetime_s,
            created_at=now,
            purge_at=now + LIFETIME_S,
        )

        def work(transaction: Transaction) -> None:
            count = self._files.storage.count(transaction, upload.tenant, upload.counted, checked=True)
            transaction.create(UPLOADS, upload.id, asdict(upload))
            count.write()

        self._store.transact(work)
        return upload

    def add_part(self, tenant: str, upload_id: str, parts: Iterable[bytes]) -> str:
        """Keeps a part of the file; its id. A client whose answer was lost sends it again: which of the parts are used
        is named at the end.

        Conflict when the upload is over or keeps too much already, PayloadTooLarge for a part larger than the file.
        """
        upload = self._pending(self._get(tenant, upload_id))
        part_id = f"part_{self._token(12)}"
        counted = Counted(parts, min(MOST_PART_BYTES, upload.bytes), "data")
        uri = self._blobs.put(f"{_folder(upload)}/{part_id}", counted)

        def add(stored: Upload) -> Upload:
            self._pending(stored)
            if len(stored.parts) >= MOST_PARTS:
                raise Conflict(f"An upload may have {MOST_PARTS} parts at most.")
            if sum(stored.parts.values()) + counted.bytes > MOST_SENT * stored.bytes:
                raise Conflict(f"The parts may have {MOST_SENT} times the bytes of the file at most.")
            return replace(stored, parts=stored.parts | {part_id: counted.bytes})

        try:
            self._change(upload, add)
        except (Conflict, PayloadTooLarge):
            self._blobs.delete(uri)
            raise
        return part_id

    def complete(self, tenant: str, upload_id: str, part_ids: list[str], md5: str | None) -> tuple[Upload, StoredFile]:
        """Makes the file of the parts, in the order given. Asked again, it gives the same file."""
        upload = self._get(tenant, upload_id)
        if upload.status == COMPLETED:
            return upload, self._files.get(tenant, upload.file_id)
        _require_all(self._pending(upload), part_ids)
        digest = hashlib.md5(usedforsecurity=False)
        file = self._files.create(
            FileTerms(upload.tenant, upload.key_id, upload.purpose, upload.filename, upload.lifetime_s),
            self._joined(upload, part_ids, digest.update),
            upload.bytes,
            has_room=True,  # the upload's own, which it gives up when it is complete
        )
        if md5 is not None and md5.lower() != digest.hexdigest():
            self._files.delete(tenant, file.id)
            raise InvalidRequest("The parts together have another MD5 sum.", param="md5", code="md5_mismatch")
        try:
            done = self._change(upload, lambda each: replace(self._pending(each), status=COMPLETED, file_id=file.id))
        except Conflict:  # somebody else completed or cancelled it meanwhile
            self._files.delete(tenant, file.id)
            raise
        self._drop_parts(done)
        return done, file

    def cancel(self, tenant: str, upload_id: str) -> Upload:
        upload = self._get(tenant, upload_id)
        if upload.status != CANCELLED:
            upload = self._change(upload, lambda stored: replace(self._pending(stored), status=CANCELLED))
        self._drop_parts(upload)
        return upload

    def purge(self, upload: Upload) -> None:
        self._drop_parts(upload)

        def work(transaction: Transaction) -> None:
            document = transaction.get(UPLOADS, upload.id)
            by = -Upload(**document).counted if document else 0
            count = self._files.storage.count(transaction, upload.tenant, by)
            transaction.delete(UPLOADS, upload.id)
            count.write()

        self._store.transact(work)

    def _get(self, tenant: str, upload_id: str) -> Upload:
        document = self._store.get(UPLOADS, upload_id) if UPLOAD_ID.fullmatch(upload_id) else None
        upload = Upload(**document) if document else None
        if upload is None or upload.tenant != tenant or upload.purge_at <= self._clock.now():
            raise NotFound(f"There is no upload '{upload_id[:100]}'.", code="upload_not_found")
        return upload

    def _pending(self, upload: Upload) -> Upload:
        if upload.status != PENDING:
            raise Conflict(f"The upload is {upload.status}.", code="upload_not_pending")
        return upload

    def _change(self, upload: Upload, step: Callable[[Upload], Upload]) -> Upload:
        def work(transaction: Transaction) -> Upload:
            document = transaction.get(UPLOADS, upload.id)
            if document is None:
                raise NotFound(f"There is no upload '{upload.id}'.", code="upload_not_found")
            before = Upload(**document)
            after = step(before)
            count = self._files.storage.count(transaction, upload.tenant, after.counted - before.counted, checked=True)
            transaction.put(UPLOADS, upload.id, asdict(after))
            count.write()
            return after

        return self._store.transact(work)

    def _joined(self, upload: Upload, part_ids: list[str], note: Callable[[bytes], None]) -> Iterator[bytes]:
        uris = {uri.rpartition("/")[2]: uri for uri in self._blobs.list(_folder(upload))}
        for part_id in part_ids:
            for part in self._blobs.read(uris[part_id]):
                note(part)
                yield part

    def _drop_parts(self, upload: Upload) -> None:
        for uri in self._blobs.list(_folder(upload)):
            self._blobs.delete(uri)


def _require_all(upload: Upload, part_ids: list[str]) -> None:
    """InvalidRequest unless these are the upload's parts, each named once at most, and together as large as it."""
    if unknown := [each for each in part_ids if each not in upload.parts]:
        raise InvalidRequest(f"The upload has no part '{unknown[0][:100]}'.", param="part_ids", code="part_not_found")
    if len(set(part_ids)) < len(part_ids):
        raise InvalidRequest("A part is named more than once.", param="part_ids", code="invalid_value")
    if (size := sum(upload.parts[each] for each in part_ids)) != upload.bytes:
        raise InvalidRequest(
            f"The parts have {size} bytes together; the upload was created for {upload.bytes}.",
            param="part_ids",
            code="size_mismatch",
        )


def _folder(upload: Upload) -> str:
    return f"uploads/{upload.id}"
