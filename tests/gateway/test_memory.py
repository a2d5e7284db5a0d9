"""A gateway's memory does not grow with what it has served (litellm #12685, #15128, #27954)."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.gateway.conftest import CHAT
from tests.security import gateway
from tests.security.gateway import KEY, Gateway

WARM, MORE, AT_ONCE = 1500, 4000, 16
BODY_BYTES = 10_000
MOST_KIB_EACH = 0.75
"""It falls to a tenth of that; a request that is kept, or its answer, would take more than its body."""


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Gateway]:
    with gateway.running(
        tmp_path, OMNI_CACHE_BYTES="1000000", OMNI_TIER_LIMITS="premium.requests_per_minute=0", OMNI_LOG_LEVEL="WARNING"
    ) as started:
        yield started


def test_memory_stays_what_it_is_after_thousands_of_requests(running: Gateway) -> None:
    asyncio.run(_ask(running.url, 0, WARM))
    before = _memory_kib(running)
    asyncio.run(_ask(running.url, WARM, MORE))
    assert (_memory_kib(running) - before) / MORE < MOST_KIB_EACH


async def _ask(url: str, first: int, count: int) -> None:
    """Each request differs: another prompt, request id, wrong key; some stream, some are cached, some are refused."""
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:

        async def ask(numbers: range) -> None:
            for number in numbers:
                asked = CHAT | {
                    "stream": number % 3 == 0,
                    "temperature": number % 2,
                    "user": f"{number}-" + "x" * BODY_BYTES,
                    "seed": number,
                }
                key = KEY if number % 5 else f"wrong-{number}"
                headers = {"x-api-key": key, "x-request-id": f"r-{number}"}
                response = await client.post("/v1/chat/completions", json=asked, headers=headers)
                assert response.status_code in {200, 401, 429}

        await asyncio.gather(*(ask(range(first + part, first + count, AT_ONCE)) for part in range(AT_ONCE)))


def _memory_kib(running: Gateway) -> int:
    children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text().split()
    lines = [line for pid in children for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
