"""Slots: never more held than there are, and none lost to an instance that has gone."""

from hypothesis import given
from hypothesis import strategies as st

from shared.core.limits import SLOT_LEASE_S, Claim, Kind, Limit, Trip
from shared.core.slots import HeldSlots, SlotBook


def limit(amount: int) -> Limit:
    return Limit("key:a", Kind.CONCURRENT_REQUESTS, amount)


class Instance:
    """Held slots, and the book that all instances write to."""

    def __init__(self, book: SlotBook, name: str, amount: int, instances: int) -> None:
        self.book, self.name, self.instances = book, name, instances
        self.slots = HeldSlots(limit(amount))

    def begin(self, now: float) -> bool:
        """Whether a request may run."""
        if not self.slots.covers(now) and not self.slots.refused_for_s(now):
            self.slots.wait()
            self.claim(now)
        if not self.slots.covers(now):
            return False
        self.slots.take()
        return True

    def claim(self, now: float) -> None:
        claim = self.slots.claim(self.instances)
        self.slots.receive(claim, self.book.claim(self.name, claim, now), Trip(now, now, now, self.instances))


def instances(count: int, amount: int) -> list[Instance]:
    book = SlotBook()
    return [Instance(book, f"i{number}", amount, count) for number in range(count)]


@given(
    st.integers(1, 12),
    st.integers(1, 3),
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.2, 1.0, 8.0]), st.integers(0, 2), st.sampled_from(["begin", "end", "look"]))
    ),
)
def test_no_more_requests_run_than_there_are_slots(
    amount: int, count: int, steps: list[tuple[float, int, str]]
) -> None:
    all_of_them, now = instances(count, amount), 1000.0
    for wait, number, action in steps:
        for _ in range(int(wait) + 1):
            now += wait / (int(wait) + 1)
            for each in all_of_them:
                each.claim(now)  # the heartbeat
        instance = all_of_them[number % count]
        if action == "begin":
            instance.begin(now)
        elif action == "look":
            instance.slots.look(count)
        elif instance.slots.in_use:
            instance.slots.release()
        assert sum(each.slots.in_use for each in all_of_them) <= amount
        assert sum(each.slots.held for each in all_of_them) <= amount


def test_all_slots_can_be_used_wherever_the_requests_arrive() -> None:
    first, second = instances(2, 3)
    assert [first.begin(1000.0), second.begin(1000.0), second.begin(1000.0)] == [True] * 3
    assert not first.begin(1000.0)
    second.slots.release()
    second.claim(1000.2)
    assert first.begin(1000.2)


def test_a_killed_instances_slots_are_free_within_30_s() -> None:
    killed, other = instances(2, 2)
    assert killed.begin(1000.0)
    assert killed.begin(1000.0)
    assert not other.begin(1000.0 + SLOT_LEASE_S - 0.01)
    assert other.begin(1000.0 + SLOT_LEASE_S + 0.1)
    assert SLOT_LEASE_S < 30


def test_an_instance_that_was_away_too_long_believes_in_its_slots_no_more() -> None:
    (instance,) = instances(1, 100)
    assert instance.begin(1000.0)
    assert instance.slots.covers(1001.0)
    assert not instance.slots.covers(1000.0 + SLOT_LEASE_S)


def test_requests_under_way_keep_their_slots_whatever_others_hold() -> None:
    book = SlotBook()
    book.claim("other", Claim(limit(3), 3, 3), 1000.0)
    assert book.claim("one", Claim(limit(3), 2, 3), 1000.0) == 2


def test_of_a_large_limit_some_slots_are_kept_in_memory() -> None:
    (instance,) = instances(1, 100)
    assert instance.begin(1000.0)
    assert instance.slots.held == 100 // 4 // 4
    assert not instance.slots.has_too_many(1)


def test_of_a_small_limit_none_is_kept_from_others() -> None:
    first, second = instances(2, 15)
    assert first.begin(1000.0)
    assert first.slots.held == 1
    first.slots.release()
    assert first.slots.has_too_many(2)
    first.claim(1000.0)
    assert [second.begin(1000.0) for _ in range(15)] == [True] * 15


def test_spare_slots_that_were_not_needed_are_given_back() -> None:
    instance, other = instances(2, 80)
    for _ in range(8):
        instance.begin(1000.0)
    for _ in range(6):
        instance.slots.release()
    instance.slots.look(2)
    assert instance.slots.look(2)
    instance.claim(1001.0)
    assert (instance.slots.held, instance.slots.in_use) == (2 + 5, 2)
    assert [other.begin(1001.0) for _ in range(73)] == [True] * 73


def test_an_instance_that_rests_gives_back_all_slots_or_lets_them_lapse() -> None:
    (instance,) = instances(1, 80)
    instance.begin(1000.0)
    instance.slots.release()
    assert not instance.slots.is_idle(1000.0 + SLOT_LEASE_S - 1)
    assert instance.slots.is_idle(1000.0 + SLOT_LEASE_S)
    for _ in range(2):
        instance.slots.look(1)
    instance.claim(1002.0)
    assert instance.slots.held == 0


def test_a_refusal_is_believed_for_a_moment_only() -> None:
    first, second = instances(2, 1)
    assert first.begin(1000.0)
    assert not second.begin(1000.0)
    assert second.slots.refused_for_s(1000.05)
    assert not second.slots.refused_for_s(1000.2)


def test_one_request_after_the_other_needs_no_claims_in_between() -> None:
    (instance,) = instances(4, 1000)[:1]
    for second in range(6):
        for _ in range(10):
            assert instance.slots.covers(1000.0 + second) or second == 0
            assert instance.begin(1000.0 + second)
            instance.slots.release()
            assert not instance.slots.has_too_many(4)
        assert not instance.slots.look(4)
