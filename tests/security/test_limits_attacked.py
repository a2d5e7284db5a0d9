"""Limits under attack: slots of a killed process, requests that end in every bad way, a Redis in a black hole."""

import asyncio
import os
import random
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from shared.core.limits import SLOT_LEASE_S
from tests import redis_server
from tests.gateway.conftest import CHAT
from tests.redis_server import RedisServer
from tests.security import gateway
from tests.security.gateway import KEY, Gateway, completion
from tests.waiting import wait_until

HEADERS = {"x-api-key": KEY}
TWO_SLOTS = {"OMNI_TIER_LIMITS": "premium.concurrent_requests=2,premium.requests_per_minute=0"}
FREED_WITHIN_S = 30.0


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server.running(tmp_path) as server:
        yield server


def start(ending: ExitStack, folder: Path, redis_url: str, **settings: str) -> Gateway:
    folder.mkdir()
    return ending.enter_context(gateway.running(folder, OMNI_REDIS_URL=redis_url, **settings))


def slow(request: bytes) -> bytes:
    time.sleep(60)
    return completion(request)


def chat(running: Gateway, **options: object) -> httpx.Response:
    return httpx.post(f"{running.url}/v1/chat/completions", json=CHAT | options, headers=HEADERS, timeout=20)


def kill(running: Gateway) -> None:
    for pid in running.processes():
        os.kill(pid, signal.SIGKILL)


def test_a_killed_process_gives_back_its_slots_within_30_s(tmp_path: Path, redis: RedisServer) -> None:
    with ExitStack() as ending:
        one = start(ending, tmp_path / "one", redis.url, **TWO_SLOTS)
        other = start(ending, tmp_path / "other", redis.url, **TWO_SLOTS)
        one.behind.answer = slow
        body = b'{"model":"small","messages":[]}'
        request = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-api-key: %b\r\ncontent-length: %d\r\n\r\n%b"
        for _ in range(2):
            connection = ending.enter_context(socket.create_connection(("127.0.0.1", one.port)))
            connection.sendall(request % (KEY.encode(), len(body), body))
        wait_until(lambda: len(one.behind.requests) == 2, description="two requests are under way")
        assert chat(other).status_code == 429
        kill(one)
        assert chat(other).status_code == 429
        wait_until(lambda: chat(other).status_code == 200, description="the slots are free", within_s=90)
        assert SLOT_LEASE_S < FREED_WITHIN_S  # tests/contracts/test_limiter.py holds it to that, on a clock of its own


def test_no_way_to_end_a_request_keeps_its_slot(tmp_path: Path, redis: RedisServer) -> None:
    """LiteLLM's counters leaked on cancelled, failed and timed-out requests, until the key was locked out."""
    draw = random.Random(7)

    def fails(request: bytes) -> bytes:
        time.sleep(draw.choice([0, 0, 0.05, 0.3]))
        return draw.choice(
            [completion(request), b"", b"nonsense\r\n\r\n", b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"]
        )

    with ExitStack() as ending:
        running = start(ending, tmp_path / "one", redis.url, OMNI_TIER_LIMITS="premium.concurrent_requests=20")
        running.behind.answer = fails
        most_held = asyncio.run(_many(running.url, draw, redis))
        assert most_held > 0
        running.behind.answer = completion
        wait_until(lambda: _held(redis) == 0, description="no slot is held", within_s=60)
        wait_until(lambda: chat(running).status_code == 200, description="the key is served", within_s=90)


async def _many(url: str, draw: random.Random, redis: RedisServer) -> int:
    """Requests, whole and streamed, whose callers leave at any moment; the most slots held at once, as far as seen."""
    most = 0
    async with httpx.AsyncClient(base_url=url, headers=HEADERS, timeout=20) as client:

        async def ask() -> None:
            patience_s = draw.choice([0.001, 0.02, 0.1, 5])
            try:
                async with asyncio.timeout(patience_s):
                    await client.post("/v1/chat/completions", json=CHAT | {"stream": draw.random() < 0.5})
            except (TimeoutError, httpx.TransportError):
                return

        for _ in range(15):
            await asyncio.gather(*(ask() for _ in range(20)))
            most = max(most, _held(redis))
    return most


def _held(redis: RedisServer) -> int:
    """Slots that Redis counts as held by any instance."""
    with redis.client(timeout_s=60) as client:
        names = client.scan_iter(match="omni:limits:*concurrent-requests*")
        return sum(int(value.split()[0]) for name in names for value in client.hgetall(name).values())


@contextmanager
def black_hole() -> Iterator[str]:
    """An address at which connections are neither taken nor refused: its queue of them is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, ExitStack() as ending:
        for _ in range(4):
            filler = ending.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"


def test_a_redis_in_a_black_hole_holds_up_nobody(tmp_path: Path) -> None:
    """LiteLLM #35273: every request hung, while the liveness probe was green."""
    with black_hole() as url, ExitStack() as ending:
        running = start(ending, tmp_path / "one", url)
        answers = [chat(running, temperature=0, seed=number) for number in range(20)]
        assert {answer.status_code for answer in answers} == {200}
        assert answers[-1].headers["x-omni-limits"] == "degraded"
        assert running.metric("omni_limiter_exchanges_total") == 1  # nobody after the first waits for it
        assert httpx.get(f"{running.url}/ready").json()["status"] == "degraded"
