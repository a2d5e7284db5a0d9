"""Room in an engine: its slots, and the context that all its running requests share.

llama.cpp keeps one pool of cells for all slots, and when a token finds none left it fails every request at once. So a
request waits here until a slot and all it may grow to are free, and tenants take turns (shared.core.fair_share).
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared import telemetry
from shared.core.fair_gate import FairGate
from shared.core.fair_share import Claim, reserve_of
from shared.core.fairness import Owner


class SharedContext:
    def __init__(self, tokens: int, slots: int) -> None:
        """What a tenant alone may use of an engine that has `with_reserve` of both; 0 tokens mean no bound."""
        self._gate = FairGate((slots, tokens))

    @asynccontextmanager
    async def hold(self, owner: Owner, tokens: int) -> AsyncIterator[None]:
        """Holds a slot and room for `tokens` (all there is, should they be more) once it is the owner's turn."""
        try:
            async with self._gate.hold(Claim(owner.tenant, (1, tokens), owner.weight)):
                telemetry.SLOTS_BUSY.set(self._gate.share.used[0])
                yield
        finally:
            telemetry.SLOTS_BUSY.set(self._gate.share.used[0])


def with_reserve(amount: int) -> int:
    """What an engine needs of something, so that there is a reserve beside the amount that a tenant alone may use."""
    return amount + reserve_of((amount,))[0]
