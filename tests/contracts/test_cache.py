"""What every cache promises."""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Barrier, Thread

import pytest

from shared.adapters.memory_cache import MemoryCache
from shared.adapters.redis_cache import RedisCache
from shared.core.errors import Unavailable
from shared.ports.cache import Cache
from shared.redis import TIMEOUT_S, connect
from tests.fakes import FakeClock
from tests.redis_server import RedisServer, running
from tests.waiting import wait_until

SHORT_S = 0.05


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis_cache(redis_server: RedisServer) -> Iterator[RedisCache]:
    with redis_server.client() as client:
        client.flushdb()
        yield RedisCache(client)


CACHES: dict[str, Callable[[pytest.FixtureRequest, FakeClock], Cache]] = {
    "memory": lambda _, clock: MemoryCache(1024 * 1024, clock),
    "redis": lambda request, _: request.getfixturevalue("redis_cache"),
}


@pytest.fixture(params=CACHES)
def cache(request: pytest.FixtureRequest, clock: FakeClock) -> Cache:
    return CACHES[request.param](request, clock)


@pytest.mark.parametrize("value", [b"", b"text", bytes(range(256)) * 1024], ids=["empty", "small", "256 KiB"])
def test_a_value_comes_back_as_it_was_put(cache: Cache, value: bytes) -> None:
    cache.put("a", value, 60)
    assert cache.get("a") == value


def test_what_was_never_put_is_none(cache: Cache) -> None:
    assert cache.get("nothing") is None


def test_a_value_replaces_the_one_before(cache: Cache) -> None:
    cache.put("a", b"one", 60)
    cache.put("a", b"two", 60)
    assert cache.get("a") == b"two"


def test_keys_are_apart(cache: Cache) -> None:
    for key in ("a", "A", "a:b", "a" * 200):
        cache.put(key, key.encode(), 60)
    assert [cache.get(key) for key in ("a", "A", "a:b", "a" * 200)] == [b"a", b"A", b"a:b", b"a" * 200]


def test_a_value_is_gone_when_its_time_is_over(cache: Cache, clock: FakeClock) -> None:
    cache.put("short", b"", SHORT_S)
    cache.put("long", b"", 600)
    wait_until(lambda: later(clock) and cache.get("short") is None, description="the value is gone")
    assert cache.get("long") == b""


def test_a_value_put_again_lives_as_long_as_the_last_put_says(cache: Cache, clock: FakeClock) -> None:
    cache.put("a", b"one", 600)
    cache.put("a", b"two", SHORT_S)
    wait_until(lambda: later(clock) and cache.get("a") is None, description="the value is gone")


def test_add_leaves_what_is_there(cache: Cache) -> None:
    assert cache.add("a", b"one", 60)
    assert not cache.add("a", b"two", 60)
    assert cache.get("a") == b"one"


def test_add_takes_the_place_of_what_is_over(cache: Cache, clock: FakeClock) -> None:
    cache.add("a", b"one", SHORT_S)
    wait_until(lambda: later(clock) and cache.add("a", b"two", 60), description="the place is free")
    assert cache.get("a") == b"two"


def test_of_many_that_add_at_once_one_succeeds(cache: Cache) -> None:
    start, won = Barrier(8), list[bool]()

    def add() -> None:
        start.wait()
        won.append(cache.add("a", b"", 60))

    threads = [Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [False] * 7 + [True]


def test_drop_removes_and_may_be_repeated(cache: Cache) -> None:
    cache.put("a", b"", 60)
    for _ in range(2):
        cache.drop("a")
    assert cache.get("a") is None


def test_memory_stays_within_its_bound_and_forgets_what_was_used_the_longest_ago(clock: FakeClock) -> None:
    cache = MemoryCache(100_000, clock)
    cache.put("kept in use", b"x", 60)
    for n in range(1000):
        cache.put(str(n), bytes(1000), 60)
        assert cache.get("kept in use") == b"x"
    held = [n for n in range(1000) if cache.get(str(n)) is not None]
    assert 60 <= len(held) <= 100
    assert held == list(range(1000 - len(held), 1000))


def test_memory_does_not_keep_what_is_larger_than_itself(clock: FakeClock) -> None:
    cache = MemoryCache(100_000, clock)
    cache.put("a", b"small", 60)
    cache.put("a", bytes(200_000), 60)
    assert cache.get("a") is None


def test_redis_that_is_gone_is_unavailable_and_found_again(tmp_path: Path) -> None:
    with running(tmp_path) as server, server.client() as client:
        cache = RedisCache(client)
        cache.put("a", b"", 60)
        server.stop()
        every_call_is_unavailable(cache)
        server.start()
        assert cache.get("a") is None


def test_redis_that_hangs_is_unavailable_soon(redis_server: RedisServer, redis_cache: RedisCache) -> None:
    redis_cache.put("a", b"1", 60)
    with redis_server.hanging():
        every_call_is_unavailable(redis_cache)
    assert redis_cache.get("a") == b"1"


def test_redis_password_may_be_replaced_without_a_restart(tmp_path: Path) -> None:
    with running(tmp_path) as server, server.client() as client:
        client.config_set("requirepass", "one")
        passwords = ["wrong"]
        with connect(server.url, lambda: passwords[-1]) as other:
            cache = RedisCache(other)
            with pytest.raises(Unavailable):
                cache.get("a")
            passwords.append("one")
            cache.put("a", b"1", 60)
            client.config_set("requirepass", "two")
            other.connection_pool.disconnect()
            passwords.append("two")
            assert cache.get("a") == b"1"


def test_redis_is_waited_for_a_tenth_of_a_second_and_asked_once(redis_server: RedisServer) -> None:
    """How soon "soon" is, without a look at this machine's clock."""
    with redis_server.client() as client:
        options = client.get_connection_kwargs()
        assert options["socket_connect_timeout"] == options["socket_timeout"] == TIMEOUT_S <= 0.1
        assert client.get_retry().get_retries() == 0


def every_call_is_unavailable(cache: Cache) -> None:
    """A call without a limit to its time would go on until the test's own."""
    for ask in (
        lambda: cache.get("a"),
        lambda: cache.put("a", b"", 1),
        lambda: cache.add("a", b"", 1),
        lambda: cache.drop("a"),
    ):
        with pytest.raises(Unavailable):
            ask()


def later(clock: FakeClock) -> bool:
    """Moves the clock that is ours; Redis has its own."""
    clock.advance(SHORT_S)
    return True
