"""What a process knows of managed keys: never older than promised, and cheap to keep true."""

import pytest

from shared.keys import memory as key_memory
from tests.fakes import FakeClock
from tests.keys.conftest import MAX_AGE_S, CountingStore, Process
from tests.managed_keys import KeyOffice


def test_fifty_busy_keys_cost_one_read_every_few_seconds(
    process: Process, office: KeyOffice, store: CountingStore, clock: FakeClock
) -> None:
    texts = [office.new()[1] for _ in range(50)]
    assert all(process.request(text) for text in texts)
    store.reads, requests = 0, 0
    for _ in range(60 * 20):
        clock.advance(0.05)
        for text in texts[requests % 50 :][:10]:
            assert process.request(text)
            requests += 1
    assert store.reads / requests * 1000 <= 5
    assert store.reads == 16


def test_a_process_that_is_not_asked_reads_nothing(
    process: Process, office: KeyOffice, store: CountingStore, clock: FakeClock
) -> None:
    _, text = office.new()
    process.request(text)
    store.reads = 0
    clock.advance(3600)
    assert store.reads == 0
    assert process.request(text)
    assert store.reads == 1


def test_a_revoked_key_stops_within_the_promised_time_everywhere(
    office: KeyOffice, store: CountingStore, clock: FakeClock
) -> None:
    key_id, text = office.new()
    processes = []
    for _ in range(4):
        processes.append(Process(store, clock))
        assert processes[-1].request(text)
        clock.advance(1.1)
    office.revoke(key_id)
    clock.advance(MAX_AGE_S + 0.01)
    assert [process.request(text) for process in processes] == [None] * 4


def test_a_change_is_seen_by_the_look_that_finds_it_without_reading_the_key_again(
    process: Process, office: KeyOffice, store: CountingStore, clock: FakeClock
) -> None:
    key_id, text = office.new()
    process.request(text)
    office.change(key_id, models=frozenset({"small"}))
    clock.advance(5)
    store.reads = 0
    caller = process.request(text)
    assert caller is not None
    assert caller.models == frozenset({"small"})
    assert store.reads == 1


def test_changes_of_other_keys_are_not_kept(
    process: Process, office: KeyOffice, store: CountingStore, clock: FakeClock
) -> None:
    _, text = office.new()
    others = [office.new()[0] for _ in range(5)]
    process.request(text)
    for other in others:
        office.revoke(other)
    for _ in range(3):
        clock.advance(5)
        assert process.request(text)
    store.reads = 0
    clock.advance(5)
    assert process.request(text)
    assert store.reads == 1


def test_more_changes_than_a_page_begin_a_new_memory(
    process: Process, office: KeyOffice, store: CountingStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_memory, "MOST_CHANGES", 3)
    keys = [office.new() for _ in range(6)]
    assert all(process.request(text) for _, text in keys)
    for key_id, _ in keys[:5]:
        office.revoke(key_id)
    clock.advance(5)
    assert [bool(process.request(text)) for _, text in keys] == [False] * 5 + [True]
    clock.advance(5)
    store.reads = 0
    assert process.request(keys[5][1])
    assert store.reads == 1


def test_one_change_after_the_other_is_seen(process: Process, office: KeyOffice, clock: FakeClock) -> None:
    key_id, text = office.new()
    for model in ("small", "large"):
        office.change(key_id, models=frozenset({model}))
        clock.advance(5)
        caller = process.request(text)
        assert caller is not None
        assert caller.models == frozenset({model})


def test_a_key_read_while_it_was_being_changed_is_not_remembered_as_it_was(
    process: Process, office: KeyOffice, store: CountingStore, clock: FakeClock
) -> None:
    """The read began before the change, a look finds the change, and only then the read comes back."""
    key_id, text = office.new()
    _, busy = office.new()
    process.request(busy)

    def change_and_look() -> None:
        store.before_answering = lambda: None
        office.revoke(key_id)
        clock.advance(5)
        assert process.request(busy)

    store.before_answering = change_and_look
    process.request(text)
    assert process.request(text) is None


def test_a_new_text_works_at_once_and_the_old_one_is_gone(
    process: Process, office: KeyOffice, clock: FakeClock
) -> None:
    key_id, first = office.new()
    assert process.request(first)
    second = office.rotate(key_id)
    assert process.request(second)
    clock.advance(5)
    assert process.request(second)
    assert process.request(first) is None


