"""Managed keys while the store is down, and when it is back."""

import logging
import threading

import pytest

from shared.core.errors import Unavailable
from shared.keys import memory as key_memory
from shared.ports.store import Page, Query
from tests.fakes import FakeClock
from tests.keys.conftest import GRACE_S, CountingStore, Process
from tests.managed_keys import KeyOffice


def test_known_keys_are_believed_for_a_while_without_the_store_and_changes_seen_after(
    process: Process, office: KeyOffice, store: CountingStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    key_id, text = office.new()
    _, other = office.new()
    assert process.request(text)
    office.revoke(key_id)
    store.is_down = True
    clock.advance(5)
    with caplog.at_level(logging.INFO):
        for _ in range(10):
            assert process.request(text)
            clock.advance(1)
        with pytest.raises(Unavailable):
            process.request(other)
        store.is_down = False
        clock.advance(2)
        process.request(text)
        assert process.request(text) is None
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_after_an_outage_revoked_keys_stop_as_soon_as_before(
    process: Process, office: KeyOffice, store: CountingStore, clock: FakeClock
) -> None:
    key_id, text = office.new()
    assert process.request(text)
    store.is_down = True
    clock.advance(5)
    assert process.request(text)
    store.is_down = False
    clock.advance(2)
    assert process.request(text)
    office.revoke(key_id)
    clock.advance(5)
    assert process.request(text) is None


def test_a_store_that_is_down_is_asked_once_a_second(
    process: Process, office: KeyOffice, store: CountingStore, clock: FakeClock
) -> None:
    _, text = office.new()
    store.is_down = True
    for _ in range(50):
        clock.advance(0.1)
        with pytest.raises(Unavailable):
            process.request(text)
    assert store.refusals <= 6


def test_nobody_is_believed_for_ever_without_the_store(
    process: Process, office: KeyOffice, store: CountingStore, clock: FakeClock
) -> None:
    _, text = office.new()
    assert process.request(text)
    store.is_down = True
    clock.advance(GRACE_S + 1)
    with pytest.raises(Unavailable):
        process.request(text)


def test_a_store_down_at_the_start_is_not_a_wrong_key(
    process: Process, office: KeyOffice, store: CountingStore, clock: FakeClock
) -> None:
    _, text = office.new()
    store.is_down = True
    with pytest.raises(Unavailable):
        process.request(text)
    store.is_down = False
    clock.advance(2)
    assert process.request(text)


def test_a_store_that_hangs_makes_nobody_wait_for_long(
    process: Process, office: KeyOffice, store: CountingStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, text = office.new()
    assert process.request(text)
    monkeypatch.setattr(key_memory, "PATIENCE_S", 0.05)
    hanging, answered = threading.Event(), threading.Event()

    def hang(_: Query) -> Page:
        hanging.set()
        answered.wait(10)
        return Page([], "", ())

    monkeypatch.setattr(store, "query", hang)
    clock.advance(5)
    first = threading.Thread(target=process.who, args=(text,))
    first.start()
    assert hanging.wait(10)
    assert process.who(text)
    answered.set()
    first.join()
