"""Writes to managed keys. Each change gets the next number, so that whoever knows the keys up to a number can ask for
what came after it, whatever the clocks say and however long a transaction took.

A new key needs no number: nobody can have asked for it before.
"""

import logging
from collections.abc import Callable
from dataclasses import replace

from shared.core.errors import NotFound
from shared.core.managed_keys import ManagedKey, from_document, to_document
from shared.ports.store import Document, Store, Transaction

CHANGES = ("changes", "keys")
"""The document that holds the number of the last change of any key."""

log = logging.getLogger("omni.keys")

Edit = Callable[[ManagedKey, float], ManagedKey]
"""What a key becomes, at the store's time; the very same when there is nothing to change."""


def create(store: Store, make: Callable[[float], ManagedKey]) -> ManagedKey:
    """Writes a new key, made at the store's time."""

    def work(transaction: Transaction) -> ManagedKey:
        key = make(transaction.now)
        transaction.create("keys", key.id, to_document(key))
        return key

    key = store.transact(work)
    log.info("key created", extra={"fields": {"key_id": key.id, "tenant": key.tenant, "created_by": key.created_by}})
    return key


def change(store: Store, key_id: str, changed_by: str, edit: Edit) -> ManagedKey:
    """Changes a key, and notes when and by whom; NotFound when there is none."""

    def work(transaction: Transaction) -> ManagedKey:
        before = existing(transaction.get("keys", key_id), key_id)
        number = last_change(transaction.get(*CHANGES)) + 1
        after = edit(before, transaction.now)
        if after == before:
            return before
        after = replace(after, change=number, changed_at=transaction.now, changed_by=changed_by)
        transaction.put("keys", key_id, to_document(after))
        transaction.put(*CHANGES, {"count": number})
        return after

    key = store.transact(work)
    log.info("key changed", extra={"fields": {"key_id": key_id, "changed_by": changed_by, "change": key.change}})
    return key


def last_change(document: Document | None) -> int:
    """The number in the document that CHANGES names."""
    return int(document["count"]) if document else 0


def existing(document: Document | None, key_id: str) -> ManagedKey:
    """The key in the document; NotFound when there is none."""
    if document is None:
        raise NotFound(f"There is no key '{key_id[:100]}'.", param="id")
    return from_document(document)
