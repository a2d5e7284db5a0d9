"""Threads and contexts that tenants share: who waits, who is let in, and what a caller who leaves takes along."""

import asyncio
import threading

import pytest

from shared.core.fair_gate import FairGate, FairThreads
from shared.core.fair_share import Claim


def test_calls_of_one_tenant_that_hang_leave_a_thread_to_another() -> None:
    async def scenario() -> None:
        threads, let_go = FairThreads(2, "test"), threading.Event()
        hang = [asyncio.create_task(threads.run("a", let_go.wait)) for _ in range(50)]
        await asyncio.sleep(0)
        assert [await threads.run("b", int, number) for number in "01234"] == list(range(5))
        let_go.set()
        assert await asyncio.gather(*hang) == [True] * 50
        threads.close()

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_a_call_whose_caller_left_is_its_tenants_until_it_ends() -> None:
    async def scenario() -> None:
        threads, let_go = FairThreads(1, "test"), threading.Event()
        left = asyncio.create_task(threads.run("a", let_go.wait))
        await asyncio.sleep(0)
        left.cancel()
        waits = asyncio.create_task(threads.run("a", lambda: 1))
        assert await threads.run("b", lambda: 2) == 2
        assert not waits.done()
        let_go.set()
        assert await waits == 1
        threads.close()

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_what_a_call_raises_is_its_callers() -> None:
    async def scenario() -> None:
        threads = FairThreads(1, "test")
        with pytest.raises(ZeroDivisionError):
            await threads.run("a", lambda: 1 // 0)
        assert await threads.run("a", lambda: 1) == 1
        threads.close()

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_who_is_cancelled_in_the_moment_of_its_turn_gives_it_on() -> None:
    async def scenario() -> None:
        gate = FairGate((1,), (0,))
        place = await gate.enter(Claim("a"))
        waits = [asyncio.create_task(gate.enter(Claim(tenant))) for tenant in ("b", "c")]
        await asyncio.sleep(0)
        gate.share.leave(place)
        waits[0].cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        assert waits[1].result().is_in
        assert gate.share.used == (1,)

    asyncio.run(asyncio.wait_for(scenario(), 30))
