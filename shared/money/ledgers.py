"""Ledgers in the store, which is the truth about money: a document for each subject and month.

Instances lease from it ahead, so it is written a few times a minute by each, however many requests there are.
"""

import secrets
from functools import cached_property

from shared.core import budgets
from shared.core.budgets import KEPT_DAYS, Ask, Grant, Ledger
from shared.ports.store import Document, Store, Transaction

COLLECTION = "budgets"


class Ledgers:
    def __init__(self, store: Store) -> None:
        self._store = store

    @cached_property
    def _instance(self) -> str:
        """Names this process among all that lease; drawn at the first lease, since the functions' server forks."""
        return secrets.token_hex(8)

    def exchange(self, ask: Ask) -> Grant:
        """Settles and leases. After Unavailable the same ask may be repeated: it is taken once."""

        def work(transaction: Transaction) -> Grant:
            ledger, grant = budgets.exchange(
                read(transaction, ask.subject, ask.month), ask, self._instance, transaction.now
            )
            write(transaction, ask.subject, ask.month, ledger)
            return grant

        return self._store.transact(work)

    def get(self, subject: str, month: str) -> Ledger:
        return budgets.from_document(self._store.get(COLLECTION, key(subject, month)))


def key(subject: str, month: str) -> str:
    return f"{subject}:{month}"


def read(transaction: Transaction, subject: str, month: str) -> Ledger:
    return budgets.from_document(transaction.get(COLLECTION, key(subject, month)))


def write(transaction: Transaction, subject: str, month: str, ledger: Ledger) -> None:
    document: Document = budgets.to_document(ledger) | {
        "subject": subject,
        "month": month,
        "expire_at": transaction.now + KEPT_DAYS * budgets.DAY_S,
    }
    transaction.put(COLLECTION, key(subject, month), document)
