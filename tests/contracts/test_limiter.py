"""What every limiter promises: the one in memory, and the one in a real Redis."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from shared.adapters.memory_limiter import MemoryLimiter
from shared.adapters.redis_limiter import PREFIX, RedisLimiter
from shared.core.errors import Unavailable
from shared.core.limits import DAY, MINUTE, SLOT_LEASE_S, Answer, Ask, Claim, Grant, Kind, Limit
from shared.core.ring import Ring
from shared.core.slots import SlotBook
from shared.redis import connect
from tests.fakes import FakeClock
from tests.redis_server import RedisServer, running

PROPERTY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TIMEOUT_S = 0.25
NAMES = map(str, count())
"""One for each example of a property: they share a fixture."""


class Exchange(Protocol):
    def __call__(self, asks: list[Ask], claims: list[Claim], /) -> Answer: ...


Instances = Callable[[str], Exchange]
"""By an instance's name, how it exchanges with the limiter that all share."""


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis(redis_server: RedisServer) -> Iterator[Redis]:
    """An empty Redis. A test that leaves a key without a time to live fails."""
    with connect(redis_server.url, lambda: None, TIMEOUT_S) as client:
        client.flushall()
        client.script_flush()
        yield client
        assert [key for key in client.scan_iter() if client.ttl(key) == -1] == []


def in_memory(_: pytest.FixtureRequest, clock: FakeClock) -> Instances:
    limiter = MemoryLimiter(clock)
    return lambda name: partial(limiter.exchange_as, name)


def in_redis(request: pytest.FixtureRequest, clock: FakeClock) -> Instances:
    client: Redis = request.getfixturevalue("redis")
    return lambda name: RedisLimiter(client, name, clock).exchange


LIMITERS = {"memory": in_memory, "redis": in_redis}


@pytest.fixture(params=LIMITERS)
def instances(request: pytest.FixtureRequest, clock: FakeClock) -> Instances:
    return LIMITERS[request.param](request, clock)


@pytest.fixture
def exchange(instances: Instances) -> Exchange:
    return instances("one")


def limit(amount: int, name: str = "a", kind: Kind = Kind.REQUESTS) -> Limit:
    return Limit(f"key:{name}", kind, amount)


def lease(exchange: Exchange, amount: int, least: int = 1, most: int | None = None, name: str = "a") -> Grant:
    (grant,) = exchange([Ask(limit(amount, name), least, most or least)], []).grants
    return grant


def claim(exchange: Exchange, amount: int, in_use: int, want: int) -> int:
    slots = limit(amount, kind=Kind.CONCURRENT_REQUESTS)
    return exchange([], [Claim(slots, in_use, want)]).held[0]


WAITS = st.sampled_from([0.0, 0.01, 0.1, 0.3, 7.0, 29.95, 60.0, 61.2])
BACK = st.integers(0, 12)
"""So many sub-windows before the lease's."""


@PROPERTY
@given(
    st.integers(1, 30),
    st.lists(
        st.tuples(
            WAITS,
            st.integers(0, 5),
            st.integers(0, 10),
            st.lists(st.tuples(BACK, st.integers(1, 9)), max_size=3),
            st.lists(st.tuples(BACK, st.integers(1, 9)), max_size=3),
        ),
        max_size=30,
    ),
    st.sampled_from([Kind.REQUESTS, Kind.TOKENS, Kind.DAILY_REQUESTS]),
)
def test_it_does_what_the_ring_does(
    instances: Instances,
    clock: FakeClock,
    amount: int,
    steps: list[tuple[float, int, int, list[tuple[int, int]], list[tuple[int, int]]]],
    kind: Kind,
) -> None:
    window, exchange, name = (DAY if kind is Kind.DAILY_REQUESTS else MINUTE), instances("one"), next(NAMES)
    ring = Ring(window)
    for wait, least, more, returned, charged in steps:
        clock.advance(wait * window.length_s / 60)
        last = window.index(clock.now() + window.lease_s)
        ask = Ask(
            limit(amount, name, kind),
            least,
            least + more if least else 0,
            tuple((last - back, units) for back, units in returned),
            tuple((last - back, units) for back, units in charged),
        )
        (grant,), expected = exchange([ask], []).grants, ring.take(ask, clock.monotonic())
        assert grant.retry_after_s == pytest.approx(expected.retry_after_s, abs=2e-6)
        assert grant.reset_s == pytest.approx(expected.reset_s, abs=2e-6)
        assert grant == Grant(
            expected.granted, amount, expected.free, expected.sub_window, grant.retry_after_s, grant.reset_s
        )


@PROPERTY
@given(
    st.integers(1, 10),
    st.lists(st.tuples(WAITS, st.sampled_from("abc"), st.integers(0, 5), st.integers(0, 5)), max_size=30),
)
def test_it_does_what_the_book_of_slots_does(
    instances: Instances, clock: FakeClock, amount: int, steps: list[tuple[float, str, int, int]]
) -> None:
    book, slots = SlotBook(), limit(amount, next(NAMES), Kind.CONCURRENT_REQUESTS)
    for wait, instance, in_use, more in steps:
        clock.advance(wait)
        wanted = Claim(slots, in_use, in_use + more)
        assert instances(instance)([], [wanted]).held == (book.claim(instance, wanted, clock.now()),)


def test_what_is_free_is_granted(exchange: Exchange) -> None:
    assert [lease(exchange, 3).granted for _ in range(4)] == [1, 1, 1, 0]
    assert lease(exchange, 3, 1, 5, "b").granted == 3


def test_subjects_do_not_share(exchange: Exchange) -> None:
    assert lease(exchange, 1, name="a").granted == 1
    assert lease(exchange, 1, name="b").granted == 1


