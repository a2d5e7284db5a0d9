"""What the gateway has under way at others, in shares for tenants: route functions' threads, upstreams' connections."""

import asyncio
from types import TracebackType

from functions.gateway.attempt import TryElsewhere
from shared.core.errors import Unavailable
from shared.core.fair_gate import FairGate
from shared.core.fair_share import Amounts, Claim, Place
from shared.core.fairness import WEIGHTS
from shared.core.keys import Caller
from shared.core.routing import UpstreamTarget
from shared.manifest import Route
from shared.settings import Settings

TRANSFERS = 2
"""A file moves as slowly as its caller does; one tenant's take at most this part of what it may have under way."""
WORKER_REQUESTS = 2
"""For each slot of the worker: those in it, and as many that wait there for theirs."""


class Hold:
    """A context that begins when it is the caller's turn."""

    __slots__ = ("_claim", "_gate", "_place", "_within_s")

    def __init__(self, gate: FairGate, caller: Caller, amounts: Amounts, within_s: float) -> None:
        self._gate = gate
        self._claim = Claim(caller.tenant, amounts, WEIGHTS[caller.tier])
        self._within_s = within_s

    async def __aenter__(self) -> None:
        """Unavailable when it is not the caller's turn in time."""
        self._place = self._gate.share.try_enter(self._claim) or await self._wait()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._gate.share.leave(self._place)

    async def _wait(self) -> Place:
        try:
            async with asyncio.timeout(self._within_s):
                return await self._gate.enter(self._claim)
        except TimeoutError:
            text = "Too many of your requests are under way."
            raise Unavailable(text, code="too_many_under_way", retry_after_s=1) from None


class HoldOfUpstream(Hold):
    __slots__ = ()

    async def __aenter__(self) -> None:
        """TryElsewhere when it is not the caller's turn in time."""
        try:
            await super().__aenter__()
        except Unavailable as error:
            raise TryElsewhere(error) from error


class RouteCalls:
    """Calls of route functions, each of which holds a thread there."""

    def __init__(self, settings: Settings) -> None:
        most = settings.route_calls
        self._gate = FairGate((most, max(1, most // TRANSFERS)))

    def hold(self, caller: Caller, route: Route) -> Hold:
        return Hold(self._gate, caller, (1, int(route.moves_files)), route.timeout_s)


class UpstreamCalls:
    """Requests under way at the models' upstreams."""

    def __init__(self, settings: Settings) -> None:
        self._most = settings.upstream_calls
        self._most_of_worker = settings.worker_instances * settings.worker_slots * WORKER_REQUESTS
        self._gates: dict[str, FairGate] = {}

    def hold(self, caller: Caller, target: UpstreamTarget, within_s: float) -> Hold:
        gate = self._gates.get(target.url)
        if gate is None:
            gate = self._gates[target.url] = FairGate((self._most_of_worker if target.is_worker else self._most,))
        return HoldOfUpstream(gate, caller, (1,), within_s)
