"""Idempotency keys: the first request with a key runs, and those that come after it get its answer.

A key is claimed in the store before anything runs, so that over all instances one request does. The claim is a lease,
renewed while the request runs: when its process is killed the key is free again 30 s later. Answers are kept for
24 hours, large ones as blobs.
"""

import base64
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from shared.core.document_ids import digest_id
from shared.core.errors import Conflict, KeyReused
from shared.ports.blobs import INLINE_BYTES, Blobs
from shared.ports.store import Document, Store, Transaction
from shared.web.reply import Reply

COLLECTION = "idempotency"
LEASE_S = 30.0
KEPT_S = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run the first request with a key. It is lost when it is not renewed within LEASE_S."""

    id: str
    token: str


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    tenant: str
    key: str
    """Of visible ASCII."""
    fingerprint: str
    """The same for all requests that are the same."""

    @property
    def id(self) -> str:
        return digest_id(self.tenant, self.key)


class IdempotencyKeys:
    """Every method raises Unavailable when the store cannot be reached."""

    def __init__(self, store: Store, blobs: Blobs, token: Callable[[], str] = secrets.token_hex) -> None:
        self._store = store
        self._blobs = blobs
        self._token = token

    def claim(self, request: KeyedRequest) -> Claim | Reply:
        """The claim if nobody has it, or the answer of who had it.

        KeyReused when the key came with another request; Conflict while the first runs (then with a `Retry-After`),
        and for ever when its answer was not kept.
        """
        claim = Claim(request.id, self._token())
        done = self._store.transact(partial(_take, claim, request))
        return claim if done is None else self._reply(done)

    def renew(self, claim: Claim) -> bool:
        """Holds the claim for another LEASE_S; False when it was lost."""
        return self._store.transact(lambda transaction: _renew(transaction, claim))

    def finish(self, claim: Claim, reply: Reply | None) -> None:
        """Keeps the answer, or with None only that there was one. Nothing happens when the claim was lost."""
        answer = {"done": True} | (self._kept(claim, reply) if reply else {})
        self._store.transact(lambda transaction: _finish(transaction, claim, answer))

    def release(self, claim: Claim) -> None:
        """Lets the key be used again, as if it never had been."""
        self._store.transact(lambda transaction: _release(transaction, claim))

    def _kept(self, claim: Claim, reply: Reply) -> Document:
        kept: Document = {"status": reply.status, "headers": reply.headers}
        if len(reply.body) > INLINE_BYTES:
            return kept | {"blob": self._blobs.put(f"idempotency/{claim.id}/{claim.token}", reply.body)}
        return kept | {"body": base64.b64encode(reply.body).decode()}

    def _reply(self, done: Document) -> Reply:
        headers = [(name, value) for name, value in done.get("headers", [])]
        if "body" in done:
            return Reply(done["status"], base64.b64decode(done["body"]), headers)
        if "blob" not in done:
            raise _not_kept()
        try:
            return Reply(done["status"], self._blobs.get(done["blob"]), headers)
        except FileNotFoundError:
            raise _not_kept() from None


def _take(claim: Claim, request: KeyedRequest, transaction: Transaction) -> Document | None:
    """None once the claim is taken, else the document of the request that was answered."""
    now = transaction.now
    found = transaction.get(COLLECTION, claim.id)
    if found and found["expire_at"] > now:
        if found["fingerprint"] != request.fingerprint:
            raise KeyReused
        if found["done"]:
            return found
        if found["lease_expires_at"] > now:
            raise Conflict(
                "The first request with this Idempotency-Key is still running.",
                code="idempotency_key_in_use",
                retry_after_s=1,
            )
    document: Document = {
        "id": claim.id,
        "tenant": request.tenant,
        "fingerprint": request.fingerprint,
        "token": claim.token,
        "done": False,
        "created_at": now,
        "lease_expires_at": now + LEASE_S,
        "expire_at": now + KEPT_S,
    }
    transaction.put(COLLECTION, claim.id, document)
    return None


def _held(transaction: Transaction, claim: Claim) -> Document | None:
    """The claim's document while the claim is this one."""
    found = transaction.get(COLLECTION, claim.id)
    return found if found and found["token"] == claim.token and not found["done"] else None


def _renew(transaction: Transaction, claim: Claim) -> bool:
    if held := _held(transaction, claim):
        transaction.put(COLLECTION, claim.id, held | {"lease_expires_at": transaction.now + LEASE_S})
    return held is not None


def _finish(transaction: Transaction, claim: Claim, answer: Document) -> None:
    if held := _held(transaction, claim):
        transaction.put(COLLECTION, claim.id, held | answer)


def _release(transaction: Transaction, claim: Claim) -> None:
    if _held(transaction, claim):
        transaction.delete(COLLECTION, claim.id)


def _not_kept() -> Conflict:
    return Conflict(
        "The first request with this Idempotency-Key was answered; its answer was not kept.",
        code="answer_not_kept",
    )
