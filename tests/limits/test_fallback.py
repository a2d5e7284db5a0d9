"""Without the shared limiter each instance keeps its part, and what was used meanwhile is not forgotten."""

from collections.abc import Callable, Sequence
from functools import partial

import pytest
from prometheus_client import REGISTRY

from shared.adapters.memory_limiter import MemoryLimiter
from shared.core.errors import Unavailable
from shared.core.limits import Answer, Ask, Claim, Kind, Limit
from shared.limits.fallback import FallbackLimiter, SharedTime
from tests.fakes import FakeClock
from tests.waiting import wait_until

PROBE_EVERY_S = 0.005
REQUESTS = Limit("key:a", Kind.REQUESTS, 100)
SLOTS = Limit("key:a", Kind.CONCURRENT_REQUESTS, 8)


class Server:
    """What instances share; it can go away, and lose everything."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._limiter = MemoryLimiter(clock)
        self.names: set[str] = set()
        self.epoch = 1
        self.is_up = True
        self.loses_answers = False

    def lose_everything(self) -> None:
        self._limiter = MemoryLimiter(self._clock)
        self.epoch += 1

    def exchange(self, name: str, asks: Sequence[Ask], claims: Sequence[Claim]) -> Answer:
        if not self.is_up:
            raise Unavailable(detail="refused")
        self.names.add(name)
        answer = self._limiter.exchange_as(name, asks, claims)
        if self.loses_answers:
            raise Unavailable(detail="no answer in time")
        return answer


class Link:
    """One instance's connection to the server."""

    def __init__(self, server: Server, name: str) -> None:
        self._server = server
        self.exchange = partial(server.exchange, name)

    @property
    def epoch(self) -> str:
        return str(self._server.epoch)

    @property
    def instances(self) -> int:
        return len(self._server.names)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def server(clock: FakeClock) -> Server:
    return Server(clock)


@pytest.fixture
def join(server: Server, clock: FakeClock) -> Callable[..., FallbackLimiter]:
    """A new instance of that name."""

    def joined(name: str = "one", assumed: int = 1) -> FallbackLimiter:
        time = SharedTime(clock)
        return FallbackLimiter(lambda: Link(server, name), MemoryLimiter(time), time, assumed, PROBE_EVERY_S)

    return joined


Join = Callable[..., FallbackLimiter]


def take(limiter: FallbackLimiter, units: int, limit: Limit = REQUESTS) -> int:
    return limiter.exchange([Ask(limit, 1, units)], []).grants[0].granted


def recover(server: Server, *limiters: FallbackLimiter) -> None:
    server.is_up = True
    wait_until(lambda: not any(each.degraded for each in limiters), description="the limiter is found again")


def test_what_is_shared_is_used_as_long_as_it_is_there(server: Server, join: Join) -> None:
    first, second = join("one"), join("two")
    assert [take(first, 60), take(second, 60), take(first, 1)] == [60, 40, 0]
    assert first.blocks
    assert not first.degraded
    assert second.instances == 2


def test_each_instance_keeps_its_part_by_itself(server: Server, join: Join) -> None:
    first, second = join("one"), join("two")
    take(first, 1)
    take(second, 1)
    take(first, 1)
    server.is_up = False
    assert take(first, 100) == 50 - 2
    assert take(second, 100) == 50 - 1
    assert first.degraded
    assert not first.blocks
    recover(server, first, second)


def test_its_part_is_less_what_the_instance_has_just_used(server: Server, join: Join, clock: FakeClock) -> None:
    first, second = join("one"), join("two")
    take(second, 1)
    assert take(first, 45) == 45
    server.is_up = False
    assert take(first, 100) == 5
    clock.advance(61.2)
    assert take(first, 100) == 50
    recover(server, first)


def test_down_at_the_start_as_many_instances_count_as_are_assumed(server: Server, join: Join) -> None:
    server.is_up = False
    limiter = join(assumed=4)
    assert take(limiter, 100) == 25
    recover(server, limiter)


def test_a_small_limit_locks_nobody_out(server: Server, join: Join) -> None:
    server.is_up = False
    limiter = join(assumed=50)
    assert take(limiter, 5, Limit("key:b", Kind.REQUESTS, 10)) == 1
    recover(server, limiter)


