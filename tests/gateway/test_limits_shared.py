"""Gateways that share limits in a real Redis: exact while it is there, careful while it is not."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY

from shared.settings import SettingsError
from shared.wiring import LIMITER_TIMEOUT_S
from tests.fakes import FakeClock, FakeResponse
from tests.gateway.calls import Call, GatedUpstream, until
from tests.gateway.conftest import COMPLETION, World, problem
from tests.redis_server import RedisServer, running
from tests.waiting import wait_until

FREE, ACME = "free-key-ann-1", "prod-key-acme-1"
STRICT = """
[limits.tenants.acme]
requests_per_minute = 1000
strict = true
"""


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with running(tmp_path) as server:
        yield server


class Gateways:
    """Several instances of the same gateway. Their clocks run, as Redis' does."""

    def __init__(self, count: int, tmp_path: Path, server: RedisServer, limits: str = "", **settings: Any) -> None:
        self.worlds = []
        for number in range(count):
            folder = tmp_path / str(number)
            folder.mkdir()
            self.worlds.append(World(folder, limits=limits, redis_url=server.url, **settings))
            run(self.worlds[number].clock)

    def chat(self, number: int = 0, key: str = FREE, **fields: object) -> httpx.Response:
        world = self.worlds[number]
        run(world.clock)
        return world.chat(key, **fields)

    def admitted(self, count: int, key: str = FREE) -> int:
        """Of so many requests, spread over all instances."""
        return [self.chat(each % len(self.worlds), key).status_code for each in range(count)].count(200)

    def until_shared_again(self) -> None:
        wait_until(
            lambda: all("x-omni-limits" not in self.chat(number).headers for number in range(len(self.worlds))),
            description="limits are shared again",
        )


def exchanges() -> float:
    return REGISTRY.get_sample_value("omni_limiter_exchanges_total") or 0


def run(clock: FakeClock) -> None:
    clock.time = time.time()


def test_a_limit_holds_over_all_instances(tmp_path: Path, redis: RedisServer) -> None:
    assert Gateways(3, tmp_path, redis).admitted(30) == 10


def test_a_refund_is_every_instances(tmp_path: Path, redis: RedisServer) -> None:
    both = Gateways(2, tmp_path, redis, tier_limits="free.tokens_per_minute=1000")

    async def asked_and_kept() -> None:
        """Its instance lives on for the second in which it tells the limiter."""
        world = both.worlds[0]
        call = await Call(world, {"max_tokens": 900}, key=FREE).done()
        assert call.status == 200
        world.clock.advance(1.1)
        await asyncio.sleep(1.2)

    asyncio.run(asked_and_kept())
    assert both.chat(1, max_tokens=900).status_code == 200


def test_a_slot_that_was_released_is_every_instances(tmp_path: Path, redis: RedisServer) -> None:
    both = Gateways(2, tmp_path, redis, tier_limits="free.concurrent_requests=1")

    async def run_both() -> list[int]:
        upstream = GatedUpstream(lambda _: FakeResponse.json(COMPLETION))
        both.worlds[0].upstream.send = upstream.send  # type: ignore[method-assign]
        first = Call(both.worlds[0], key=FREE)
        await until(lambda: upstream.requests, "the first request is under way")
        second = await Call(both.worlds[1], key=FREE).done()
        upstream.open()
        statuses = [(await first.done()).status, second.status]
        both.worlds[1].clock.advance(0.2)
        await asyncio.sleep(0.1)
        return [*statuses, (await Call(both.worlds[1], key=FREE).done()).status]

    assert asyncio.run(run_both()) == [200, 429, 200]


def test_without_redis_each_instance_keeps_its_part(tmp_path: Path, redis: RedisServer) -> None:
    both = Gateways(2, tmp_path, redis)
    assert both.admitted(4) == 4
    assert both.admitted(2) == 2
    redis.stop()
    assert both.admitted(10) == 4
    refused = both.chat(0)
    assert refused.status_code == 429
    assert refused.headers["x-omni-limits"] == "degraded"
    assert REGISTRY.get_sample_value("omni_limiter_degraded") == 1
    redis.start()
    both.until_shared_again()


def test_a_redis_that_is_down_at_the_start_stops_nothing(tmp_path: Path, redis: RedisServer) -> None:
    redis.stop()
    gateway = Gateways(1, tmp_path, redis, assumed_instances=5)
    assert gateway.chat().headers["x-omni-limits"] == "degraded"
    assert gateway.admitted(5) == 1
    redis.start()
    gateway.until_shared_again()
    assert gateway.admitted(10) <= 8


def test_a_redis_that_hangs_holds_up_no_request(tmp_path: Path, redis: RedisServer) -> None:
    gateway = Gateways(1, tmp_path, redis)
    gateway.chat()
    gateway.worlds[0].clock.advance(2)
    with redis.hanging():
        assert gateway.chat().status_code == 200
        asked = exchanges()
        assert gateway.chat().headers["x-omni-limits"] == "degraded"
        assert exchanges() == asked  # one request waits for Redis, and not longer than is set
        assert LIMITER_TIMEOUT_S < 1
    gateway.until_shared_again()


def test_strict_limits_are_closed_without_redis(tmp_path: Path, redis: RedisServer) -> None:
    gateway = Gateways(1, tmp_path, redis, limits=STRICT)
    assert gateway.chat(key=ACME).status_code == 200
    redis.stop()
    wait_until(lambda: "x-omni-limits" in gateway.chat(key=FREE).headers, description="the outage is noticed")
    refused = gateway.chat(key=ACME)
    assert problem(refused) == (503, "limits_unavailable", None)
    assert refused.headers["retry-after"] == "1"
    assert gateway.chat(key=FREE).status_code in {200, 429}
    redis.start()
    wait_until(lambda: gateway.chat(key=ACME).status_code == 200, description="strict limits are open again")


@pytest.mark.parametrize("url", ["localhost:6379", "http://localhost:6379", "redis://host:port/0"])
def test_an_address_that_is_none_stops_the_start(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsError, match="OMNI_REDIS_URL"):
        World(tmp_path, redis_url=url)
