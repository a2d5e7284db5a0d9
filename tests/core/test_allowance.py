"""Instances that lease, spend from memory and settle late: no window over all of them holds more than the limit."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from shared.core.allowance import Allowance
from shared.core.limits import MINUTE, Grant, Kind, Limit, Trip
from shared.core.ring import Ring

WAITS = st.sampled_from([0.0, 0.001, 0.02, 0.09, 0.3, 0.9, 1.1, 5.0, 30.0, 60.0])


@dataclass
class Instance:
    """An allowance on a clock of its own, and a limiter that it reaches in a while."""

    ring: Ring
    limit: Limit
    clock_ahead_s: float
    instances: int
    allowance: Allowance = field(init=False)
    calls: int = 0

    def __post_init__(self) -> None:
        self.allowance = Allowance(self.limit)

    def take(self, units: int, now: float, way_s: float = 0.0) -> tuple[float, int, int] | None:
        """When the units were taken, in which sub-window and how many; None when they were refused."""
        while not self.allowance.covers(units, now + self.clock_ahead_s):
            if self.allowance.refused_for_s(units, now + self.clock_ahead_s):
                return None
            self.allowance.wait_for(units)
            now = self.exchange(now, way_s)
        return now, *self.allowance.spend(units, now + self.clock_ahead_s)

    def exchange(self, now: float, way_s: float = 0.0) -> float:
        self.calls += 1
        ahead = self.clock_ahead_s
        ask = self.allowance.ask(now + ahead, self.instances)
        grant = self.ring.take(ask, now + way_s)
        trip = Trip(now + ahead, now + 2 * way_s + ahead, now + way_s, self.instances)
        self.allowance.receive(ask, grant, trip)
        return now + 2 * way_s


def instances(count: int, amount: int, kind: Kind = Kind.REQUESTS) -> list[Instance]:
    ring = Ring(MINUTE)
    return [Instance(ring, Limit("key:a", kind, amount), 100.0 * number, count) for number in range(count)]


def worst_window(used: list[tuple[float, int]]) -> int:
    return max((sum(n for at, n in used if start <= at < start + 60) for start, _ in used), default=0)


@given(
    st.integers(1, 20),
    st.integers(1, 3),
    st.lists(st.tuples(WAITS, st.integers(0, 2), st.booleans(), st.sampled_from([0.0, 0.05, 0.4])), max_size=150),
)
def test_no_window_holds_more_requests_than_the_limit(
    limit: int, count: int, steps: list[tuple[float, int, bool, float]]
) -> None:
    all_of_them, now, used = instances(count, limit), 1_000_000.0, list[tuple[float, int]]()
    for wait, number, only_settle, way_s in steps:
        now += wait
        instance = all_of_them[number % count]
        if only_settle:
            instance.allowance.renew(now + instance.clock_ahead_s, ())
            now = instance.exchange(now, way_s)
        elif taken := instance.take(1, now, way_s):
            now = taken[0]
            used.append((now, 1))
    assert worst_window(used) <= limit


@given(
    st.integers(50, 200),
    st.integers(1, 3),
    st.lists(st.tuples(WAITS, st.integers(0, 2), st.integers(1, 60), st.floats(0, 1), st.integers(0, 5)), max_size=100),
)
def test_no_window_holds_more_tokens_than_the_limit(
    limit: int, count: int, steps: list[tuple[float, int, int, float, int]]
) -> None:
    """Estimates that were too high are refunded some requests later, also after other blocks were leased."""
    all_of_them, now = instances(count, limit, Kind.TOKENS), 1_000_000.0
    used, open_requests = list[tuple[float, int]](), list[tuple[Instance, int, int, int]]()
    for wait, number, estimate, share, keep_open in steps:
        now += wait
        instance = all_of_them[number % count]
        if taken := instance.take(estimate, now):
            at, sub_window, units = taken
            real = int(units * share)
            used.append((at, real))
            open_requests.append((instance, sub_window, units, real))
        while len(open_requests) > keep_open:
            owner, sub_window, units, real = open_requests.pop(0)
            owner.allowance.give_back(sub_window, units - real)
    assert worst_window(used) <= limit


@given(st.integers(1, 20), st.lists(WAITS, max_size=150))
def test_a_single_instance_uses_all_of_the_limit(limit: int, steps: list[float]) -> None:
    """It refuses only what a limiter that is asked each time would refuse, give or take a sub-window."""
    (instance,), now, used = instances(1, limit), 1_000_000.0, list[float]()
    for wait in steps:
        now += wait
        if instance.take(1, now):
            used.append(now)
        else:
            assert sum(now - 60.2 <= at for at in used) >= limit


def test_the_first_block_is_one_request() -> None:
    (instance,) = instances(1, 1000)
    instance.take(1, 1000.0)
    assert instance.allowance.remaining == 999
    assert instance.ring.take(instance.allowance.ask(1000.0, 1), 1000.0).free == 999


def test_demand_makes_blocks_larger_and_its_end_makes_them_smaller() -> None:
    (instance,) = instances(1, 60_000)
    for number in range(2000):
        assert instance.take(1, 1000.0 + number / 1000)
    assert instance.calls < 20
    instance.calls = 0
    for number in range(10):
        assert instance.take(1, 1010.0 + number * 10)
    assert instance.calls == 10
    assert instance.allowance.ask(1200.0, 1).returned == ((MINUTE.index(1101.0), 1),)


def test_a_refusal_is_remembered_until_there_is_room() -> None:
    (instance,) = instances(1, 2)
    assert [bool(instance.take(1, 1000.0)) for _ in range(5)] == [True, True, False, False, False]
    calls = instance.calls
    assert not any(instance.take(1, 1000.0 + at) for at in range(60))
    assert instance.calls == calls
    assert instance.take(1, 1060.2)


def test_a_refusal_is_believed_longer_each_time_while_there_are_others() -> None:
    """They may return what they did not need; asking all the time would not make it come sooner."""
    first, second = instances(2, 5)
    assert [bool(first.take(1, 1000.0)) for _ in range(6)] == [True] * 5 + [False]
    assert not any(second.take(1, 1000.0 + tenths / 10) for tenths in range(600))
    assert second.calls == 3


def test_a_smaller_request_is_not_refused_for_a_larger_one() -> None:
    (instance,) = instances(1, 100, Kind.TOKENS)
    assert instance.take(60, 1000.0)
    assert instance.take(60, 1000.0) is None
    assert instance.take(30, 1000.0)


def test_a_request_larger_than_the_limit_takes_all_of_it() -> None:
    (instance,) = instances(1, 100, Kind.TOKENS)
    taken = instance.take(5000, 1000.0)
    assert taken
    assert taken[2] == 100


def test_more_tokens_than_estimated_are_waited_for() -> None:
    (instance,) = instances(1, 100, Kind.TOKENS)
    assert instance.take(10, 1000.0)
    instance.allowance.charge(140, 1000.0)
    assert instance.take(1, 1001.0) is None
    assert instance.take(1, 1061.2)


def test_a_refund_ends_the_refusal_it_makes_room_for() -> None:
    (instance,) = instances(1, 100, Kind.TOKENS)
    taken = instance.take(100, 1000.0)
    assert taken
    assert instance.take(50, 1000.0) is None
    instance.allowance.give_back(taken[1], 80)
    assert instance.take(50, 1000.0)
    assert instance.take(50, 1000.0) is None


def test_all_who_wait_are_thought_of_in_one_exchange() -> None:
    (instance,) = instances(1, 100)
    for _ in range(30):
        instance.allowance.wait_for(1)
    instance.exchange(1000.0)
    assert [bool(instance.take(1, 1000.0)) for _ in range(30)] == [True] * 30
    assert instance.calls == 1


def test_an_answer_that_comes_after_the_lease_is_worth_nothing() -> None:
    (instance,) = instances(1, 100)
    instance.allowance.wait_for(1)
    ask = instance.allowance.ask(1000.0, 1)
    grant = Grant(10, 100, 90, MINUTE.index(1001.0), 0.0, 61.0)
    instance.allowance.receive(ask, grant, Trip(1000.0, 1002.0, 1000.0, 1))
    assert not instance.allowance.covers(1, 1002.0)
    assert instance.allowance.is_unsettled(1002.0)


def test_a_changed_limit_forgets_the_refusal() -> None:
    (instance,) = instances(1, 1)
    assert instance.take(1, 1000.0)
    assert instance.take(1, 1000.0) is None
    instance.allowance.change(Limit("key:a", Kind.REQUESTS, 5))
    assert instance.take(1, 1000.0)


def test_a_block_in_use_is_renewed_before_its_end_and_one_that_rests_is_not() -> None:
    (instance,) = instances(1, 1000)
    for number in range(4):
        instance.take(1, 1000.0 + number / 10)
    assert not Allowance(instance.limit).renew(1000.4, ())
    assert instance.allowance.renew(1000.9, ())
    instance.exchange(1000.9)
    assert instance.allowance.covers(1, 1001.5)
    assert not instance.allowance.renew(1003.0, ())


def test_a_block_that_has_ended_is_renewed_only_if_its_subject_waits_for_something() -> None:
    """What it has left over is needed by others rather."""
    (instance,) = instances(1, 1000)
    instance.take(1, 1000.0)
    assert not instance.allowance.renew(1001.5, {"key:b"})
    assert instance.allowance.renew(1001.5, {"key:a"})