def test_an_old_text_that_is_still_sent_costs_no_reads(
    process: Process, office: KeyOffice, store: CountingStore, clock: FakeClock
) -> None:
    key_id, first = office.new()
    office.rotate(key_id)
    assert process.request(first) is None
    store.reads = 0
    assert [process.request(first) for _ in range(100)] == [None] * 100
    assert store.reads == 0


def test_an_old_text_works_until_its_overlap_ends(process: Process, office: KeyOffice, clock: FakeClock) -> None:
    key_id, first = office.new()
    office.rotate(key_id, overlap_s=60)
    assert process.request(first)
    clock.advance(59)
    assert process.request(first)
    clock.advance(1)
    assert process.request(first) is None


def test_a_key_expires_on_time_though_nobody_changes_it(process: Process, office: KeyOffice, clock: FakeClock) -> None:
    _, text = office.new(expires_at=clock.now() + 3)
    assert process.request(text)
    clock.advance(3)
    assert process.request(text) is None


def test_a_genuine_key_that_is_not_there_is_asked_for_once(
    process: Process, office: KeyOffice, store: CountingStore
) -> None:
    text = office.unknown()
    assert process.request(text) is None
    store.reads = 0
    assert [process.request(text) for _ in range(100)] == [None] * 100
    assert store.reads == 0


def test_ten_thousand_guesses_never_reach_the_store(
    process: Process, office: KeyOffice, store: CountingStore, clock: FakeClock
) -> None:
    """Well-formed guesses with right checksums, many at the id of a key that is in use."""
    key_id, text = office.new()
    process.request(text)
    store.reads = 0
    guesser = KeyOffice(store, pepper=b"guessed", seed=2)
    for n in range(10_000):
        clock.advance(0.001)
        guess = guesser.unknown() if n % 2 else guesser.minted(key_id)[0]
        assert process.request(guess) is None
    assert store.reads == 0


def test_every_pepper_in_the_secret_is_accepted(store: CountingStore, clock: FakeClock) -> None:
    _, old = KeyOffice(store, b"old").new()
    _, new = KeyOffice(store, b"new", seed=2).new()
    both = Process(store, clock, "new, old")
    assert both.request(old)
    assert both.request(new)
    assert Process(store, clock, "new").request(old) is None


def test_a_refused_text_gets_another_chance_after_any_change(
    process: Process, office: KeyOffice, store: CountingStore, clock: FakeClock
) -> None:
    """As when a document that was lost is restored."""
    (key_id, text), (other, _), (_, busy) = office.new(), office.new(), office.new()
    document = store.get("keys", key_id)
    assert document is not None
    store.transact(lambda transaction: transaction.delete("keys", key_id))
    assert process.request(text) is None
    store.transact(lambda transaction: transaction.put("keys", key_id, document))
    assert process.request(text) is None
    office.revoke(other)
    clock.advance(5)
    assert process.request(busy)
    assert process.request(text)


def test_one_key_that_cannot_be_read_does_not_close_the_door_to_others(
    process: Process, office: KeyOffice, store: CountingStore, clock: FakeClock
) -> None:
    damaged_id, damaged = office.new()
    _, text = office.new()
    document = store.get("keys", damaged_id)
    assert document is not None
    store.transact(lambda transaction: transaction.put("keys", damaged_id, document | {"tier": "gold"}))
    assert process.request(damaged) is None
    assert process.request(text)


def test_memory_is_bounded(store: CountingStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_memory, "MOST_REMEMBERED", 3)
    process, office = Process(store, clock), KeyOffice(store)
    texts = [office.new()[1] for _ in range(4)]
    assert all(process.request(text) for text in texts)
    store.reads = 0
    assert process.request(texts[-1])
    assert store.reads == 0
    assert process.request(texts[0])
    assert store.reads == 1


def test_a_key_that_cannot_be_read_does_not_hide_the_changes_to_come(
    process: Process, office: KeyOffice, store: CountingStore, clock: FakeClock
) -> None:
    key_id, text = office.new()
    assert process.request(text)
    store.transact(lambda transaction: transaction.put("keys", "bad", {"id": "bad", "change": 10**6}))
    clock.advance(5)
    assert process.request(text)
    office.revoke(key_id)
    clock.advance(5)
    assert process.request(text) is None
