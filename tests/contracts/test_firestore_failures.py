"""What Firestore's adapter makes of a server that is away, silent or back again, and of answers that are lost."""

import multiprocessing
import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.firestore_store import FirestoreStore
from shared.core.errors import Unavailable
from shared.firestore import Firestore
from shared.ports.store import AlreadyExists, Document, Query, Transaction
from tests import firestore_emulator
from tests.firestore_emulator import HOST, FirestoreEmulator
from tests.machine import free_port
from tests.waiting import wait_until

TIMEOUT_S = 1.0
BOUND_S = 50.0
"""Generous, as the machine may be slow; without timeouts it would be a minute or for ever."""


class LossyFirestore(Firestore):
    """Loses the answers of its first commits, or the commits themselves."""

    def __init__(self, address: str, lost_answers: int = 0, lost_commits: int = 0) -> None:
        super().__init__(firestore_emulator.new_project(), "(default)", address)
        self.lost_answers = lost_answers
        self.lost_commits = lost_commits

    def commit(self, writes: Sequence[Any], transaction: bytes = b"") -> None:
        if self.lost_commits:
            self.lost_commits -= 1
            raise Unavailable
        super().commit(writes, transaction)
        if self.lost_answers:
            self.lost_answers -= 1
            raise Unavailable


@pytest.fixture
def own(tmp_path: Path) -> Iterator[FirestoreEmulator]:
    """An emulator that a test may stop."""
    with firestore_emulator.running(tmp_path) as emulator:
        yield emulator


def increment(transaction: Transaction) -> int:
    document: Document = transaction.get("jobs", "counter") or {"value": 0}
    value = int(document["value"]) + 1
    transaction.put("jobs", "counter", {"id": "counter", "value": value})
    return value


def all_calls_are_unavailable(store: FirestoreStore) -> None:
    for call in (
        store.ping,
        lambda: store.get("jobs", "a"),
        lambda: store.query(Query("jobs", (("tenant", "==", "acme"),), descending=True)),
        lambda: store.transact(increment),
        lambda: store.transact(lambda transaction: transaction.now),
    ):
        with pytest.raises(Unavailable):
            call()


@pytest.mark.timeout(BOUND_S, func_only=True)
def test_a_server_that_is_not_there_is_unavailable() -> None:
    all_calls_are_unavailable(FirestoreStore(Firestore("p", "(default)", f"{HOST}:{free_port()}", TIMEOUT_S)))


@pytest.mark.timeout(BOUND_S, func_only=True)
def test_an_address_that_swallows_everything_is_unavailable_in_bounded_time() -> None:
    with socket.create_server((HOST, 0)) as silent:
        address = f"{HOST}:{silent.getsockname()[1]}"
        all_calls_are_unavailable(FirestoreStore(Firestore("p", "(default)", address, TIMEOUT_S)))


@pytest.mark.timeout(BOUND_S, func_only=True)
def test_a_server_that_hangs_is_unavailable_and_then_there_again(own: FirestoreEmulator) -> None:
    patient, store = own.store("p"), own.store("p", TIMEOUT_S)
    assert patient.transact(increment) == 1
    with own.hanging():
        with pytest.raises(Unavailable):
            store.get("jobs", "counter")
        with pytest.raises(Unavailable):
            store.transact(increment)
    assert patient.transact(increment) == 2
    for each in (store, patient):
        each.close()


def test_a_server_that_was_away_is_found_again_by_the_same_store(own: FirestoreEmulator) -> None:
    store = own.store(timeout_s=10)
    store.ping()
    own.stop()
    with pytest.raises(Unavailable):
        store.ping()
    own.start()
    wait_until(lambda: store.transact(increment), description="the store is back", within_s=BOUND_S)
    store.close()


def test_a_commit_whose_answer_is_lost_counts_once(firestore: FirestoreEmulator) -> None:
    store = FirestoreStore(LossyFirestore(firestore.address, lost_answers=1))
    assert [store.transact(increment) for _ in range(2)] == [1, 2]
    assert (store.get("jobs", "counter") or {})["value"] == 2
    store.close()


def test_a_create_whose_answer_is_lost_does_not_take_its_own_document_for_anothers(
    firestore: FirestoreEmulator,
) -> None:
    store = FirestoreStore(LossyFirestore(firestore.address, lost_answers=1))
    store.transact(lambda transaction: transaction.create("jobs", "a", {"id": "a"}))
    with pytest.raises(AlreadyExists):
        store.transact(lambda transaction: transaction.create("jobs", "a", {"id": "a"}))
    store.close()


def test_a_commit_that_never_arrived_is_unavailable_and_leaves_nothing(firestore: FirestoreEmulator) -> None:
    store = FirestoreStore(LossyFirestore(firestore.address, lost_commits=1))
    with pytest.raises(Unavailable):
        store.transact(increment)
    assert store.get("jobs", "counter") is None
    store.close()


def test_a_process_killed_before_its_commit_keeps_nobody_waiting(firestore: FirestoreEmulator) -> None:
    project = firestore_emulator.new_project()
    store = firestore.store(project)
    store.transact(increment)
    killed = multiprocessing.get_context("spawn").Process(target=die_before_commit, args=(firestore.address, project))
    killed.start()
    killed.join()
    assert killed.exitcode == 9
    assert store.transact(increment) == 2
    store.close()


def die_before_commit(address: str, project: str) -> None:
    def work(transaction: Transaction) -> None:
        increment(transaction)
        os._exit(9)

    FirestoreStore(Firestore(project, "(default)", address)).transact(work)