def test_instances_share(instances: Instances) -> None:
    assert [lease(instances(name), 3).granted for name in "abcde"] == [1, 1, 1, 0, 0]


def test_a_refusal_tells_when_to_come_again(exchange: Exchange, clock: FakeClock) -> None:
    lease(exchange, 1)
    refused = lease(exchange, 1)
    assert refused.granted == 0
    assert 60 < refused.retry_after_s <= 61.1
    clock.advance(refused.retry_after_s)
    assert lease(exchange, 1).granted == 1


def test_a_grant_tells_what_is_left(exchange: Exchange) -> None:
    grant = lease(exchange, 10, 4)
    assert (grant.granted, grant.ceiling, grant.free) == (4, 10, 6)
    assert 61 < grant.reset_s <= 61.1


def test_several_limits_are_asked_in_one_exchange(exchange: Exchange) -> None:
    lease(exchange, 1, name="b")
    answer = exchange(
        [Ask(limit(2, name), 1, 1) for name in "aab"] + [Ask(limit(1, "b"), 1, 1)],
        [Claim(limit(5, name, Kind.CONCURRENT_REQUESTS), 0, want) for name, want in (("a", 3), ("b", 9))],
    )
    assert [grant.granted for grant in answer.grants] == [1, 1, 1, 0]
    assert answer.held == (3, 5)


def test_slots_of_an_instance_that_no_longer_claims_them_are_free_again(instances: Instances, clock: FakeClock) -> None:
    assert claim(instances("killed"), 4, 3, 3) == 3
    assert claim(instances("other"), 4, 0, 4) == 1
    clock.advance(SLOT_LEASE_S - 1)
    assert claim(instances("other"), 4, 1, 4) == 1
    clock.advance(1.1)
    assert claim(instances("other"), 4, 1, 4) == 4


def test_slots_in_use_are_held_even_above_the_limit(instances: Instances) -> None:
    assert claim(instances("one"), 4, 4, 4) == 4
    assert claim(instances("back after a pause"), 4, 2, 3) == 2


class TestRedis:
    """What only the shared one can show."""

    def test_it_counts_the_instances_of_the_last_30_s(self, redis: Redis, clock: FakeClock) -> None:
        first, second = RedisLimiter(redis, "one", clock), RedisLimiter(redis, "two", clock)
        first.exchange([], [])
        clock.advance(20)
        second.exchange([], [])
        assert second.instances == 2
        clock.advance(11)
        second.exchange([], [])
        assert second.instances == 1

    def test_the_servers_clock_counts(self, redis: Redis) -> None:
        seconds, microseconds = redis.time()
        answer = RedisLimiter(redis, "one").exchange([Ask(limit(5), 1, 1)], [])
        assert answer.now == pytest.approx(seconds + microseconds / 1e6, abs=5)
        assert answer.grants[0].sub_window == MINUTE.index(answer.now + MINUTE.lease_s)

    def test_an_exchange_is_one_round_trip(self, redis: Redis, clock: FakeClock) -> None:
        limiter = RedisLimiter(redis, "one", clock)
        asks, claims = [Ask(limit(5), 1, 1)], [Claim(limit(5, kind=Kind.CONCURRENT_REQUESTS), 0, 1)]
        limiter.exchange(asks, claims)
        redis.config_resetstat()
        for _ in range(10):
            limiter.exchange(asks, claims)
        called = {name: each["calls"] for name, each in redis.info("commandstats").items()}
        assert called["cmdstat_evalsha"] == 10
        assert redis.info("stats")["total_reads_processed"] <= 10 + 2
        assert "cmdstat_script|load" not in called

    def test_a_restarted_server_is_told_the_scripts_again_and_shows_another_epoch(
        self, redis: Redis, clock: FakeClock
    ) -> None:
        limiter = RedisLimiter(redis, "one", clock)
        limiter.exchange([Ask(limit(5), 5, 5)], [])
        epoch = limiter.epoch
        redis.flushall()
        redis.script_flush()
        assert limiter.exchange([Ask(limit(5), 5, 5)], []).grants[0].granted == 5
        assert limiter.epoch != epoch

    def test_keys_are_gone_when_nothing_counts_any_more(self, redis: Redis, clock: FakeClock) -> None:
        limiter = RedisLimiter(redis, "one", clock)
        slots = limit(5, kind=Kind.CONCURRENT_REQUESTS)
        (grant,) = limiter.exchange([Ask(limit(5), 1, 5)], [Claim(slots, 0, 5)]).grants
        left_ms = redis.pttl(PREFIX + limit(5).name)
        assert grant.reset_s * 1000 < left_ms <= grant.reset_s * 1000 + 2000
        limiter.exchange([Ask(limit(5), returned=((grant.sub_window, 5),))], [Claim(slots, 0, 0)])
        assert sorted(redis.keys()) == [b"omni:limits:epoch", b"omni:limits:instances"]

    def test_a_limit_that_is_always_in_use_takes_bounded_memory(self, redis: Redis, clock: FakeClock) -> None:
        limiter = RedisLimiter(redis, "one", clock)
        for _ in range(1500):
            limiter.exchange([Ask(limit(1_000_000), 10, 10)], [])
            clock.advance(0.1)
        assert redis.hlen(PREFIX + limit(1).name) <= 601 + 11 + 3

    def test_a_server_that_hangs_is_given_up_soon(self, redis_server: RedisServer, redis: Redis) -> None:
        limiter = RedisLimiter(redis, "one")
        limiter.exchange([], [])
        with redis_server.hanging(), pytest.raises(Unavailable):
            limiter.exchange([], [])
        limiter.exchange([], [])
