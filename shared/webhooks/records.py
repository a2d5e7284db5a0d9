"""Webhook deliveries in the store, beside the addresses that take no more."""

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from shared.core import webhooks
from shared.core.document_ids import digest_id
from shared.core.errors import BadDocument
from shared.core.jobs import Job
from shared.core.webhooks import GONE, Attempt, Delivery
from shared.jobs.view import view
from shared.ports.store import Document, Store, Transaction

DELIVERIES, ENDPOINTS = "webhooks", "webhook_endpoints"
PAYLOAD_RESULT_BYTES = 16 * 1024
"""A larger result is left out of the payload; it is there to be fetched."""

_encode = msgspec.json.Encoder().encode
Step = Callable[[Delivery, float], Delivery]


def announced(job: Job, now: float) -> Delivery | None:
    """The delivery that a job's end calls for, as it is committed with that end."""
    return webhooks.announced(job, _payload(job, now), now) if job.webhook and job.state.is_final else None


def to_document(delivery: Delivery) -> Document:
    document: Document = msgspec.to_builtins(delivery)
    return document


def from_document(document: Document) -> Delivery:
    """BadDocument when it is none."""
    try:
        return msgspec.convert(document, Delivery)
    except msgspec.ValidationError as error:
        raise BadDocument(f"webhook {document.get('id')!r}: {error}") from error


class DeliveryRecords:
    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, delivery_id: str) -> Delivery | None:
        document = self._store.get(DELIVERIES, delivery_id)
        return from_document(document) if document else None

    def claim(self, delivery_id: str, seq: int) -> Delivery | None:
        """The delivery with an attempt begun; None when there is nothing to send."""

        def work(transaction: Transaction) -> Delivery | None:
            before = _read(transaction, delivery_id)
            if before is None:
                return None
            claimed = webhooks.claim(before, seq, transaction.now)
            if claimed is before:
                return None
            is_off = not before.is_by_hand and transaction.get(ENDPOINTS, _endpoint(before)) is not None
            _write(transaction, webhooks.disable(claimed) if is_off else claimed)
            return None if is_off else claimed

        return self._store.transact(work)

    def settle(self, claimed: Delivery, attempt: Attempt, jitter: float) -> Delivery | None:
        """The delivery after the attempt; None when another attempt has been begun. A receiver that is gone disables
        its address for the tenant, and one that answers well enables it again."""

        def work(transaction: Transaction) -> Delivery | None:
            before = _read(transaction, claimed.id)
            if before is None:
                return None
            after = webhooks.settle(before, claimed.seq, attempt, transaction.now, jitter)
            if after is before:
                return None
            _write(transaction, after)
            if attempt.status == GONE:
                off = {"tenant": after.tenant, "url": after.url, "disabled_at": transaction.now}
                transaction.put(ENDPOINTS, _endpoint(after), off)
            elif attempt.succeeded and after.is_by_hand:
                transaction.delete(ENDPOINTS, _endpoint(after))
            return after

        return self._store.transact(work)

    def change(self, delivery_id: str, step: Step) -> Delivery | None:
        """The delivery after the step; None when there is none of that id."""

        def work(transaction: Transaction) -> Delivery | None:
            before = _read(transaction, delivery_id)
            if before is None:
                return None
            after = step(before, transaction.now)
            _write(transaction, after)
            return after

        return self._store.transact(work)


def _read(transaction: Transaction, delivery_id: str) -> Delivery | None:
    document = transaction.get(DELIVERIES, delivery_id)
    return from_document(document) if document else None


def _write(transaction: Transaction, delivery: Delivery) -> None:
    transaction.put(DELIVERIES, delivery.id, to_document(delivery))


def _endpoint(delivery: Delivery) -> str:
    return digest_id(delivery.tenant, delivery.url)


def _payload(job: Job, now: float) -> str:
    data = view(job)
    if job.result is not None and len(_encode(job.result)) <= PAYLOAD_RESULT_BYTES:
        data["result"] = job.result
    timestamp = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return _encode({"type": f"job.{job.state}", "timestamp": timestamp, "data": data}).decode()
