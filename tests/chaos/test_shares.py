"""One tenant floods what all share. What another tenant asks takes at most twice as long as alone."""

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from jobs.ml_worker.engines.shared_context import SharedContext
from jobs.ml_worker.slots import Slots
from shared.core.fair_gate import FairGate
from shared.core.fair_share import Claim
from shared.core.fairness import Owner

QUIET, FLOOD = Owner("quiet", 1), Owner("flood", 4)
STEPS = 10
"""Turns of the event loop that one piece of work takes, of either tenant."""

Work = Callable[[Owner], Coroutine[Any, Any, None]]


class Turns:
    """A clock that counts turns of the event loop: the same on every machine."""

    def __init__(self) -> None:
        self.now = 0

    async def run(self) -> None:
        for self.now in itertools.count():
            await asyncio.sleep(0)


async def lasting() -> None:
    for _ in range(STEPS):
        await asyncio.sleep(0)


def engine_streams() -> Work:
    context = SharedContext(10_240, 8)
    quiet, flood = 40, itertools.cycle((8000, 2000, 1000, 40))

    async def work(owner: Owner) -> None:
        async with context.hold(owner, quiet if owner is QUIET else next(flood)):
            await lasting()

    return work


def job_slots() -> Work:
    slots = Slots(8)

    async def work(owner: Owner) -> None:
        slot = await slots.acquire(owner)
        try:
            await lasting()
        finally:
            slots.release(slot)

    return work


def calls_of_functions() -> Work:
    gate = FairGate((32, 16))

    async def work(owner: Owner) -> None:
        async with gate.hold(Claim(owner.tenant, (1, int(owner is FLOOD)), owner.weight)):
            await lasting()

    return work


def one_at_a_time() -> Work:
    gate = FairGate((1,))

    async def work(owner: Owner) -> None:
        async with gate.hold(Claim(owner.tenant, weight=owner.weight)):
            await lasting()

    return work


POOLS = [engine_streams, job_slots, calls_of_functions, one_at_a_time]


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("flood", [50, 500])
def test_a_flood_of_one_tenant_costs_another_at_most_its_own_time_again(pool: Callable[[], Work], flood: int) -> None:
    async def took(work: Work, beside: int) -> int:
        turns = Turns()
        clock = asyncio.create_task(turns.run())
        others = [asyncio.create_task(work(FLOOD)) for _ in range(beside)]
        await asyncio.sleep(0)
        began = turns.now
        for _ in range(20):
            await work(QUIET)
        lasted = turns.now - began
        for each in others:
            each.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        clock.cancel()
        return lasted

    alone = asyncio.run(took(pool(), 0))
    beside = asyncio.run(took(pool(), flood))
    assert beside <= 2 * alone


@pytest.mark.parametrize("pool", POOLS)
def test_a_flood_is_worked_off_to_its_end(pool: Callable[[], Work]) -> None:
    async def scenario() -> None:
        work = pool()
        await asyncio.gather(*(work(FLOOD) for _ in range(200)), *(work(QUIET) for _ in range(20)))

    asyncio.run(asyncio.wait_for(scenario(), 60))