def test_strict_limits_are_closed(server: Server, join: Join) -> None:
    server.is_up = False
    limiter = join()
    assert take(limiter, 5, Limit("key:b", Kind.REQUESTS, 10, strict=True)) == 0
    recover(server, limiter)
    assert take(limiter, 5, Limit("key:b", Kind.REQUESTS, 10, strict=True)) == 5


def test_slots_are_kept_in_parts_as_well(server: Server, join: Join) -> None:
    first, second = join("one"), join("two")
    take(second, 1)
    assert first.exchange([], [Claim(SLOTS, 0, 3)]).held == (3,)
    server.is_up = False
    assert first.exchange([], [Claim(SLOTS, 3, 8)]).held == (4,)
    assert first.exchange([], [Claim(SLOTS, 6, 8)]).held == (6,)
    recover(server, first)


def test_it_comes_back_by_itself_and_is_told_what_was_used_meanwhile(server: Server, join: Join) -> None:
    first, second = join("one"), join("two")
    take(first, 10)
    take(second, 10)
    server.is_up = False
    assert [take(first, 30), take(second, 20)] == [30, 20]
    recover(server, first, second)
    assert take(first, 100) == 100 - 10 - 10 - 30 - 20


def test_what_was_used_comes_free_when_it_would_have(server: Server, join: Join, clock: FakeClock) -> None:
    limiter = join()
    take(limiter, 1)
    server.is_up = False
    take(limiter, 50)
    clock.advance(30)
    recover(server, limiter)
    assert take(limiter, 100) == 49
    clock.advance(31.2)
    assert take(limiter, 100) == 51


def test_a_server_that_was_never_there_is_told_all(server: Server, join: Join) -> None:
    server.is_up = False
    limiter = join()
    assert take(limiter, 70) == 70
    recover(server, limiter)
    assert take(limiter, 100) == 30


def test_a_server_that_has_lost_its_counts_is_told_them(server: Server, join: Join) -> None:
    limiter = join()
    assert take(limiter, 70) == 70
    server.lose_everything()
    assert take(limiter, 100) == 30


def test_an_outage_in_which_the_counts_were_lost_loses_nothing(server: Server, join: Join) -> None:
    limiter = join()
    assert take(limiter, 40) == 40
    server.is_up = False
    assert take(limiter, 30) == 30
    server.lose_everything()
    recover(server, limiter)
    assert take(limiter, 100) == 30


def test_settlements_reach_whoever_counts(server: Server, join: Join) -> None:
    limiter = join()
    grant = limiter.exchange([Ask(REQUESTS, 1, 60)], []).grants[0]
    server.is_up = False
    returned = Ask(REQUESTS, 1, 100, returned=((grant.sub_window, 60),), charged=((grant.sub_window, 20),))
    assert limiter.exchange([returned], []).grants[0].granted == 80
    recover(server, limiter)


def test_a_settlement_whose_answer_was_lost_is_not_made_twice(server: Server, join: Join) -> None:
    """The second time it would take away what another instance uses in the same sub-window."""
    first, second = join("one"), join("two")
    grant = first.exchange([Ask(REQUESTS, 1, 40)], []).grants[0]
    assert take(second, 60) == 60
    server.loses_answers = True
    first.exchange([Ask(REQUESTS, returned=((grant.sub_window, 40),))], [])
    server.loses_answers = False
    recover(server, first)
    assert take(second, 100) == 40


def test_a_limiter_that_is_given_up_is_found_again(server: Server, join: Join) -> None:
    limiter = join()
    take(limiter, 1)
    limiter.give_up("no answer")
    limiter.give_up("no answer")
    wait_until(lambda: not limiter.degraded, description="the limiter is found again")
    assert take(limiter, 100) == 99


def test_a_metric_tells_of_it(server: Server, join: Join) -> None:
    server.is_up = False
    limiter = join()
    take(limiter, 1)
    assert REGISTRY.get_sample_value("omni_limiter_degraded") == 1
    recover(server, limiter)
    wait_until(lambda: REGISTRY.get_sample_value("omni_limiter_degraded") == 0, description="the metric is 0 again")
