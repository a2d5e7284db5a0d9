"""How many jobs the worker runs now, out of how many it can run at the same time."""

from shared.core.fair_gate import FairGate
from shared.core.fair_share import Claim, Place
from shared.core.fairness import Owner
from shared.core.queues import job_concurrency


class Slots:
    """Tenants take turns. What runs in the engine is counted there: callers have slots that no job takes."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._gate = FairGate((job_concurrency(1, total),))

    @property
    def busy(self) -> int:
        return self._gate.share.used[0]

    def try_acquire(self, owner: Owner) -> Place | None:
        """A slot, if the owner may have one now."""
        return self._gate.share.try_enter(Claim(owner.tenant, weight=owner.weight))

    async def acquire(self, owner: Owner) -> Place:
        """A slot, once it is the owner's turn."""
        return await self._gate.enter(Claim(owner.tenant, weight=owner.weight))

    def release(self, place: Place) -> None:
        self._gate.share.leave(place)
