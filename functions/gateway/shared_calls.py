"""What the gateway has under way at others, in shares for tenants: route functions' threads, upstreams' connections."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

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


class RouteCalls:
    """Calls of route functions, each of which holds a thread there."""

    def __init__(self, settings: Settings) -> None:
        most = settings.route_calls
        self._gate = FairGate((most, max(1, most // TRANSFERS)))

    @asynccontextmanager
    async def hold(self, caller: Caller, route: Route) -> AsyncIterator[None]:
        """Unavailable when it is not the caller's turn within the time that the route has."""
        place = await _place(self._gate, caller, (1, int(route.moves_files)), route.timeout_s)
        try:
            yield
        finally:
            self._gate.share.leave(place)


class UpstreamCalls:
    """Requests under way at the models' upstreams."""

    def __init__(self, settings: Settings) -> None:
        self._most = settings.upstream_calls
        self._most_of_worker = settings.worker_instances * settings.worker_slots * WORKER_REQUESTS
        self._gates: dict[str, FairGate] = {}

    @asynccontextmanager
    async def hold(self, caller: Caller, target: UpstreamTarget, within_s: float) -> AsyncIterator[None]:
        """TryElsewhere when it is not the caller's turn in time."""
        gate = self._gates.get(target.url)
        if gate is None:
            gate = self._gates[target.url] = FairGate((self._most_of_worker if target.is_worker else self._most,))
        try:
            place = await _place(gate, caller, (1,), within_s)
        except Unavailable as error:
            raise TryElsewhere(error) from error
        try:
            yield
        finally:
            gate.share.leave(place)


async def _place(gate: FairGate, caller: Caller, amounts: Amounts, within_s: float) -> Place:
    claim = Claim(caller.tenant, amounts, WEIGHTS[caller.tier])
    if place := gate.share.try_enter(claim):
        return place
    try:
        async with asyncio.timeout(within_s):
            return await gate.enter(claim)
    except TimeoutError:
        raise Unavailable(
            "Too many of your requests are under way.", code="too_many_under_way", retry_after_s=1
        ) from None
