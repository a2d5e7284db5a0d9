"""How many bytes a tenant's files and uploads take, and how many they may.

The sum is a document a tenant, changed in the same transaction as the document of the file or upload that it counts.
So it is exact however many processes write and whenever one of them is killed: what a killed one had begun is counted
until its document is deleted.
"""

from shared.core.document_ids import digest_id
from shared.core.errors import PayloadTooLarge
from shared.ports.store import Store, Transaction

STORAGE = "storage"
UNITS = ((1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB"))


class StorageQuota:
    def __init__(self, store: Store, most: int) -> None:
        """`most` bytes a tenant; 0: any number."""
        self._store = store
        self.most = most

    def used(self, tenant: str) -> int:
        return _bytes(self._store.get(STORAGE, digest_id(tenant)))

    def require_room(self, tenant: str) -> None:
        """PayloadTooLarge when the tenant has no byte left: nothing that writes files may begin then."""
        if self.most and (used := self.used(tenant)) >= self.most:
            raise self._refusal(used, 0)

    def count(self, transaction: Transaction, tenant: str, by: int, *, checked: bool = False) -> "QuotaChange":
        """Reads the sum, `by` bytes more or fewer, to be written after all that the transaction reads. PayloadTooLarge
        when it is `checked` and would be more than the tenant may have."""
        used = _bytes(transaction.get(STORAGE, digest_id(tenant))) if by else 0
        if checked and by > 0 and self.most and used + by > self.most:
            raise self._refusal(used, by)
        return QuotaChange(transaction, tenant, by, max(0, used + by))

    def _refusal(self, used: int, by: int) -> PayloadTooLarge:
        wanted = f", and this takes {shown(by)}" if by else ""
        return PayloadTooLarge(
            f"Your tenant's files use {shown(used)} of their {shown(self.most)}{wanted}. Delete files that are "
            "not needed (DELETE /v1/files/{id}, omni files delete) or cancel unfinished uploads.",
            code="storage_quota_exceeded",
        )


class QuotaChange:
    """A sum that is about to be written."""

    def __init__(self, transaction: Transaction, tenant: str, by: int, used: int) -> None:
        self._transaction = transaction
        self._tenant = tenant
        self._by = by
        self._used = used

    def write(self) -> None:
        if self._by:
            self._transaction.put(STORAGE, digest_id(self._tenant), {"tenant": self._tenant, "bytes": self._used})


def shown(size: int) -> str:
    """As people read it: `1.5 GiB`."""
    for unit, name in UNITS:
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} bytes"


def _bytes(document: dict[str, object] | None) -> int:
    found = document["bytes"] if document else 0
    return found if isinstance(found, int) else 0
