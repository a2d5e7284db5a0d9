"""Gateways that share a limiter, on a clock that jumps from one event to the next: minutes of traffic in a second.

What decides is the product's own: admission, leases and errands. A way to the limiter takes a millisecond, a request
three. Requests come on their schedule whatever becomes of the earlier ones.
"""

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from functions.gateway.admit import Admit
from functions.gateway.exchange import Exchange
from functions.gateway.leasing import Leasing
from functions.gateway.request_pass import RequestPass, Stages
from functions.gateway.stage import Stage, Wait
from shared.adapters.memory_limiter import MemoryLimiter
from shared.core.keys import TIER_LIMITS, Caller, Tier
from shared.core.limits import Answer, Ask, Claim
from shared.core.routing import Model
from shared.limits.admission import Admission
from shared.limits.policy import LimitPolicy
from shared.surfaces.input_size import InputSize
from shared.surfaces.request import InferenceRequest
from shared.web.reply import Reply
from tests.fakes import FakeClock
from tests.gateway.calls import bare_exchange

WINDOW_S = 60
WAY_S, UPSTREAM_S = 0.001, 0.003
MODEL = Model("small", (), frozenset({"chat"}))
ASKED = InferenceRequest("small", max_tokens=16)


class JumpingLoop(asyncio.SelectorEventLoop):
    """Nothing is waited for; threads are calls."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock

    def time(self) -> float:
        return self._clock.time

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self._clock.time = max(self._clock.time, self._scheduled[0].when())  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:  # type: ignore[override]
        answer = self.create_future()
        self.call_later(WAY_S, lambda: self.call_later(WAY_S, answer.set_result, func(*args)))
        return answer


@dataclass
class Link:
    """One instance's connection to the limiter."""

    limiter: MemoryLimiter
    name: str
    instances: int
    blocks: bool = True
    degraded: bool = False
    calls: int = 0

    def exchange(self, asks: Sequence[Ask], claims: Sequence[Claim]) -> Answer:
        self.calls += 1
        return self.limiter.exchange_as(self.name, asks, claims)

    def give_up(self, reason: str) -> None:
        raise AssertionError(reason)


@dataclass
class Traffic:
    """`demand` times the limit is asked for, by a premium key with that limit of requests a minute."""

    processes: int
    limit: int
    seconds: int = 150
    demand: float = 5.0
    seed: int = 0
    """0: requests come evenly, the same number to each instance; else both is left to chance."""
    requests: int = 0
    calls: int = 0
    admitted: list[float] = field(default_factory=list)
    by_instance: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        clock = FakeClock(1_000_000.0)
        with asyncio.Runner(loop_factory=lambda: JumpingLoop(clock)) as runner:
            runner.run(self._run(clock))

    @property
    def calls_per_1000(self) -> float:
        return self.calls / self.requests * 1000

    @property
    def worst_window(self) -> int:
        times = self.admitted
        return max(bisect_left(times, first + WINDOW_S) - place for place, first in enumerate(times))

    @property
    def used(self) -> float:
        """Of the limit, what was admitted in a window on average."""
        starts = [1_000_000.0 + start for start in range(self.seconds - WINDOW_S + 1)]
        counts = [bisect_right(self.admitted, at + WINDOW_S) - bisect_left(self.admitted, at) for at in starts]
        return sum(counts) / len(counts) / self.limit

    async def _run(self, clock: FakeClock) -> None:
        limiter, every_s = MemoryLimiter(clock), 60 / self.limit / self.demand
        links = [Link(limiter, str(number), self.processes) for number in range(self.processes)]
        gateways = [self._gateway(link, clock) for link in links]
        self.by_instance = [0] * self.processes
        draw = Random(self.seed)
        due, end, under_way = clock.time, clock.time + self.seconds, set[asyncio.Task[None]]()
        while due < end:
            await asyncio.sleep(due - clock.time)
            number = draw.randrange(self.processes) if self.seed else self.requests % self.processes
            task = asyncio.create_task(self._request(gateways[number], clock, number))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            self.requests += 1
            due += draw.expovariate(1 / every_s) if self.seed else every_s
        await asyncio.gather(*under_way)
        self.calls = sum(link.calls for link in links)

    def _gateway(self, link: Link, clock: FakeClock) -> Admit:
        admission = Admission(link, clock, LimitPolicy(TIER_LIMITS))
        return Admit(admission, Leasing(admission, link, clock), clock, 1000)

    async def _request(self, admit: Admit, clock: FakeClock, number: int) -> None:
        exchange = bare_exchange()
        exchange.caller = Caller("key", "tenant", Tier.PREMIUM, frozenset(), self.limit)
        answer = Upstream(self, admit, clock, number)
        if task := RequestPass(Stages([admit, answer]), exchange, asyncio.get_running_loop()).run():
            await task


class Upstream(Stage):
    """Answers what was admitted."""

    def __init__(self, traffic: Traffic, admit: Admit, clock: FakeClock, number: int) -> None:
        self._traffic, self._admit, self._clock, self._number = traffic, admit, clock, number

    def enter(self, exchange: Exchange) -> Wait:
        return Wait(self._answer(exchange))

    async def _answer(self, exchange: Exchange) -> Reply:
        await self._admit.to_model(exchange, MODEL, ASKED, InputSize(80))
        self._traffic.admitted.append(self._clock.time)
        self._traffic.by_instance[self._number] += 1
        exchange.status = 200
        await asyncio.sleep(UPSTREAM_S)
        exchange.tokens_in, exchange.tokens_out = 10, 9
        return Reply(200)
